"""Which of a peer's candidates are of use, and which addresses a peer is told of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from aioice import stun

from transports.webrtc import description
from transports.webrtc.ice import IceAgent
from transports.webrtc.network import Network, NetworkSettings

BROWSERS = Path(__file__).parents[2] / "data" / "sdp"


async def usable(*candidates: str) -> list[tuple[str, int]]:
    agent = IceAgent(Network(NetworkSettings(("127.0.0.1",))), print, print, is_controlling=False)
    await agent.add_described(candidates)
    return [(each.host, each.port) for each in agent.remote_candidates]


async def test_names_that_only_the_peer_s_network_resolves_and_tcp_are_passed_over() -> None:
    read = description.read((BROWSERS / "firefox.sdp").read_text())
    assert await usable(*read.candidates) == [("203.0.113.7", 58949)]


async def test_addresses_of_both_families_are_taken() -> None:
    read = description.read((BROWSERS / "safari.sdp").read_text())
    hosts = [host for host, _ in await usable(*read.candidates)]
    assert hosts == ["192.0.2.87", "2001:db8:dc10:a8cb:5e93:9627:557c:1", "198.51.100.20"]


async def test_what_is_no_candidate_is_passed_over() -> None:
    assert await usable("", "1", "1 1 udp x 192.0.2.1 1 typ host", "1 1 udp 1 192.0.2.1 1 typ nothing") == []


class StunServer(asyncio.DatagramProtocol):
    """Tells who asks from `reachable` that the world knows him as 203.0.113.9; others it never hears of."""

    def __init__(self, reachable: set[str]) -> None:
        self._reachable = reachable
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if addr[0] not in self._reachable:
            return
        asked = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", addr[1])
        self.transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def gathered(*reachable: str) -> AsyncIterator[tuple[str, ...]]:
    """Gather on two addresses, of which the server hears those that are reachable; give the candidates."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: StunServer(set(reachable)), ("127.0.0.1", 0))
    server = "127.0.0.1", transport.get_extra_info("sockname")[1]
    settings = NetworkSettings(("127.0.0.1", "127.0.0.2"), stun_server=server)
    agent = IceAgent(Network(settings), print, print, is_controlling=False)
    try:
        await agent.gather_candidates()
        yield agent.described_candidates()[0]
    finally:
        await agent.close()
        transport.close()


async def test_what_a_stun_server_says_is_told_although_another_address_does_not_reach_it() -> None:
    async with gathered("127.0.0.1") as candidates:
        reflexive = [line for line in candidates if "typ srflx" in line]
    assert len(candidates) == 3
    assert [line.split()[4] for line in reflexive] == ["203.0.113.9"]


async def test_without_the_stun_server_there_are_the_addresses_of_the_machine() -> None:
    async with gathered() as candidates:
        assert [line.split()[4] for line in candidates] == ["127.0.0.1", "127.0.0.2"]
