"""What the caller is to hear, cut into 20 ms frames on a steady grid, and what of it has been heard.

    engine     ████████ ███████████████      runs of any length, as fast as they are made
    queued     ───────────▶                  bounded: the owner waits at the high-water mark
    tick       │f│f│f│f│0│f│f│f│f│           one frame each, silence where nothing is queued: no gap, no burst
    far end    .. │f│f│f│f│0│f│f│            `far_buffer_ms` later: what is heard

    flush            x                       the frame of the next tick fades out in 5 ms, the rest is silence
    played_ms  ──────┤                       sent, less what the far end still buffers

An item drains once its last sample has been *heard*, not sent: a barge-in within the far end's buffer still cuts it.
Time is counted in ticks; whoever ticks keeps the clock.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.transport import Flushed

FRAME_MS = 20
FRAME_SAMPLES = CORE_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES

_SILENCE = bytes(FRAME_BYTES)
_FADE_SAMPLES = CORE_RATE_HZ * 5 // 1000
_FADE = ((_FADE_SAMPLES - np.arange(_FADE_SAMPLES)) / (_FADE_SAMPLES + 1)).astype(np.float32)
_MAX_FAR_BUFFER_MS = 1000


@dataclass(frozen=True, slots=True)
class PlayoutSettings:
    """How much is queued."""

    high_water_ms: float = 2000.0
    """From here on the owner waits before it queues more."""
    capacity_ms: float = 120_000.0
    """What is refused beyond: one run may be long, but not without end."""


@dataclass(frozen=True, slots=True)
class PlaybackStarted:
    """The first frame of audio after silence was sent (contract: `output_audio_buffer.started`)."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ItemDrained:
    """An item was heard to its end."""

    item_id: str


@dataclass(frozen=True, slots=True)
class PlaybackStopped:
    """All that was queued has been heard (contract: `output_audio_buffer.stopped`)."""

    item_id: str
    """The last that was heard."""


PlayoutEvent = PlaybackStarted | ItemDrained | PlaybackStopped


@dataclass(slots=True)
class _Item:
    item_id: str
    runs: deque[bytes] = field(default_factory=deque)
    offset: int = 0  # bytes taken from the first run
    queued: int = 0  # bytes
    sent: int = 0  # samples
    is_finished: bool = False


class Playout:
    """One leg's paced buffer of 24 kHz PCM. Everything is synchronous; `tick` is called once in 20 ms."""

    def __init__(self, settings: PlayoutSettings | None = None) -> None:
        """Empty and silent."""
        self._settings = settings or PlayoutSettings()
        self._items: deque[_Item] = deque()  # the one being heard first
        self._queued = 0  # bytes of all items
        self._far_ticks = 0
        self._sent_log: deque[tuple[tuple[_Item, int], ...]] = deque()  # per tick still in the far buffer
        self._fading = b""
        self._events: list[PlayoutEvent] = []
        self._is_playing = False
        self.refused_ms = 0.0
        """Audio dropped because the buffer was at its capacity."""
        self.underruns = 0
        """Ticks with less than a frame although more of the item is to come."""

    @property
    def level_ms(self) -> float:
        """How much waits to be sent."""
        return self._queued / (SAMPLE_BYTES * CORE_RATE_HZ / 1000)

    @property
    def is_full(self) -> bool:
        """True from the high-water mark on: wait for a tick that ends it before queueing more."""
        return self.level_ms >= self._settings.high_water_ms

    @property
    def is_playing(self) -> bool:
        """True from an item's first frame until all has been heard or flushed."""
        return self._is_playing

    @property
    def far_buffer_ms(self) -> float:
        """What the far end is taken to hold of what was sent, in whole frames."""
        return float(self._far_ticks * FRAME_MS)

    @far_buffer_ms.setter
    def far_buffer_ms(self, value: float) -> None:
        self._far_ticks = round(min(_MAX_FAR_BUFFER_MS, max(0.0, value)) / FRAME_MS)

    def play(self, item_id: str, pcm: bytes) -> bool:
        """Queue audio of an item behind all others; False when it was refused for want of room.

        Raises:
            ValueError: not a whole number of samples.
        """
        if len(pcm) % SAMPLE_BYTES:
            raise ValueError(f"PCM of {len(pcm)} bytes is not a whole number of 16-bit samples")
        duration_ms = len(pcm) * 1000 / (SAMPLE_BYTES * CORE_RATE_HZ)
        if self.level_ms + duration_ms > self._settings.capacity_ms:
            self.refused_ms += duration_ms
            return False
        item = self._find(item_id)
        if item is None:
            item = _Item(item_id)
            self._items.append(item)
        if pcm:
            item.runs.append(pcm)
            item.queued += len(pcm)
            self._queued += len(pcm)
        return True

    def finish(self, item_id: str) -> None:
        """Note that no more of an item will come. One that was never played drains with the next tick."""
        item = self._find(item_id)
        if item is None:
            item = _Item(item_id)
            self._items.append(item)
        item.is_finished = True

    def played_ms(self, item_id: str) -> int | None:
        """Return how much of an item has been heard; None for one that is not here: drained, flushed or unknown."""
        item = self._find(item_id)
        return None if item is None else self._heard_ms(item)

    def flush(self) -> Flushed | None:
        """Drop everything unheard; say what was heard of the item that was playing. None when there was none.

        Items behind it are gone unheard. The next tick fades out what it would have sent.
        """
        if not self._items:
            return None
        heard = next((item for item in self._items if not self._is_heard(item)), self._items[-1])
        flushed = Flushed(heard.item_id, self._heard_ms(heard))
        if self._is_playing and self._queued:
            self._fading = self._cut(_FADE_SAMPLES * SAMPLE_BYTES)
        self._items.clear()
        self._sent_log.clear()
        self._queued = 0
        self._is_playing = False
        return flushed

    def tick(self) -> bytes:
        """Return the frame to send now: always 20 ms, 960 bytes."""
        if self._fading:
            return self._fade_out()
        if not self._items:
            return _SILENCE
        frame = self._next_frame() if self._queued else self._underrun(b"")
        if self._sent_log:
            self._forget_heard()
        if self._items and not self._items[0].queued:
            self._drain()
        return frame

    def take_events(self) -> list[PlayoutEvent]:
        """Return what happened since the last call, in order."""
        if not self._events:
            return []
        events, self._events = self._events, []
        return events

    def _find(self, item_id: str) -> _Item | None:
        # From the end: audio is nearly always for the newest, and there are few.
        return next((item for item in reversed(self._items) if item.item_id == item_id), None)

    def _next_frame(self) -> bytes:
        frame = self._cut(FRAME_BYTES)
        if not self._is_playing:
            self._is_playing = True
            self._events.append(PlaybackStarted(self._sent_log[-1][0][0].item_id))
        return frame if len(frame) == FRAME_BYTES else self._underrun(frame)

    def _cut(self, size: int) -> bytes:
        """Take up to `size` bytes from the items in order, and log whose they are."""
        parts: list[bytes] = []
        shares: list[tuple[_Item, int]] = []
        wanted = size
        for item in self._items:
            taken = self._cut_item(item, wanted, parts)
            if taken:
                shares.append((item, taken // SAMPLE_BYTES))
                wanted -= taken
            if not wanted:
                break
        self._queued -= size - wanted
        self._sent_log.append(tuple(shares))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _cut_item(self, item: _Item, wanted: int, parts: list[bytes]) -> int:
        taken = 0
        while item.runs and taken < wanted:
            run = item.runs[0]
            part = run[item.offset : item.offset + wanted - taken]
            parts.append(part)
            taken += len(part)
            item.offset += len(part)
            if item.offset == len(run):
                item.runs.popleft()
                item.offset = 0
        item.queued -= taken
        item.sent += taken // SAMPLE_BYTES
        return taken

    def _underrun(self, frame: bytes) -> bytes:
        """Fill a frame up with silence; audio that breaks off in the middle fades, so that it does not click."""
        if not frame:
            self._sent_log.append(())
        if not all(item.is_finished for item in self._items):
            self.underruns += self._is_playing
            if frame:
                frame = _faded(frame)
        return frame.ljust(FRAME_BYTES, b"\0")

    def _forget_heard(self) -> None:
        while len(self._sent_log) > self._far_ticks:
            self._sent_log.popleft()

    def _drain(self) -> None:
        """Report items that are complete and heard."""
        while self._items and self._items[0].is_finished and self._is_heard(self._items[0]):
            item = self._items.popleft()
            self._events.append(ItemDrained(item.item_id))
            if not self._items and self._is_playing:
                self._is_playing = False
                self._events.append(PlaybackStopped(item.item_id))

    def _unheard_samples(self, item: _Item) -> int:
        return sum(samples for shares in self._sent_log for other, samples in shares if other is item)

    def _is_heard(self, item: _Item) -> bool:
        return not item.queued and not self._unheard_samples(item)

    def _heard_ms(self, item: _Item) -> int:
        return max(0, item.sent - self._unheard_samples(item)) * 1000 // CORE_RATE_HZ

    def _fade_out(self) -> bytes:
        fading, self._fading = self._fading, b""
        return _faded(fading).ljust(FRAME_BYTES, b"\0")


def _faded(pcm: bytes) -> bytes:
    """Return PCM whose last 5 ms, or all of it if shorter, fade to nothing."""
    count = min(_FADE_SAMPLES, len(pcm) // SAMPLE_BYTES)
    keep = len(pcm) - count * SAMPLE_BYTES
    tail = np.frombuffer(pcm, "<i2", count, keep) * _FADE[_FADE_SAMPLES - count :]
    return pcm[:keep] + np.rint(tail).astype("<i2").tobytes()
