"""The caller's audio on its way into the input buffer: brought to 24 kHz, and cleaned where the session asks for it."""

from voice.audio.frames import CORE_RATE_HZ
from voice.audio.noise import MAX_LEVEL, NoiseReducer
from voice.audio.resample import Resampler
from voice.protocol.session_fields import NoiseReduction

_LEVELS = {"near_field": 2, "far_field": MAX_LEVEL}
"""At full strength: a microphone at the mouth needs less than one across the room, and less harms its sound less."""


class InputConditioner:
    """One session's. Changes of rate and of noise reduction lose nothing of what went in before."""

    def __init__(self) -> None:
        self._chain: Resampler | NoiseReducer = Resampler(CORE_RATE_HZ, CORE_RATE_HZ)
        self._rate_hz = CORE_RATE_HZ
        self._level = 0

    def configure(self, reduction: NoiseReduction | None) -> bytes:
        """Take the session's noise reduction as it is now; returns the rest of the audio that was still under way."""
        level = _level_of(reduction)
        return b"" if level == self._level else self._replace_chain(self._rate_hz, level)

    def process(self, pcm: bytes, rate_hz: int) -> bytes:
        """Return the next audio at 24 kHz; `rate_hz` is one of `voice.audio.resample.RATES_HZ`."""
        rest = b"" if rate_hz == self._rate_hz else self._replace_chain(rate_hz, self._level)
        return rest + self._chain.process(pcm)

    def settle(self) -> bytes:
        """Return what noise reduction still holds: up to 19 ms, which belong before what the client does next."""
        return self._chain.flush() if self._level else b""

    def _replace_chain(self, rate_hz: int, level: int) -> bytes:
        rest = self._chain.flush()
        self._rate_hz, self._level = rate_hz, level
        self._chain = NoiseReducer(rate_hz, level) if level else Resampler(rate_hz, CORE_RATE_HZ)
        return rest


def _level_of(reduction: NoiseReduction | None) -> int:
    """`strength` (contract 3.2) scales the level; 0 is off, and over 1 there is nothing to gain."""
    if reduction is None or reduction.type is None:
        return 0
    strength = 1.0 if reduction.strength is None else min(max(reduction.strength, 0.0), 1.0)
    return round(_LEVELS[reduction.type] * strength)
