"""Streaming conversion between 8, 16, 24 and 48 kHz with a fixed delay of 1.5 ms and even output.

One linear-phase low-pass filter (windowed sinc, Kaiser, 3 ms long) at the least common multiple of both rates, split
into its phases and laid out as a banded Toeplitz matrix: a block of half a millisecond with the history before it,
times that matrix, is a block of output. Any number of blocks is one matrix product.

What the filter does (asserted in the tests; Nyquist is that of the lower of the two rates):

    pass band    0 … Nyquist - 600 Hz    flat within ±0.02 dB
    edge         Nyquist                 -6 dB; what aliases or images within 600 Hz of it is only partly suppressed
    stop band    Nyquist + 600 Hz …      at least 58 dB down
    delay        1.5 ms at every frequency, plus under 0.5 ms where a chunk is no whole number of half milliseconds

So an 8 kHz stream carries 0-3.4 kHz, the telephone band, and a 16 kHz stream 0-7.4 kHz.

Coefficients are whole multiples of 2⁻²⁴: every product and sum of 16-bit samples is exact in a double, whatever order
a matrix library adds in. Hence the output is the same to the bit, however the input is cut into chunks.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from voice.audio.frames import SAMPLE_BYTES

RATES_HZ = (8_000, 16_000, 24_000, 48_000)
"""The rates that convert into each other."""

DELAY_MS = 1.5
"""Group delay of the filter: half its length."""

_BLOCKS_PER_S = 2_000
_KAISER_BETA = 5.65  # 60 dB of rejection; with 3 ms of length the transition is 1.2 kHz wide
_COEFFICIENT_SCALE = 2.0**24
_MAX_BLOCKS = 80  # 40 ms at once: longer chunks go through in slices, so the buffer never grows

# OpenBLAS spreads a product of more multiplications than this over threads that then spin: ten times the CPU.
_ONE_THREAD_PRODUCT = 1 << 18

_PCM = np.dtype("<i2")
_PCM_MIN, _PCM_MAX = -32768.0, 32767.0


class FilterBank(NamedTuple):
    """A conversion as a matrix: `history + block_in` samples in a row vector times `matrix` are `block_out` samples."""

    matrix: npt.NDArray[np.float64]
    """Shape [history + block_in, block_out]."""
    history: int
    """Input samples before a block that its output depends on."""
    block_in: int
    """Input samples of a block."""
    block_out: int
    """Output samples of a block."""


@lru_cache(maxsize=32)
def filter_bank(from_hz: int, to_hz: int, blocks_per_s: int = _BLOCKS_PER_S) -> FilterBank:
    """Design the conversion for blocks of 1/`blocks_per_s` seconds. The matrix is shared: do not write to it.

    Raises:
        ValueError: a rate that is not in `RATES_HZ`, or blocks that are no whole number of samples.
    """
    if from_hz not in RATES_HZ or to_hz not in RATES_HZ:
        raise ValueError(f"no conversion from {from_hz} to {to_hz} Hz: known rates are {RATES_HZ}")
    if from_hz % blocks_per_s or to_hz % blocks_per_s:
        raise ValueError(f"a block of 1/{blocks_per_s} s is no whole number of samples at {from_hz} and {to_hz} Hz")
    common_hz = math.lcm(from_hz, to_hz)
    up, down = common_hz // from_hz, common_hz // to_hz
    delay = round(DELAY_MS * common_hz / 1000)
    taps = np.sinc(np.arange(-delay, delay + 1) * (min(from_hz, to_hz) / common_hz)) * np.kaiser(
        2 * delay + 1, _KAISER_BETA
    )
    history, block_in, block_out = 2 * delay // up, from_hz // blocks_per_s, to_hz // blocks_per_s
    matrix = np.zeros((history + block_in, block_out))
    for column in range(block_out):
        position = column * down  # of this output sample on the common clock, 0 at the block's first input sample
        for row in range(history + block_in):
            tap = position - (row - history) * up
            if 0 <= tap <= 2 * delay:
                matrix[row, column] = taps[tap]
    matrix /= matrix.sum(axis=0)  # unity gain in every phase: a constant comes out as the same constant
    matrix = np.rint(matrix * _COEFFICIENT_SCALE) / _COEFFICIENT_SCALE
    matrix.flags.writeable = False
    return FilterBank(matrix, history, block_in, block_out)


class Resampler:
    """Converts one PCM stream; a chunk of 20 ms gives 20 ms, every time. Not for use from two threads at once."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Both rates from `RATES_HZ`; equal rates pass audio through without delay. Raises ValueError otherwise."""
        self._bank = filter_bank(from_hz, to_hz)
        self._is_identity = from_hz == to_hz
        self.delay_ms = 0.0 if self._is_identity else DELAY_MS
        """How much later a sound comes out than it went in."""
        self._from_hz, self._to_hz = from_hz, to_hz
        bank = self._bank
        self._line = np.zeros(bank.history + _MAX_BLOCKS * bank.block_in)
        stride = self._line.itemsize
        self._blocks: npt.NDArray[np.float64] = np.ndarray(
            (_MAX_BLOCKS, bank.history + bank.block_in),
            np.float64,
            buffer=self._line.data,
            strides=(bank.block_in * stride, stride),
        )
        self._rest = b""

    def process(self, pcm: bytes) -> bytes:
        """Convert a chunk of any length; less than half a millisecond waits for the next call.

        Raises:
            ValueError: not a whole number of samples.
        """
        if len(pcm) % SAMPLE_BYTES:
            raise ValueError(f"PCM of {len(pcm)} bytes is not a whole number of 16-bit samples")
        if self._is_identity:
            return pcm
        pending = self._rest + pcm if self._rest else pcm
        block_bytes = self._bank.block_in * SAMPLE_BYTES
        blocks = len(pending) // block_bytes
        self._rest = pending[blocks * block_bytes :]
        if blocks <= _MAX_BLOCKS:
            return self._convert(pending, 0, blocks) if blocks else b""
        return b"".join(
            self._convert(pending, first, min(_MAX_BLOCKS, blocks - first)) for first in range(0, blocks, _MAX_BLOCKS)
        )

    def flush(self) -> bytes:
        """Return what the filter still holds, `delay_ms` and the waiting remainder, and start anew."""
        if self._is_identity:
            return b""
        bank = self._bank
        waiting = len(self._rest) // SAMPLE_BYTES
        tail = math.ceil(waiting * self._to_hz / self._from_hz) + round(DELAY_MS * self._to_hz / 1000)
        blocks = math.ceil(tail / bank.block_out)
        padded = self._rest.ljust(blocks * bank.block_in * SAMPLE_BYTES, b"\0")
        pcm = self._convert(padded, 0, blocks)[: tail * SAMPLE_BYTES]
        self.reset()
        return pcm

    def reset(self) -> None:
        """Forget what went through, as after a gap in the stream."""
        self._line[: self._bank.history] = 0.0
        self._rest = b""

    def _convert(self, pcm: bytes, first: int, blocks: int) -> bytes:
        """Convert `blocks` whole blocks of `pcm` from block `first` on; at most `_MAX_BLOCKS`."""
        _, history, block_in, _ = self._bank
        samples, line = blocks * block_in, self._line
        line[history : history + samples] = np.frombuffer(pcm, _PCM, samples, first * block_in * SAMPLE_BYTES)
        converted: npt.NDArray[np.float64] = self._blocks[:blocks].dot(self._bank.matrix)
        line[:history] = line[samples : samples + history]
        np.rint(converted, out=converted)
        np.maximum(converted, _PCM_MIN, out=converted)
        np.minimum(converted, _PCM_MAX, out=converted)
        return converted.astype(_PCM).tobytes()


class RowResampler:
    """Converts rows of samples, each of a stream of its own, in one call; keeps no state.

    The same filter as `Resampler` and the same delay; single precision, so a sample may differ by one.
    """

    _BLOCKS_PER_S = 500  # longer blocks than a single stream's: fewer, larger products

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Both rates from `RATES_HZ`, and different. Raises ValueError otherwise."""
        self._bank = filter_bank(from_hz, to_hz, self._BLOCKS_PER_S)
        self._matrix = self._bank.matrix.astype(np.float32)
        self.history = self._bank.history
        """Samples that stand at the head of each row: those of its stream before the ones to convert."""

    def convert(self, rows: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Convert [streams, history + n] to [streams, n x to_hz / from_hz]; n is a multiple of 2 ms."""
        _, history, block_in, block_out = self._bank
        count, width = rows.shape
        blocks = (width - history) // block_in
        line = rows.astype(np.float32)
        item = line.itemsize
        windows: npt.NDArray[np.float32] = np.ndarray(
            (count, blocks, history + block_in),
            np.float32,
            buffer=line.data,
            strides=(width * item, block_in * item, item),
        )
        lined_up = windows.reshape(count * blocks, -1)
        converted = np.empty((count * blocks, block_out), np.float32)
        step = max(1, _ONE_THREAD_PRODUCT // self._matrix.size)
        for row in range(0, count * blocks, step):
            np.dot(lined_up[row : row + step], self._matrix, out=converted[row : row + step])
        np.rint(converted, out=converted)
        np.maximum(converted, np.float32(_PCM_MIN), out=converted)
        np.minimum(converted, np.float32(_PCM_MAX), out=converted)
        return converted.astype(_PCM).reshape(count, blocks * block_out)
