"""Noise reduction of one PCM stream: WebRTC's noise suppressor, which hears 16 kHz in frames of 10 ms.

    8 … 48 kHz ──► 16 kHz ──► whole frames ──► suppressor ──► 24 kHz, 9 ms later and at its own place

The delay is 6 ms in the suppressor and 1.5 in each resampler; a chunk that is no whole number of frames waits up to
10 ms more. The first 9 ms that come out, which nothing went in for, are cut: samples keep their place on the clock.
What is over 7.4 kHz or under about 80 Hz is lost. Steady noise falls by 6 dB a level within a second, speech by 0.5
to 2 dB; 1.7 ms of CPU a second of audio (bench/noise.py).
"""

from typing import Any

from webrtc_noise_gain import AudioProcessor

from voice.audio.frames import CORE_RATE_HZ, HEARING_RATE_HZ, SAMPLE_BYTES, Framer
from voice.audio.resample import DELAY_MS, Resampler

MAX_LEVEL = 4
"""The strongest suppression, about 20 dB."""

_FRAME_SAMPLES = HEARING_RATE_HZ // 100
_SUPPRESSOR_DELAY_MS = 6.0
_AUTO_GAIN_OFF = 0


class NoiseReducer:
    """Cleans one stream and brings it to 24 kHz. Not for use from two threads at once."""

    def __init__(self, from_hz: int, level: int) -> None:
        """`from_hz` as `Resampler` takes it; `level` 1 … 4. Raises ValueError otherwise."""
        if not 1 <= level <= MAX_LEVEL:
            raise ValueError(f"noise suppression knows the levels 1 to {MAX_LEVEL}, not {level}")
        self._down = Resampler(from_hz, HEARING_RATE_HZ)
        self._up = Resampler(HEARING_RATE_HZ, CORE_RATE_HZ)
        self._suppressor: Any = AudioProcessor(_AUTO_GAIN_OFF, level)
        self._from_hz = from_hz
        self.delay_ms = _SUPPRESSOR_DELAY_MS + self._down.delay_ms + DELAY_MS
        """How much later a sound comes out than it went in."""
        self._begin()

    def process(self, pcm: bytes) -> bytes:
        """Clean a chunk of any length; less than a frame waits for the next call.

        Raises:
            ValueError: not a whole number of samples.
        """
        self._taken_samples += len(pcm) // SAMPLE_BYTES
        return self._clean(self._down.process(pcm))

    def flush(self) -> bytes:
        """Return what is still under way, so that as much came out as went in. What follows begins as after silence.

        What the suppressor has learnt of the noise stays.
        """
        silence = bytes(3 * _FRAME_SAMPLES * SAMPLE_BYTES)  # enough to push the last sample through
        left = self._taken_samples * CORE_RATE_HZ // self._from_hz - self._given_samples
        rest = self._clean(self._down.flush() + silence)[: left * SAMPLE_BYTES]
        self._begin()
        return rest

    def _begin(self) -> None:
        self._down.reset()
        self._up.reset()
        self._framer = Framer(_FRAME_SAMPLES, HEARING_RATE_HZ)
        self._taken_samples = self._given_samples = 0
        self._early_bytes = round(self.delay_ms * CORE_RATE_HZ / 1000) * SAMPLE_BYTES

    def _clean(self, pcm_16k: bytes) -> bytes:
        process = self._suppressor.Process10ms
        cleaned = self._up.process(b"".join([process(frame.pcm).audio for frame in self._framer.push(pcm_16k)]))
        if self._early_bytes:
            early = min(self._early_bytes, len(cleaned))
            self._early_bytes -= early
            cleaned = cleaned[early:]
        self._given_samples += len(cleaned) // SAMPLE_BYTES
        return cleaned
