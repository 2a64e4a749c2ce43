"""hibari: English text to 24 kHz speech, a clause in a few milliseconds."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from voice.errors import EngineUnavailable

RATE_HZ = 24_000
_RUN_SAMPLES = RATE_HZ // 4
"""Speech is handed on in runs of 250 ms, so that the first is on its way while the rest is being copied."""
_SLOWEST, _FASTEST = 0.5, 2.0
_QUIET = 10 ** (-50 / 20)
_LEAD_IN_SAMPLES = RATE_HZ // 100
"""Of the silence in front of the first sound, 10 ms stay: the caller waits for all of it."""
_SEED = 0
"""The same text gives the same audio: recordings of two runs can be compared."""


class TextToSpeech:
    """The voices, used by one thread at a time. A voice is loaded when it is first asked for."""

    def __init__(self, voice: str, *, threads: int = 1) -> None:
        """Load and warm up `voice`, which also serves whoever asks for a voice that is not on this machine.

        Raises: EngineUnavailable, if hibari is not installed or has no such voice here.
        """
        self._threads = threads
        self._voices: dict[str, Any] = {}
        self._default = voice
        if self._load(voice) is None:
            raise EngineUnavailable(f"hibari's voice {voice!r} is not on this machine.")
        for _ in self.speak("Warming up, one moment please.", voice=voice, speed=1.0):
            pass

    def speak(
        self, text: str, *, voice: str, speed: float, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[bytes]:
        """Yield 24 kHz PCM by sentences, in runs of at most 250 ms; `stopped` is asked before each sentence."""
        model = self._load(voice) or self._voices[self._default]
        pace = min(max(speed, _SLOWEST), _FASTEST)
        first = True
        for sentence in model.split_sentences(text):
            if stopped():
                return
            samples = model(sentence, speed=pace, seed=_SEED)
            yield from _runs(_without_lead_in(samples) if first else samples)
            first = False

    def _load(self, voice: str) -> Any:
        """Return a voice's model, or None if there is no such voice or it would have to be downloaded."""
        if voice not in self._voices:
            try:
                import hibari
                from hibari import voices
            except ImportError:
                raise EngineUnavailable(
                    "Text-to-speech is not installed: pip install 'realtime-voice-agent[embedded]'."
                ) from None
            try:
                path = voices.voice_path(voice, download_missing=False)
            except (ValueError, FileNotFoundError):
                return None
            self._voices[voice] = hibari.Hibari(voice=voice, model=path, threads=self._threads)
        return self._voices[voice]


def _without_lead_in(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(samples) > _QUIET)
    return samples[max(0, int(loud[0]) - _LEAD_IN_SAMPLES) :] if len(loud) else samples


def _runs(samples: npt.NDArray[np.float32]) -> Iterator[bytes]:
    pcm = (np.clip(samples, -1.0, 1.0) * 32_767.0).astype("<i2")
    for start in range(0, len(pcm), _RUN_SAMPLES):
        yield pcm[start : start + _RUN_SAMPLES].tobytes()
