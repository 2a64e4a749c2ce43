"""What a connection to an upstream reads where it arrives, and what it leaves to the library."""

import asyncio
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from voice.upstream.direct import DirectConnection


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Peer:
    """A socket, what it has told, and the end of a server that is not there."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.lost: list[tuple[int | None, str | None]] = []
        protocol = ClientProtocol(parse_uri("ws://upstream/v1/realtime"), max_size=1000)
        self.socket = DirectConnection(
            protocol,
            on_message=self.messages.append,
            on_lost=lambda code, reason: self.lost.append((code, reason)),
            max_bytes=1000,
        )
        self.wire = Wire()
        self.socket.connection_made(self.wire)
        request = protocol.connect()
        protocol.send_request(request)
        self.socket.send_data()
        accepted = accept_key(request.headers["Sec-WebSocket-Key"])
        self.welcome = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accepted}\r\n\r\n"
        ).encode()

    def receive(self, *frames: Frame) -> None:
        self.socket.data_received(b"".join(frame.serialize(mask=False) for frame in frames))


@pytest.fixture
async def peer() -> Peer:
    return Peer()


def text(words: bytes) -> Frame:
    return Frame(Opcode.TEXT, words)


@pytest.mark.parametrize("run_bytes", [1, 3, 100, 10_000])
async def test_messages_right_behind_the_handshake_are_read(peer: Peer, run_bytes: int) -> None:
    stream = peer.welcome + text(b"one").serialize(mask=False) + text(b"two").serialize(mask=False)
    for at in range(0, len(stream), run_bytes):
        peer.socket.data_received(stream[at : at + run_bytes])
    assert peer.messages == [b"one", b"two"]


async def test_a_message_in_fragments_comes_whole_and_in_its_place(peer: Peer) -> None:
    peer.socket.data_received(peer.welcome)
    parts = (Frame(Opcode.TEXT, b"one ", fin=False), Frame(Opcode.CONT, b"and "), text(b"two"))
    peer.receive(*parts)
    assert peer.messages == [b"one and ", b"two"]


async def test_a_ping_is_answered(peer: Peer) -> None:
    peer.socket.data_received(peer.welcome)
    before = len(peer.wire.written)
    peer.receive(text(b"one"), Frame(Opcode.PING, b""), text(b"two"))
    assert peer.wire.written[before] == 0x80 | Opcode.PONG
    assert peer.messages == [b"one", b"two"]


async def test_why_the_upstream_closed_is_told(peer: Peer) -> None:
    peer.socket.data_received(peer.welcome)
    peer.receive(Frame(Opcode.CLOSE, Close(4000, "no credit").serialize()))
    peer.socket.connection_lost(None)
    assert peer.lost == [(4000, "no credit")]


async def test_nothing_is_read_or_sent_once_the_upstream_has_closed(peer: Peer) -> None:
    peer.socket.data_received(peer.welcome)
    peer.receive(Frame(Opcode.CLOSE, Close(1000, "").serialize()), text(b"late"))
    before = len(peer.wire.written)
    peer.socket.send_now("late")
    assert peer.messages == []
    assert len(peer.wire.written) == before


async def test_a_message_that_is_too_long_closes_the_connection(peer: Peer) -> None:
    peer.socket.data_received(peer.welcome)
    peer.receive(text(b"x" * 1001))
    peer.socket.connection_lost(None)
    assert peer.messages == []
    assert peer.socket.protocol.close_sent is not None
    assert peer.socket.protocol.close_sent.code == 1009


async def test_a_refusal_is_the_librarys_to_read(peer: Peer) -> None:
    peer.socket.data_received(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwh")
    peer.socket.data_received(b"o??")
    assert peer.socket.response is not None
    assert (peer.socket.response.status_code, peer.socket.response.body) == (401, b"who??")
