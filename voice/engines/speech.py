"""Speaks clauses: the words before their sound, and between two clauses the pause that their punctuation asks for.

The voice surrounds every clause with 0.3 to 0.5 s of silence, as if it were alone. Said one after the other they would
limp, so the silence behind a clause is cut to what a speaker leaves there.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.engines.clauses import CLOSING_MARKS
from voice.engines.model_port import Models
from voice.engines.port import EngineSettings

_QUIET = 32768 * 10 ** (-46 / 20)
_RUN_BYTES = CORE_RATE_HZ // 4 * SAMPLE_BYTES
_PAUSE_MS = {".": 220, "!": 220, "?": 220, "…": 250, ",": 110, ";": 160, ":": 160}
_NO_PAUSE_MS = 20


class Speaker:
    """Gives the speech of one response on one clock."""

    def __init__(self, models: Models, session_id: str, settings: EngineSettings) -> None:
        self._models = models
        self._session_id = session_id
        self._settings = settings
        self._pts = 0

    async def speak(self, clause: str) -> AsyncGenerator[AudioFrame, None]:
        """Yield a clause's speech in runs of at most 250 ms. Use it under `aclosing`. Raises: EngineError."""
        tail = b""
        runs = self._models.speak(self._session_id, clause, voice=self._settings.voice, speed=self._settings.speed)
        async with aclosing(runs) as pcm_runs:
            async for pcm in pcm_runs:
                end = _sound_end(pcm)
                if end:
                    for frame in self._frames(tail + pcm[:end]):
                        yield frame
                    tail = pcm[end:]
                else:
                    tail += pcm
        pause_ms = _PAUSE_MS.get(clause.rstrip(CLOSING_MARKS)[-1:], _NO_PAUSE_MS)
        for frame in self._frames(tail[: CORE_RATE_HZ * pause_ms // 1000 * SAMPLE_BYTES]):
            yield frame

    def _frames(self, pcm: bytes) -> list[AudioFrame]:
        frames = []
        for start in range(0, len(pcm), _RUN_BYTES):
            frame = AudioFrame(pcm[start : start + _RUN_BYTES], CORE_RATE_HZ, self._pts)
            self._pts += frame.samples
            frames.append(frame)
        return frames


def _sound_end(pcm: bytes) -> int:
    """Return the byte after the last sample that is not silence, 0 where all of it is."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) > _QUIET)
    return (int(loud[-1]) + 1) * SAMPLE_BYTES if len(loud) else 0
