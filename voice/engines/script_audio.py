"""The sound of scripted speech: tones that a test knows by their spectrum, made once and shared by all sessions."""

from functools import lru_cache

import numpy as np

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES

_SYLLABLE_MS = 150
_AMPLITUDE = 9000


@lru_cache(maxsize=256)
def speech_runs(kind: str, hz: int, length_ms: int, chunk_ms: int) -> tuple[bytes, ...]:
    """Return `length_ms` of 24 kHz PCM in runs of `chunk_ms`; the last one may be shorter.

    A tone rises and falls at the pace of syllables, so that its level looks like speech to whatever measures it.
    """
    samples = CORE_RATE_HZ * length_ms // 1000
    if kind == "silence":
        pcm = bytes(samples * SAMPLE_BYTES)
    else:
        clock = np.arange(samples) / CORE_RATE_HZ
        envelope = 0.55 - 0.45 * np.cos(2 * np.pi * clock * 1000 / _SYLLABLE_MS)
        pcm = (_AMPLITUDE * envelope * np.sin(2 * np.pi * hz * clock)).astype("<i2").tobytes()
    step = CORE_RATE_HZ * chunk_ms // 1000 * SAMPLE_BYTES
    return tuple(pcm[start : start + step] for start in range(0, len(pcm), step))
