"""The outbox over a byte stream whose peer is stepped by hand."""

import asyncio
from typing import Any

import pytest

from transports import outbox
from transports.outbox import Outbox, OutboxLimits, Traffic
from voice.framing import Cutter


class Stream(asyncio.WriteTransport):
    """A byte stream: what is written is queued until `take` lets the peer read."""

    def __init__(self) -> None:
        super().__init__()
        self.queued: list[str] = []
        self.aborted = False
        self.closing = False

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.queued))

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = self.closing = True
        self.queued.clear()

    def write(self, data: Any) -> None:
        self.queued += [frame[start:].decode() for frame, start in Cutter(10_000).feed(bytes(data))]

    def take(self, messages: int) -> None:
        del self.queued[:messages]


class Socket:
    """What aiohttp knows of the WebSocket over that stream."""

    def __init__(self) -> None:
        self.waits = False
        self.lost = False
        self.closed = False
        self.pings = 0

    async def ping(self) -> None:
        if self.lost:
            raise ConnectionResetError("Cannot write to closing transport")
        self.pings += 1
        if self.waits:
            await asyncio.sleep(0)


LIMITS = OutboxLimits(high_water_bytes=20, limit_bytes=50, stall_s=0)


@pytest.fixture(autouse=True)
def _poll_at_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "POLL_S", 0)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def socket() -> Socket:
    return Socket()


def test_messages_are_on_their_way_in_call_order_before_send_returns(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, LIMITS)
    for text in ("a", "b", "c"):
        box.send(text)
    assert stream.queued == ["a", "b", "c"]


def test_a_client_that_does_not_read_is_given_up_and_its_memory_freed(socket: Socket, stream: Stream) -> None:
    traffic = Traffic()
    box = Outbox(socket, stream, LIMITS, traffic)
    for _ in range(100):
        box.send("x" * 10)
    assert stream.aborted
    assert box.abandoned
    assert box.queued_bytes == 0
    assert traffic.slow_consumers == 1
    assert traffic.sent_chars <= LIMITS.limit_bytes + 2 * 10


def test_one_event_larger_than_the_limit_is_not_a_slow_consumer(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, LIMITS)
    box.send("x" * 1000)
    box.send("small")
    assert not stream.aborted
    assert box.over_limit


def test_the_allowance_for_a_large_event_ends_when_it_was_read(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, LIMITS)
    box.send("x" * 1000)
    stream.take(1)
    for _ in range(100):
        box.send("x" * 10)
    assert stream.aborted


def test_sending_to_a_lost_client_is_silent(socket: Socket, stream: Stream) -> None:
    socket.lost = True
    Outbox(socket, stream, LIMITS).control(socket.ping())
    stream.closing = True
    Outbox(socket, stream, LIMITS).send("a")
    Outbox(socket, stream, LIMITS).control(socket.ping())
    assert (stream.queued, socket.pings) == ([], 0)


def test_nothing_is_sent_behind_the_close_frame(socket: Socket, stream: Stream) -> None:
    socket.closed = True
    Outbox(socket, stream, LIMITS).send("a")
    assert stream.queued == []


def test_a_socket_that_waits_to_send_is_a_fault_of_ours(socket: Socket, stream: Stream) -> None:
    socket.waits = True
    with pytest.raises(RuntimeError, match="writer limit"):
        Outbox(socket, stream, LIMITS).control(socket.ping())


async def test_audio_waits_above_the_high_water_and_goes_on_below(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, OutboxLimits(high_water_bytes=20, limit_bytes=50, stall_s=60))
    await box.wait_playable()
    for _ in range(3):
        box.send("x" * 10)
    waiting = asyncio.create_task(box.wait_playable())
    await asyncio.sleep(0)
    assert not waiting.done()
    stream.take(1)
    async with asyncio.timeout(5):
        await waiting
    assert not stream.aborted


async def test_audio_leaves_room_for_events_where_the_limit_is_set_low(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, OutboxLimits(limit_bytes=50, stall_s=60))
    box.send("x" * 30)
    waiting = asyncio.create_task(box.wait_playable())
    await asyncio.sleep(0)
    assert not waiting.done()
    stream.take(1)
    await waiting


async def test_a_cancelled_wait_harms_no_later_one(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, OutboxLimits(high_water_bytes=5, limit_bytes=50, stall_s=60))
    box.send("x" * 10)
    for _ in range(3):
        waiting = asyncio.create_task(box.wait_playable())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    stream.take(1)
    await box.wait_playable()


async def test_a_client_that_stands_still_while_something_waits_is_given_up(socket: Socket, stream: Stream) -> None:
    box = Outbox(socket, stream, LIMITS)
    box.send("x" * 30)
    async with asyncio.timeout(5):
        await box.wait_playable()
    assert stream.aborted


async def test_a_client_that_reads_slowly_but_steadily_is_kept(socket: Socket, stream: Stream) -> None:
    """With no patience at all it still counts that something was taken between two looks."""
    box = Outbox(socket, stream, OutboxLimits(high_water_bytes=0, limit_bytes=1000, stall_s=0.05))
    for _ in range(20):
        box.send("x" * 10)
    waiting = asyncio.create_task(box.wait_playable())
    clock = asyncio.get_running_loop().time
    taken_at = clock()
    while not waiting.done():
        await asyncio.sleep(0)
        if clock() - taken_at > 0.01:
            stream.take(1)
            taken_at = clock()
    assert not stream.aborted


def test_traffic_is_counted(socket: Socket, stream: Stream) -> None:
    traffic = Traffic()
    box = Outbox(socket, stream, LIMITS, traffic)
    box.send("abc")
    box.send("de")
    assert (traffic.sent_events, traffic.sent_chars) == (2, 5)
