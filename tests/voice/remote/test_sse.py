"""Server-sent events, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.remote.sse import MAX_EVENT_BYTES, EventReader, EventTooLarge, ServerSentEvent

STREAM = (
    b': hello\n\nevent: delta\ndata: {"a":1}\n\n'
    b"data: one\ndata: two\r\n\r\nid: 7\nretry: 10\n\n"
    b"data:\xc3\xa9\n\ndata: [DONE]\n\n"
)
EVENTS = [
    ServerSentEvent('{"a":1}', "delta"),
    ServerSentEvent("one\ntwo"),
    ServerSentEvent("é"),
    ServerSentEvent("[DONE]"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_cut_gives_the_same_events(cuts: list[int]) -> None:
    reader = EventReader()
    edges = [0, *sorted(cuts), len(STREAM)]
    found = [event for start, stop in pairwise(edges) for event in reader.feed(STREAM[start:stop])]
    assert found == EVENTS


def test_an_unfinished_event_is_none() -> None:
    assert EventReader().feed(b"data: half\n") == []


@pytest.mark.parametrize("piece", [b"x" * 80_000, b"data: " + b"x" * 80_000 + b"\n"])
def test_an_event_without_an_end_is_not_kept_for_ever(piece: bytes) -> None:
    reader = EventReader()
    with pytest.raises(EventTooLarge):
        sum(len(reader.feed(piece)) for _ in range(MAX_EVENT_BYTES // 80_000 + 2))
