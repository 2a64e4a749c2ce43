"""Makes a frame of speech a few milliseconds shorter or longer without a change of pitch.

One period of the waveform is taken out or put in, at the lag where the frame is most like itself, with a crossfade
as long as that lag. Over silence any lag will do. PCM is mono, 16 bit, 24 kHz.
"""

import numpy as np
import numpy.typing as npt

from voice.audio.frames import CORE_RATE_HZ

Samples = npt.NDArray[np.int16]

_PER_MS = CORE_RATE_HZ // 1000
_MIN_LAG = 5 * _PER_MS // 2  # 400 Hz, the highest pitch of a voice
_MAX_LAG = 10 * _PER_MS
_COARSE = 3  # lags are searched at 8 kHz, where a voice has all its pitch


def best_lag(samples: Samples, min_lag: int = _MIN_LAG, max_lag: int = _MAX_LAG) -> int:
    """Return the lag, in samples, at which the end of `samples` is most like what came that much earlier.

    Compares 8 ms; needs `max_lag` + 8 ms of audio, and takes less of either when there is less.
    """
    thin = samples[::-1][::_COARSE][::-1].astype(np.float32)
    window = min(8 * _PER_MS // _COARSE, len(thin) // 2)
    lowest, highest = min_lag // _COARSE, min(max_lag // _COARSE, len(thin) - window)
    if window < 1 or highest <= lowest:
        return min(min_lag, max(1, len(samples) // 2))
    recent = thin[-window:]
    past = thin[len(thin) - window - highest : len(thin) - lowest]
    products = np.correlate(past, recent, "valid")  # index 0 is the highest lag
    squares = np.concatenate(([0.0], np.cumsum(past * past, dtype=np.float64)))
    energies = squares[window:] - squares[:-window]
    similarity = products / np.sqrt(energies + 1.0)
    return (highest - int(np.argmax(similarity))) * _COARSE


def crossfade(fading: Samples, rising: Samples) -> Samples:
    """Return a linear transition between two runs of one length."""
    ramp = (np.arange(len(fading), dtype=np.float32) + 0.5) / max(1, len(fading))
    return np.rint(fading + (rising.astype(np.float32) - fading) * ramp).astype(np.int16)


def shrink(pcm: bytes) -> bytes:
    """Take one period of 2.5…10 ms out of a frame; a frame under 20 ms stays as it is."""
    samples = np.frombuffer(pcm, "<i2")
    if len(samples) < 2 * _MAX_LAG:
        return pcm
    end = 2 * _MAX_LAG
    lag = best_lag(samples[:end])
    blended = crossfade(samples[end - 2 * lag : end - lag], samples[end - lag : end])
    return b"".join((samples[: end - 2 * lag].tobytes(), blended.tobytes(), samples[end:].tobytes()))


def stretch(pcm: bytes) -> bytes:
    """Put one period of 2.5…10 ms into a frame; a frame under 20 ms stays as it is."""
    samples = np.frombuffer(pcm, "<i2")
    if len(samples) < 2 * _MAX_LAG:
        return pcm
    end = 2 * _MAX_LAG
    lag = best_lag(samples[:end])
    blended = crossfade(samples[end - lag : end], samples[end - 2 * lag : end - lag])
    return b"".join((samples[: end - lag].tobytes(), blended.tobytes(), samples[end - lag :].tobytes()))
