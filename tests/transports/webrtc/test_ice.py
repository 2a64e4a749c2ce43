"""Which of a peer's candidates are of use."""

from pathlib import Path

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
