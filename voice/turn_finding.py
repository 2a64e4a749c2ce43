"""Who finds the caller's turns in what is heard: voice activity here, or an engine that detects them itself."""

import asyncio
from collections.abc import Callable

from voice.activity import MAX_WAITING_SAMPLES, ActivityStream
from voice.engines.port import LiveEngine
from voice.session.effects import DetectVoice, ResetVoice

_UNJUDGED_SAMPLES = MAX_WAITING_SAMPLES // 2
"""Audio that may wait for voice activity before a client that sends faster than it speaks has to wait as well."""

_JUDGING_S = 0.01


class TurnFinder:
    """Gives the audio of one session to whoever finds its turns at that moment."""

    def __init__(self, voice: ActivityStream, engine: LiveEngine | None, engine_detects: Callable[[], bool]) -> None:
        """`engine_detects`: whether it is the engine's now; never without an `engine`."""
        self._voice = voice
        self._engine = engine
        self._engine_detects = engine_detects

    def detect(self, effect: DetectVoice) -> None:
        """Find turns in the next audio."""
        if self._engine is not None and self._engine_detects():
            self._engine.listen(effect.frame)
        else:
            self._voice.push(effect.frame)

    def reset(self, effect: ResetVoice) -> None:
        """Forget what was heard and belongs to no turn yet."""
        if self._engine is not None and self._engine_detects():
            self._engine.restart_listening()
        else:
            self._voice.reset(effect.at_sample)

    async def wait_for_verdicts(self) -> None:
        """Return when little waits to be judged here. A reset ends the wait, unheard."""
        while self._voice.waiting_samples > _UNJUDGED_SAMPLES:  # noqa: ASYNC110 - verdicts come by a callback
            await asyncio.sleep(_JUDGING_S)

    def close(self) -> None:
        """Hear nothing more."""
        self._voice.close()
