"""The input audio buffer: 24 kHz PCM that was received and not committed yet, on the session's audio clock.

    clock:   0 ........ start ............................. end
                        |<---------- kept here ----------->|

The clock counts every sample ever written in the session (contract 4.2: `audio_start_ms` counts from there).
"""

from collections import deque

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.session.runs import append_run

MINIMUM_COMMIT_MS = 100
"""Contract 2.4."""


def to_ms(samples: int) -> int:
    """Milliseconds of that many samples of the session's clock."""
    return samples * 1000 // CORE_RATE_HZ


def to_samples(milliseconds: float) -> int:
    """Samples of the session's clock in that many milliseconds."""
    return int(milliseconds * CORE_RATE_HZ / 1000)


class InputBuffer:
    """A window on the stream of input audio. Full: the oldest is dropped and counted (design §5).

    A quarter of an hour in one buffer would be 40 MB to be moved at once.
    """

    def __init__(self, capacity_s: float = 900.0) -> None:
        """`capacity_s` bounds what a push-to-talk client can pile up before it commits."""
        self._blocks: deque[bytes | bytearray] = deque()
        self._skipped_bytes = 0  # of the first block
        self._kept_bytes = 0
        self._capacity_bytes = to_samples(capacity_s * 1000) * SAMPLE_BYTES
        self.start = 0
        self.dropped_samples = 0

    @property
    def end(self) -> int:
        """The session's audio clock: samples written so far."""
        return self.start + self._kept_bytes // SAMPLE_BYTES

    @property
    def duration_ms(self) -> float:
        """Length of what is kept."""
        return self._kept_bytes // SAMPLE_BYTES * 1000 / CORE_RATE_HZ

    def append(self, pcm: bytes) -> None:
        """Write 24 kHz PCM behind what is there."""
        append_run(self._blocks, pcm)
        self._kept_bytes += len(pcm)
        excess = self._kept_bytes - self._capacity_bytes
        if excess > 0:
            self.dropped_samples += excess // SAMPLE_BYTES
            self.drop_until(self.start + excess // SAMPLE_BYTES)

    def read(self, start: int, end: int) -> bytes:
        """Return the PCM between two clock positions, as far as it is still kept."""
        first, last = max(start - self.start, 0) * SAMPLE_BYTES, max(end - self.start, 0) * SAMPLE_BYTES
        found: list[memoryview] = []
        at = self._kept_bytes
        for block in reversed(self._blocks):  # what is read ends where the buffer does, or near
            if at <= first:
                break
            begins = at - len(block)  # below 0 by what is skipped of the first
            if begins < last:
                found.append(memoryview(block)[max(first, begins) - begins : last - begins])
            at = begins
        return b"".join(reversed(found))

    def drop_until(self, sample: int) -> None:
        """Forget everything before that clock position."""
        count = min(max(sample - self.start, 0), self._kept_bytes // SAMPLE_BYTES)
        self.start += count
        self._kept_bytes -= count * SAMPLE_BYTES
        self._skipped_bytes += count * SAMPLE_BYTES
        while self._blocks and self._skipped_bytes >= len(self._blocks[0]):
            self._skipped_bytes -= len(self._blocks.popleft())

    def keep_last(self, samples: int) -> None:
        """Forget what is older than that; not at each append, so that up to a second more may be there."""
        if self._kept_bytes > (samples + CORE_RATE_HZ) * SAMPLE_BYTES:
            self.drop_until(self.end - samples)

    def clear(self) -> None:
        """Forget everything; the clock goes on."""
        self.drop_until(self.end)
