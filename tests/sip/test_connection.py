"""A stream connection without a stream: framing, keep-alives, what waits, what is overdue."""

import asyncio

import pytest

from sip.connection import ConnectionLimits, StreamFlow


class Pipe(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.buffered = 0
        self.is_closed = self.is_aborted = False

    def write(self, data) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class Rig:
    def __init__(self) -> None:
        self.now = 0.0
        self.received: list[object] = []
        self.closed = 0
        self.pipe = Pipe()
        limits = ConnectionLimits(unsent_bytes=1000)
        local, remote = ("127.0.0.1", 5060), ("127.0.0.1", 40_000)
        self.flow = StreamFlow("TCP", local, remote, limits, self._receive, self._close, lambda: self.now)

    def _receive(self, message: object, flow: StreamFlow) -> None:
        self.received.append(message)

    def _close(self, flow: StreamFlow) -> None:
        self.closed += 1


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_is_sent_before_the_connection_stands_waits(rig) -> None:
    assert rig.flow.send(b"one")
    assert rig.flow.send(b"two")
    rig.flow.connection_made(rig.pipe)
    assert rig.pipe.written == b"onetwo"


def test_too_much_that_waits_is_refused(rig) -> None:
    assert not rig.flow.send(b"x" * 1001)


def test_messages_come_whole_however_they_are_cut(rig, make_request) -> None:
    data = make_request("OPTIONS").encode()
    for at in range(0, len(data), 7):
        rig.flow.data_received(data[at : at + 7])
    assert [message.method for message in rig.received] == ["OPTIONS"]


def test_a_ping_gets_its_pong(rig) -> None:
    rig.flow.connection_made(rig.pipe)
    rig.flow.data_received(b"\r\n\r\n")
    assert rig.pipe.written == b"\r\n"


def test_what_cannot_be_framed_ends_the_connection(rig, make_request) -> None:
    rig.flow.connection_made(rig.pipe)
    rig.flow.data_received(make_request("OPTIONS").encode().replace(b"Content-Length: 0", b"Content-Length: x"))
    assert rig.pipe.is_closed


def test_a_peer_that_does_not_read_is_cut(rig) -> None:
    rig.flow.connection_made(rig.pipe)
    rig.pipe.buffered = 990
    assert not rig.flow.send(b"x" * 20)
    assert rig.pipe.is_aborted
    assert (rig.closed, rig.flow.is_open) == (1, False)
    rig.flow.connection_lost(None)
    assert rig.closed == 1


def test_a_peer_that_says_nothing_or_never_ends_its_message_is_overdue(rig, make_request) -> None:
    assert rig.flow.is_overdue(31.0)
    rig.flow.data_received(make_request("OPTIONS").encode())
    assert not rig.flow.is_overdue(1000.0)
    rig.flow.data_received(b"INVITE sip:")
    for second in range(1, 22):
        rig.now = float(second)
        rig.flow.data_received(b"x")  # a byte now and then does not help
    assert rig.flow.is_overdue(21.5)
