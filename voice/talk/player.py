"""What a caller's loudspeaker plays when: a pure model of a client's player.

    receive ──► queued behind what plays ──► heard as the clock passes
                        flush: everything after now is dropped, and each item's heard length is known

Time is counted in samples at 24 kHz on the caller's clock, which starts with the conversation.
"""

from dataclasses import dataclass

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES


@dataclass(slots=True)
class _Segment:
    item_id: str
    content_index: int
    start_sample: int
    pcm: bytes

    @property
    def end_sample(self) -> int:
        return self.start_sample + len(self.pcm) // SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class Cut:
    """An item whose playing was cut: what `conversation.item.truncate` is to say (contract 4.7)."""

    item_id: str
    content_index: int
    played_ms: int
    """Heard of this item, rounded down; 0 when none of it was."""


class Player:
    """Plays what it is given without gaps, and knows what was heard."""

    def __init__(self) -> None:
        """Start silent, at sample 0."""
        self._segments: list[_Segment] = []
        self._end_sample = 0

    @property
    def end_sample(self) -> int:
        """Where the last of what was received is played out."""
        return self._end_sample

    def receive(self, item_id: str, content_index: int, pcm: bytes, at_sample: int) -> int:
        """Queue audio that arrives now; return the sample at which it begins to be heard."""
        start = max(at_sample, self._end_sample)
        self._segments.append(_Segment(item_id, content_index, start, pcm))
        self._end_sample = start + len(pcm) // SAMPLE_BYTES
        return start

    def is_playing(self, at_sample: int) -> bool:
        """Tell whether something is still to be heard."""
        return at_sample < self._end_sample

    def flush(self, at_sample: int) -> list[Cut]:
        """Drop what has not been heard; return the items it was cut from, in playing order."""
        cut: dict[tuple[str, int], None] = {}
        kept = []
        for segment in self._segments:
            if segment.end_sample <= at_sample:
                kept.append(segment)
                continue
            cut[segment.item_id, segment.content_index] = None
            heard_samples = max(0, at_sample - segment.start_sample)
            if heard_samples:
                segment.pcm = segment.pcm[: heard_samples * SAMPLE_BYTES]
                kept.append(segment)
        self._segments = kept
        self._end_sample = min(self._end_sample, at_sample)
        return [Cut(item, index, self.heard_ms(item, index, at_sample)) for item, index in cut]

    def heard_ms(self, item_id: str, content_index: int, at_sample: int) -> int:
        """Return how much of an item has been heard by now, rounded down."""
        samples = sum(
            max(0, min(segment.end_sample, at_sample) - segment.start_sample)
            for segment in self._segments
            if segment.item_id == item_id and segment.content_index == content_index
        )
        return samples * 1000 // CORE_RATE_HZ

    def render(self) -> bytes:
        """Return all that was heard as one track from sample 0, silence between."""
        track = bytearray(self._end_sample * SAMPLE_BYTES)
        for segment in self._segments:
            start = segment.start_sample * SAMPLE_BYTES
            track[start : start + len(segment.pcm)] = segment.pcm
        return bytes(track)
