"""What the lanes call: the three real models, or their scripted stand-ins, behind one shape."""

import math
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Protocol

import numpy as np

from voice.errors import EngineUnavailable
from voice.models.settings import HostSettings, ScriptedModels
from voice.models.wire import Done, FromHost, Generate, Load, Piece, Prefill, Request, Sound, Speak, Transcribe

Send = Callable[[FromHost], None]
Stopped = Callable[[], bool]


class Worker(Protocol):
    """One loaded model."""

    def work(self, request: Request, send: Send, stopped: Stopped) -> Done | None:
        """Do a request; see voice.models.lanes.Work."""
        ...

    def release(self, session: str) -> None:
        """A session has ended."""
        ...


def load_worker(lane: str, load: Load) -> Worker:
    """Load the model of a lane. Raises: EngineUnavailable, OSError and what the runtimes raise for a broken file."""
    if load.settings.scripted is not None:
        return _ScriptedWorker(load.settings.scripted)
    if lane == "speech-to-text":
        return _Listener(Path(load.speech_to_text))
    if lane == "language-model":
        return _Thinker(Path(load.language_model), load.settings)
    return _Speaker(load.settings.voice)


class _Listener:
    """Speech to text."""

    def __init__(self, folder: Path) -> None:
        from voice.models.speech_to_text import SpeechToText

        self._model = SpeechToText(folder)

    def work(self, request: Request, send: Send, stopped: Stopped) -> Done | None:
        assert isinstance(request, Transcribe)
        text = self._model.transcribe(request.pcm, stopped=stopped)
        return None if stopped() else Done(request.id, text=text)

    def release(self, session: str) -> None:
        """Nothing is kept per session."""


class _Thinker:
    """The language model."""

    def __init__(self, path: Path, settings: HostSettings) -> None:
        from voice.models.language_model import LanguageModel

        self._model = LanguageModel(
            path,
            threads=settings.language_threads(),
            slots=settings.slots,
            context_tokens=settings.context_tokens,
            batch_tokens=settings.batch_tokens,
            prefix_dir=Path(settings.prompt_cache_dir) if settings.prompt_cache_dir else None,
        )

    def work(self, request: Request, send: Send, stopped: Stopped) -> Done | None:
        if isinstance(request, Prefill):
            done = self._model.prefill(request.session, request.prompt, stopped=stopped)
        else:
            assert isinstance(request, Generate)
            done = self._model.generate(
                request.session,
                request.prompt,
                max_tokens=request.max_tokens,
                emit=lambda text: send(Piece(request.id, text)),
                grammar=request.grammar,
                stop=request.stop,
                temperature=request.temperature,
                stopped=stopped,
            )
        if done.reason == "cancelled":
            return None
        return Done(
            request.id,
            reason=done.reason,
            prompt_tokens=done.prompt_tokens,
            cached_tokens=done.cached_tokens,
            output_tokens=done.output_tokens,
        )

    def release(self, session: str) -> None:
        self._model.release(session)


class _Speaker:
    """Text to speech."""

    def __init__(self, voice: str) -> None:
        from voice.models.text_to_speech import TextToSpeech

        self._model = TextToSpeech(voice)

    def work(self, request: Request, send: Send, stopped: Stopped) -> Done | None:
        assert isinstance(request, Speak)
        for pcm in self._model.speak(request.text, voice=request.voice, speed=request.speed, stopped=stopped):
            send(Sound(request.id, pcm))
        return Done(request.id)

    def release(self, session: str) -> None:
        """Nothing is kept per session."""


class _ScriptedWorker:
    """All three models as ScriptedModels describes them."""

    _STEP_S = 0.01

    def __init__(self, script: ScriptedModels) -> None:
        if script.fail_to_load:
            raise EngineUnavailable(script.fail_to_load)
        self._script = script
        self._transcripts = cycle(script.transcripts)
        self._prompts: dict[str, str] = {}

    def work(self, request: Request, send: Send, stopped: Stopped) -> Done | None:
        match request:
            case Transcribe():
                return self._transcribe(request, stopped)
            case Prefill():
                return self._prefill(request, stopped)
            case Generate():
                return self._generate(request, send, stopped)
            case Speak():
                return self._speak(request, send, stopped)

    def release(self, session: str) -> None:
        self._prompts.pop(session, None)

    def _transcribe(self, request: Transcribe, stopped: Stopped) -> Done | None:
        if not self._pass_time(self._script.transcribe_s, stopped):
            return None
        return Done(request.id, text=next(self._transcripts))

    def _prefill(self, request: Prefill, stopped: Stopped) -> Done | None:
        cached = self._read_prompt(request.session, request.prompt, stopped)
        return None if cached is None else Done(request.id, prompt_tokens=_words(request.prompt), cached_tokens=cached)

    def _generate(self, request: Generate, send: Send, stopped: Stopped) -> Done | None:
        cached = self._read_prompt(request.session, request.prompt, stopped)
        if cached is None:
            return None
        words = self._script.reply.split(" ")
        said = 0
        for word in words[: request.max_tokens]:
            if not self._pass_time(self._script.token_s, stopped):
                return None
            send(Piece(request.id, word if not said else f" {word}"))
            said += 1
        reason = "length" if said < len(words) else "stop"
        return Done(
            request.id,
            reason=reason,
            prompt_tokens=_words(request.prompt),
            cached_tokens=cached,
            output_tokens=said,
        )

    def _speak(self, request: Speak, send: Send, stopped: Stopped) -> Done | None:
        if not self._pass_time(self._script.speak_s, stopped):
            return None
        samples = int(24_000 * 0.06 * max(1, len(request.text)) / request.speed)
        tone = 8_000 * np.sin(2 * math.pi * 220 / 24_000 * np.arange(samples))
        pcm = tone.astype("<i2").tobytes()
        for start in range(0, len(pcm), 12_000):
            send(Sound(request.id, pcm[start : start + 12_000]))
        return Done(request.id)

    def _read_prompt(self, session: str, prompt: str, stopped: Stopped) -> int | None:
        """Return the words that were in the cache, or None if stopped."""
        before = self._prompts.get(session, "")
        warm = bool(before) and prompt.startswith(before)
        if not warm and not self._pass_time(self._script.prefill_s, stopped):
            return None
        self._prompts[session] = prompt
        return _words(before) if warm else 0

    def _pass_time(self, seconds: float, stopped: Stopped) -> bool:
        """Wait as a model would compute; False if stopped meanwhile."""
        end = time.monotonic() + seconds
        while not stopped():
            left = end - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, self._STEP_S))
        return False


def _words(text: str) -> int:
    return len(text.split())
