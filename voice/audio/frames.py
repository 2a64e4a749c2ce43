"""The one audio currency between packages: a short run of mono PCM with its place on its stream's clock."""

from collections.abc import Iterator

import msgspec

SAMPLE_BYTES = 2
"""Signed 16-bit little-endian."""

CORE_RATE_HZ = 24_000
"""The rate of the session's input buffer and of every engine's audio."""

HEARING_RATE_HZ = 16_000
"""The rate of voice activity detection and of speech-to-text."""


class AudioFrame(msgspec.Struct, frozen=True, gc=False):
    """A run of audio of any length. Audio time is counted in samples, never read from a clock.

    Two are made for each 20 ms of a call; a frozen dataclass takes four times as long to make (0.43 and 0.10 µs). The
    same goes for the other types that are made as often.
    """

    pcm: bytes
    """Mono, signed 16-bit little-endian; whole samples only."""
    rate_hz: int
    """Samples per second."""
    pts: int = 0
    """Index of the first sample on the clock of the stream that the frame belongs to."""

    def __post_init__(self) -> None:
        if len(self.pcm) % SAMPLE_BYTES:
            raise ValueError(f"PCM of {len(self.pcm)} bytes is not a whole number of 16-bit samples")

    @property
    def samples(self) -> int:
        """Length in samples."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def duration_ms(self) -> float:
        """Length in milliseconds."""
        return self.samples * 1000 / self.rate_hz


class Framer:
    """Cuts a stream of PCM runs of any length into frames of one length, losing and inventing nothing."""

    def __init__(self, frame_samples: int, rate_hz: int, pts: int = 0) -> None:
        """`frame_samples` is the length of every frame; `pts` the clock of the first."""
        if frame_samples <= 0:
            raise ValueError("a frame holds at least one sample")
        self._frame_bytes = frame_samples * SAMPLE_BYTES
        self._rate_hz = rate_hz
        self._pts = pts
        self._rest = b""

    def push(self, pcm: bytes) -> Iterator[AudioFrame]:
        """Yield every whole frame that `pcm` completes; the remainder waits for the next call."""
        pending = self._rest + pcm if self._rest else pcm
        whole = len(pending) - len(pending) % self._frame_bytes
        self._rest = pending[whole:]
        frames = []
        for start in range(0, whole, self._frame_bytes):
            frames.append(AudioFrame(pending[start : start + self._frame_bytes], self._rate_hz, self._pts))
            self._pts += self._frame_bytes // SAMPLE_BYTES
        return iter(frames)

    def flush(self) -> AudioFrame | None:
        """Return what waits, shorter than a frame, or None."""
        rest, self._rest = self._rest, b""
        if not rest:
            return None
        frame = AudioFrame(rest, self._rate_hz, self._pts)
        self._pts += frame.samples
        return frame
