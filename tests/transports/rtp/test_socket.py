import asyncio
import socket

import pytest

from transports.rtp.errors import PortsExhausted
from transports.rtp.socket import DatagramSocket, PortPool, bind

HOST = "127.0.0.1"


async def test_a_datagram_arrives_with_its_source_and_can_be_answered() -> None:
    got: asyncio.Queue[tuple[bytes, tuple[str, int]]] = asyncio.Queue()
    one = DatagramSocket(bind(HOST, 0), lambda data, source: got.put_nowait((data, source)))

    def answer(data: bytes, source: tuple[str, int]) -> None:
        other.send(data.upper(), source)

    other = DatagramSocket(bind(HOST, 0), answer)
    assert one.send(b"hello", other.local)
    assert await asyncio.wait_for(got.get(), 2) == (b"HELLO", other.local)
    one.close()
    one.close()
    other.close()


async def test_a_peer_that_is_gone_costs_packets_and_nothing_else() -> None:
    got = asyncio.Event()
    one = DatagramSocket(bind(HOST, 0), lambda data, source: got.set())
    gone = bind(HOST, 0)
    address = gone.getsockname()
    gone.close()
    for _ in range(5):
        one.send(b"x", address)
        await asyncio.sleep(0)
    one.send(b"x", one.local)
    await asyncio.wait_for(got.wait(), 2)
    one.close()
    assert not one.send(b"x", address)
    assert one.unsent_packets >= 1


async def test_a_socket_closed_by_its_own_callback_reads_no_further() -> None:
    seen = []

    def receive(data: bytes, source: tuple[str, int]) -> None:
        seen.append(data)
        one.close()
        done.set()

    done = asyncio.Event()
    one = DatagramSocket(bind(HOST, 0), receive)
    for _ in range(3):
        one.send(b"x", one.local)
    await asyncio.wait_for(done.wait(), 2)
    assert seen == [b"x"]


def test_voice_is_marked_as_voice() -> None:
    with bind(HOST, 0) as bound:
        assert bound.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0xB8


def test_ports_are_even_and_the_longest_rested_comes_first() -> None:
    pool = PortPool(10_001, 10_007, quarantine_s=5)
    assert [pool.acquire(0.0) for _ in range(3)] == [10_002, 10_004, 10_006]
    pool.release(10_004, 1.0)
    pool.release(10_002, 2.0)
    assert pool.acquire(7.5) == 10_004
    assert pool.acquire(7.5) == 10_002
    assert pool.taken == 3


def test_a_port_rests_after_use() -> None:
    pool = PortPool(10_000, 10_001, quarantine_s=5)
    port = pool.acquire(0.0)
    pool.release(port, 10.0)
    pool.release(port, 10.0)
    with pytest.raises(PortsExhausted):
        pool.acquire(14.9)
    assert pool.acquire(15.0) == port


def test_a_pair_passes_over_ports_that_others_hold() -> None:
    with bind(HOST, 0) as probe:
        taken = probe.getsockname()[1] & ~1
        pool = PortPool(taken, min(65_535, taken + 21))
        media, control = pool.bind_pair(HOST, 0.0)
        assert media.getsockname()[1] % 2 == 0
        assert control.getsockname()[1] == media.getsockname()[1] + 1
        assert taken != media.getsockname()[1]
        media.close()
        control.close()


@pytest.mark.parametrize(("first", "last"), [(0, 100), (10_001, 10_002), (5, 4), (60_000, 70_000)])
def test_a_range_without_a_pair_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="pair"):
        PortPool(first, last)
