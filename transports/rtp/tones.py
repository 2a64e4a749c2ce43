"""Telephone keys as tones in the audio: found by Goertzel filters with the limits of ITU-T Q.24, and made.

    block (12.75 ms)   judged by            a key needs                     ends it
    . # # # # . .      level, twist,        two like blocks in a row        two blocks without it
                       purity, harmonics

What keeps speech from being taken for a key ("talk-off"): nearly all of the block's power must be in two tones, each
far above its neighbours, neither with a harmonic, and for two blocks. A tone of 40 ms is always found, one under
20 ms never.
"""

from collections import deque
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from transports.rtp.dtmf import PAUSE, check_keys
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES

ROWS_HZ = (697, 770, 852, 941)
COLUMNS_HZ = (1209, 1336, 1477, 1633)
_LAYOUT = ("123A", "456B", "789C", "*0#D")

_BLOCK_S = 0.01275  # 102 samples at 8 kHz: bins as wide as the tones are apart
_MIN_LEVEL = 10 ** (-36 / 20)  # of full scale, each tone
_NORMAL_TWIST = 10 ** (8 / 10)  # columns over rows, in power: what a long line does
_REVERSE_TWIST = 10 ** (6 / 10)  # rows over columns; Q.24 asks for 4 dB at least, 6 lets quiet lines pass
_PURITY = 0.70  # share of the block's power that is in the two tones
_NEIGHBOUR = 10 ** (-8 / 10)
_HARMONIC = 10 ** (-10 / 10)
_NEEDED_BLOCKS = 2
_MISSED_BLOCKS = 2


@lru_cache(maxsize=8)
def _filters(rate_hz: int) -> tuple[int, npt.NDArray[np.complex64]]:
    """Return block length and [block, 16] of rotating phasors: the tones, then a harmonic of each.

    The second of columns, the third of rows: twice a row is too near a column to be told from it in one block.
    """
    block = round(rate_hz * _BLOCK_S)
    harmonics = [3 * hz for hz in ROWS_HZ] + [2 * hz for hz in COLUMNS_HZ]
    frequencies = np.array([*ROWS_HZ, *COLUMNS_HZ, *harmonics], dtype=np.float64)
    phase = np.outer(np.arange(block), frequencies) * (-2j * np.pi / rate_hz)
    return block, np.exp(phase).astype(np.complex64)


class ToneDetector:
    """Finds keys in a stream of PCM. 2 µs for 20 ms of it."""

    def __init__(self, rate_hz: int = 8_000) -> None:
        """At least 8 kHz: the harmonics of the columns lie up to 3.3 kHz."""
        self._block, self._phasors = _filters(rate_hz)
        self._rest = b""
        self._candidate: str | None = None
        self._hits = self._misses = 0
        self._pressed: str | None = None

    @property
    def pressed(self) -> str | None:
        """The key that is down now."""
        return self._pressed

    def receive(self, pcm: bytes) -> list[str]:
        """Return the keys that went down within this audio, each once."""
        pending = self._rest + pcm if self._rest else pcm
        step = self._block * SAMPLE_BYTES
        count = len(pending) // step
        self._rest = pending[count * step :]
        found: list[str] = []
        if not count:
            return found
        blocks = np.frombuffer(pending, "<i2", count * self._block).reshape(count, self._block)
        scaled = blocks.astype(np.float32) / 32768
        powers = np.square(np.abs(scaled @ self._phasors)) * (2.0 / self._block**2)  # of each tone, as mean square
        totals = np.mean(np.square(scaled), axis=1)
        for power, total in zip(powers, totals, strict=True):
            self._judge(_key_of(power, float(total)), found)
        return found

    def _judge(self, key: str | None, found: list[str]) -> None:
        if self._pressed is not None:
            self._misses = 0 if key == self._pressed else self._misses + 1
            if self._misses < _MISSED_BLOCKS and key in (None, self._pressed):
                return
            if self._misses >= _MISSED_BLOCKS:
                self._pressed = None
        self._hits = self._hits + 1 if key is not None and key == self._candidate else 1
        self._candidate = key
        if key is not None and key != self._pressed and self._hits >= _NEEDED_BLOCKS:
            self._pressed, self._misses = key, 0
            found.append(key)


def _key_of(power: npt.NDArray[np.float32], total: float) -> str | None:
    """Return the key that one block holds. `power` is [16] in mean square, as `total` is of the whole block."""
    if total < _MIN_LEVEL**2:
        return None
    row, column = int(np.argmax(power[:4])), int(np.argmax(power[4:8]))
    low, high = float(power[row]), float(power[4 + column])
    if min(low, high) < _MIN_LEVEL**2 / 2 or high > low * _NORMAL_TWIST or low > high * _REVERSE_TWIST:
        return None
    if low + high < _PURITY * total:
        return None
    others = max(np.delete(power[:4], row).max() / low, np.delete(power[4:8], column).max() / high)
    if others > _NEIGHBOUR:
        return None
    if power[8 + row] > low * _HARMONIC or power[12 + column] > high * _HARMONIC:
        return None
    return _LAYOUT[row][column]


class ToneSender:
    """Presses keys as tones: frames of 20 ms in place of the audio, until the last key and its pause are out."""

    def __init__(self, rate_hz: int = CORE_RATE_HZ, *, tone_ms: int = 100, gap_ms: int = 100) -> None:
        """Tones and gaps are at least 40 ms (ITU-T Q.24)."""
        self._rate_hz = rate_hz
        self._frame_bytes = rate_hz // 50 * SAMPLE_BYTES
        self._tone_ms = max(40, tone_ms)
        self._gap = bytes(rate_hz * max(40, gap_ms) // 1000 * SAMPLE_BYTES)
        self._keys: deque[str] = deque()
        self._pending = b""

    @property
    def is_sending(self) -> bool:
        """True until all is out."""
        return bool(self._keys or self._pending)

    def send(self, keys: str) -> None:
        """Queue keys; a comma is a pause of half a second. Raises: ValueError."""
        check_keys(keys, waiting=len(self._keys))
        self._keys.extend(keys.upper())

    def next_frame(self) -> bytes | None:
        """Return 20 ms to send in place of audio; None when there is nothing to press."""
        while self._keys and len(self._pending) < self._frame_bytes:
            key = self._keys.popleft()
            if key == PAUSE:
                self._pending += bytes(self._rate_hz // 2 * SAMPLE_BYTES)
            else:
                self._pending += make_tone(key, self._tone_ms, self._rate_hz) + self._gap
        if not self._pending:
            return None
        frame, self._pending = self._pending[: self._frame_bytes], self._pending[self._frame_bytes :]
        return frame.ljust(self._frame_bytes, b"\0")


def make_tone(key: str, duration_ms: int, rate_hz: int, level_dbfs: float = -12.0) -> bytes:
    """Return the PCM of a key, each tone at that level, with 2 ms of fade at both ends.

    Raises:
        ValueError: no such key.
    """
    for row, keys in enumerate(_LAYOUT):
        if len(key) == 1 and key in keys:
            pair = ROWS_HZ[row], COLUMNS_HZ[keys.index(key)]
            break
    else:
        raise ValueError(f"no telephone has a key {key!r}")
    seconds = np.arange(rate_hz * duration_ms // 1000) / rate_hz
    wave = sum(np.sin(2 * np.pi * hz * seconds) for hz in pair) * 10 ** (level_dbfs / 20) * 32767
    edge = np.minimum(1.0, np.minimum(seconds, seconds[::-1]) / 0.002)
    return np.clip(np.rint(wave * edge), -32768, 32767).astype("<i2").tobytes()
