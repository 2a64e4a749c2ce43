import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.message import Rejection, Request
from sip.stream import Ping, StreamFramer

HEAD = (
    b"INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP c;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:b>;tag=2\r\n"
    b"Call-ID: x\r\nCSeq: 1 INFO\r\n"
)


def message(body: bytes = b"", head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.integers(1, 400))
def test_messages_come_out_whole_however_they_are_cut(bodies: list[bytes], size: int) -> None:
    data = b"".join(message(body) for body in bodies)
    framer = StreamFramer()
    found = [one for at in range(0, len(data), size) for one in framer.receive(data[at : at + size])]
    assert [one.body for one in found if isinstance(one, Request)] == bodies
    assert framer.buffered_bytes == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=80), st.just(HEAD), st.just(b"Content-Length: 3\r\n\r\n")), max_size=8))
def test_any_stream_is_read_without_an_exception(pieces: list[bytes]) -> None:
    framer = StreamFramer()
    for piece in pieces:
        framer.receive(piece)


def test_a_double_line_end_is_a_ping_a_single_one_is_nothing() -> None:
    framer = StreamFramer()
    assert framer.receive(b"\r\n\r\n") == [Ping()]
    assert framer.receive(b"\r\n") == []
    assert [type(one) for one in framer.receive(message())] == [Request]
    assert framer.receive(b"\r") == []
    assert framer.receive(b"\n\r") == []
    assert framer.receive(b"\n") == [Ping()]


def test_a_stream_needs_content_length() -> None:
    framer = StreamFramer()
    (rejection,) = framer.receive(HEAD + b"\r\n")
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400
    assert framer.failed
    assert framer.receive(message()) == []


def test_a_malformed_message_of_known_size_does_not_end_the_connection() -> None:
    framer = StreamFramer()
    bad = message(b"body", HEAD.replace(b"CSeq: 1 INFO", b"CSeq: 1 BYE"))
    first, second = framer.receive(bad + message(b"ok"))
    assert isinstance(first, Rejection)
    assert isinstance(second, Request)
    assert second.body == b"ok"


@pytest.mark.parametrize("data", [b"x" * 70_000, HEAD + b"Content-Length: 100000\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_too_large_or_not_sip_ends_the_connection(data: bytes) -> None:
    framer = StreamFramer()
    (rejection,) = framer.receive(data)
    assert isinstance(rejection, Rejection)
    assert framer.failed
    assert framer.buffered_bytes == 0


def test_a_head_that_drips_in_is_searched_once() -> None:
    framer = StreamFramer()
    data = message(b"x" * 100)
    found = [one for at in range(len(data)) for one in framer.receive(data[at : at + 1])]
    assert len(found) == 1
