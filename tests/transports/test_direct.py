"""What of a client's stream is read where it arrives, and what goes to aiohttp."""

import asyncio

import pytest
from websockets.frames import Frame, Opcode

from transports.direct import DirectReading


class Library(asyncio.Protocol):
    """What aiohttp would get."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.told: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.received.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(exc)

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Stream(asyncio.Transport):
    """Has a protocol, which can be changed."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol


class Client:
    """A stream with a reader at rest that takes everything it is offered, until told otherwise."""

    def __init__(self, *, was_early: bool = False) -> None:
        self.library = Library()
        self.taken: list[str] = []
        self.takes = True
        stream = Stream(self.library)
        self.reading = DirectReading.install(stream, self._take, was_early=was_early)
        assert stream.protocol is self.reading
        self.reading.is_at_rest = True

    def _take(self, text: str) -> bool:
        if self.takes:
            self.taken.append(text)
        return self.takes

    def send(self, *frames: bytes) -> None:
        self.reading.data_received(b"".join(frames))


def frame(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


@pytest.fixture
def client() -> Client:
    return Client()


def test_texts_are_taken_in_the_middle_of_reading(client: Client) -> None:
    client.send(frame("één".encode()), frame(b"two"))
    assert (client.taken, client.library.received) == (["één", "two"], [])


def test_a_text_in_pieces_is_taken_when_it_is_whole(client: Client) -> None:
    text = frame(b"a whole text")
    client.send(text[:3])
    assert client.taken == []
    client.send(text[3:])
    assert (client.taken, client.library.received) == (["a whole text"], [])


def test_a_text_behind_what_the_library_has_waits_for_its_turn(client: Client) -> None:
    ping, text = frame(b"", Opcode.PING), frame(b"behind it")
    client.send(ping, text)
    assert (client.taken, client.library.received) == ([], [ping + text])
    client.reading.is_at_rest = True
    client.send(frame(b"next"))
    assert client.taken == ["next"]


def test_a_text_that_is_declined_goes_to_the_library_and_those_behind_it_too(client: Client) -> None:
    client.takes = False
    first, second = frame(b"first"), frame(b"second")
    client.send(first)
    client.takes = True
    client.send(second)
    assert (client.taken, client.library.received) == ([], [first, second])


@pytest.mark.parametrize(
    "odd",
    [
        frame(b"\0", Opcode.BINARY),
        frame(b"first of two", fin=False),
        frame(b"not \xff text"),
        frame(b"not masked", mask=False),
        frame(b"\x03\xe8", Opcode.CLOSE),
        frame(b"x" * 20_000),
    ],
)
def test_everything_else_is_the_librarys_as_it_came(client: Client, odd: bytes) -> None:
    client.send(odd)
    assert (client.taken, b"".join(client.library.received)) == ([], odd)


def test_all_of_a_client_that_has_not_waited_for_the_answer_is_the_librarys() -> None:
    client, rest = Client(was_early=True), frame(b"of which the library has the beginning")[3:]
    following = frame(b"next")
    client.send(rest)
    client.send(following)
    assert (client.taken, client.library.received) == ([], [rest, following])


def test_a_run_of_small_frames_reaches_the_library_in_one_piece(client: Client) -> None:
    run = frame(b"", Opcode.PONG) * 1000
    client.send(run)
    assert client.library.received == [run]


def test_the_library_learns_what_becomes_of_the_connection(client: Client) -> None:
    client.reading.pause_writing()
    client.reading.resume_writing()
    assert client.reading.eof_received()
    client.reading.connection_lost(None)
    assert client.library.told == ["pause", "resume", "eof", None]
