"""Levels of a PCM run in dBFS: 0 is a square wave at full scale, a sine at full scale has -3.01 dB RMS."""

import math

import numpy as np

SILENCE_DBFS = -120.0
"""What digital silence and an empty run measure as, so that levels are always finite numbers."""

_FULL_SCALE = 32768.0


def rms_dbfs(pcm: bytes) -> float:
    """Measure the effective level. `pcm` is mono, signed 16-bit little-endian."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    if not samples.size:
        return SILENCE_DBFS
    return _dbfs(math.sqrt(float(np.dot(samples, samples)) / samples.size))


def peak_dbfs(pcm: bytes) -> float:
    """Measure the largest sample, of either sign. `pcm` is mono, signed 16-bit little-endian."""
    samples = np.frombuffer(pcm, "<i2")
    if not samples.size:
        return SILENCE_DBFS
    return _dbfs(max(int(samples.max()), -int(samples.min())))


def _dbfs(amplitude: float) -> float:
    return max(SILENCE_DBFS, 20 * math.log10(amplitude / _FULL_SCALE)) if amplitude > 0 else SILENCE_DBFS
