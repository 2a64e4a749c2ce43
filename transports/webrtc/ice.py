"""ICE (RFC 8445) by aioice, on sockets of ours: datagrams are told apart before it sees them (RFC 7983).

    socket ──┬─ 0…3      STUN   aioice
             ├─ 20…63    DTLS   its queue, from proven addresses only
             ├─ 128…191  media  straight to the leg, in this very callback, from proven addresses only
             └─ others          dropped and counted

A NAT that gives the peer another address in the middle of a call, or a path that changes under it, is followed: the
peer proves the new address by a check, its media comes from there, and so ours goes there. Nobody has to nominate.

aioice reads every datagram as STUN first: that costs 10 µs a packet, and one RTP packet in 65,536 is misread. Its names
with an underscore that are used here are kept to this module.
"""

import asyncio
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import structlog
from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, Connection, StunProtocol, server_reflexive_candidate
from aioice.stun import TransactionError

from transports.rtp.socket import DatagramSocket
from transports.webrtc.description import IceCredentials
from transports.webrtc.errors import ConnectFailed, PortsTaken
from transports.webrtc.network import Network

log = structlog.get_logger(__name__)

Address = tuple[str, int]
Receive = Callable[[bytes], None]
"""Called with a datagram. Must not block or raise."""

_COMPONENT = 1
_MAX_REMOTE = 32
"""Addresses that a peer may prove; a phone that changes networks needs a few."""
_STUN_WAIT_S = 2.0
_STUN_OTHERS_S = 0.2
"""How long the other addresses are waited for, once one was told."""
_UNREADABLE = (ValueError, struct.error, IndexError, KeyError, AssertionError)
"""What aioice raises on a STUN message that is broken inside."""


class _SocketTransport:
    """What aioice sends through: the part of asyncio's datagram transport that it uses, on a socket of ours."""

    def __init__(self, agent: "IceAgent", network: Network, host: str, protocol: StunProtocol) -> None:
        self._protocol = protocol
        self._agent = agent
        self.socket = DatagramSocket(network.bind(host), self._receive)

    def _receive(self, datagram: bytes, source: Address) -> None:
        self._agent.receive_datagram(datagram, source, self._protocol)

    def sendto(self, data: bytes, destination: Address) -> None:
        """Send now or never."""
        self.socket.send(data, destination)

    def close(self) -> None:
        """Free the port and tell aioice, as asyncio would, in the next round of the loop."""
        self.socket.close()
        asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def get_extra_info(self, name: str) -> Any:
        """Return the bound address; there is nothing else to know."""
        return self.socket.local if name == "sockname" else None


class IceAgent(Connection):
    """One call's way to its peer."""

    def __init__(
        self, network: Network, receive_media: Receive, receive_dtls: Receive, *, is_controlling: bool
    ) -> None:
        """Both get only what comes from addresses that the peer has proven to hold."""
        super().__init__(ice_controlling=is_controlling)
        self._network = network
        self._receive_media = receive_media
        self._receive_dtls = receive_dtls
        self._proven: set[Address] = set()
        self._media_source: Address | None = None  # where the peer's media comes from, and ours goes to
        self.heard = 0
        """Counts the checks and answers of the peer: who looks at it from time to time knows whether it is there."""
        self.foreign_packets = 0
        """Datagrams of no protocol that is spoken here, or from an address that proved nothing."""

    @property
    def credentials(self) -> IceCredentials:
        """What the peer must know."""
        return IceCredentials(self.local_username, self.local_password)

    def described_candidates(self) -> tuple[tuple[str, ...], Address]:
        """Return the values of `a=candidate`, and the default candidate's address. Call after gathering."""
        lines: list[str] = []
        default: Address | None = None
        for candidate in self.local_candidates:
            host = self._network.advertised(candidate.host)
            line = candidate.to_sdp()
            if host != candidate.host:
                line = line.replace(f" {candidate.host} ", f" {host} ", 1)
            lines.append(line)
            default = default or (host, candidate.port)
        return tuple(lines), default or ("0.0.0.0", 9)

    async def get_component_candidates(  # its signature is aioice's
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109
    ) -> list[Candidate]:
        """Open the sockets (called by aioice's `gather_candidates`; its idea of addresses is not asked)."""
        protocols: list[StunProtocol] = []
        for host in self._network.addresses(time.monotonic()):
            protocol = StunProtocol(self)
            try:
                transport = _SocketTransport(self, self._network, host, protocol)
            except OSError as error:
                log.warning("no media socket", host=host, error=str(error))
                continue
            protocol.connection_made(cast(asyncio.DatagramTransport, transport))
            protocol.local_candidate = _host_candidate(transport.socket.local, len(protocols))
            protocols.append(protocol)
        if not protocols:
            raise PortsTaken(*(self._network.settings.ports or (1, 65535)))
        self._protocols += protocols
        candidates = [protocol.local_candidate for protocol in protocols]
        return candidates + await self._reflexive(protocols)

    async def _reflexive(self, protocols: list[StunProtocol]) -> list[Candidate]:
        server = self._network.settings.stun_server
        if server is None:
            return []
        found: list[Candidate] = []
        first = asyncio.Event()

        async def ask(protocol: StunProtocol) -> None:
            with suppress(OSError, TransactionError, ConnectionError):
                found.append((await server_reflexive_candidate(protocol, server))[0])
                first.set()

        # From some addresses of a machine, those of its containers say, the server cannot be reached at all.
        async with asyncio.TaskGroup() as group:
            asking = [
                group.create_task(ask(each), name="STUN") for each in protocols if ":" not in each.local_candidate.host
            ]
            with suppress(TimeoutError):
                await asyncio.wait_for(first.wait(), _STUN_WAIT_S)
                await asyncio.wait(asking, timeout=_STUN_OTHERS_S)
            for task in asking:
                task.cancel()
        if not found:
            log.warning("the STUN server does not answer", server=f"{server[0]}:{server[1]}")
        return found

    async def add_described(self, candidates: tuple[str, ...]) -> None:
        """Take the peer's candidates; the rest are learned from its checks. What cannot be used is passed over."""
        for text in candidates:
            try:
                candidate = Candidate.from_sdp(text)
            except (ValueError, IndexError):
                continue
            # A browser hides its addresses behind names that only its own network resolves: its checks tell them.
            if candidate.transport.lower() == "udp" and candidate.component == _COMPONENT and _is_address(candidate):
                await self.add_remote_candidate(candidate)

    async def establish(self, remote: IceCredentials, *, is_lite: bool) -> None:
        """Find a way to the peer. Waits for it without end: set a deadline. Raises: ConnectFailed."""
        self.remote_username, self.remote_password = remote.username, remote.password
        self.remote_is_lite = is_lite
        try:
            await self.connect()
        except ConnectionError as error:
            raise ConnectFailed("ice") from error

    # ---- datagrams

    def receive_datagram(self, datagram: bytes, source: Address, protocol: StunProtocol) -> None:
        """Take one from a socket."""
        first = datagram[0] if datagram else 255
        if source in self._proven:
            if 127 < first < 192:
                if source != self._media_source:
                    self._follow(source)
                self._receive_media(datagram)
                return
            if 19 < first < 64:
                self._receive_dtls(datagram)
                return
            self.heard += first < 4
        if first < 4:
            try:
                protocol.datagram_received(datagram, source)
            except _UNREADABLE:
                self.foreign_packets += 1
        else:
            self.foreign_packets += 1

    def data_received(self, data: bytes, component: int) -> None:
        """Drop what looked like STUN and is none (called by aioice)."""
        self.foreign_packets += 1

    def check_incoming(self, message: Any, addr: Address, protocol: StunProtocol) -> None:
        """Learn the address of a check that was signed with our password (called by aioice)."""
        self.heard += 1
        if addr not in self._proven and len(self._proven) >= _MAX_REMOTE:
            return
        self._proven.add(addr)
        super().check_incoming(message, addr, protocol)

    def _follow(self, addr: Address) -> None:
        """Send to where the peer's media comes from, as soon as a check of ours was answered there."""
        chosen = self._nominated.get(_COMPONENT)
        if chosen is None:
            return
        if chosen.remote_addr == addr:
            self._media_source = addr
            return
        for pair in self._check_list:
            if pair.remote_addr == addr and pair.state is CandidatePair.State.SUCCEEDED:
                log.debug("the peer's address has changed")
                pair.nominated = True
                self.check_complete(pair)
                self._media_source = addr
                return

    def check_complete(self, pair: CandidatePair) -> None:
        """Learn the address of a check of ours that was answered (called by aioice)."""
        if pair.state is CandidatePair.State.SUCCEEDED:
            self._proven.add(pair.remote_addr)
        super().check_complete(pair)

    @property
    def unsent_packets(self) -> int:
        """What the kernel did not take, on the sockets that are open."""
        return sum(cast(_SocketTransport, protocol.transport).socket.unsent_packets for protocol in self._protocols)

    def mute(self) -> None:
        """Close the sockets under everything that still wants to send."""
        for protocol in self._protocols:
            cast(_SocketTransport, protocol.transport).socket.close()

    def send_now(self, datagram: bytes) -> None:
        """Send on the chosen way; nothing happens while there is none."""
        pair = self._nominated.get(_COMPONENT)
        if pair is not None:
            pair.protocol.transport.sendto(datagram, pair.remote_addr)


def _host_candidate(local: Address, index: int) -> Candidate:
    host, port = local
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=_COMPONENT,
        transport="udp",
        priority=candidate_priority(_COMPONENT, "host", 65535 - index),
        host=host,
        port=port,
        type="host",
    )


def _is_address(candidate: Candidate) -> bool:
    return not candidate.host.endswith(".local") and candidate.type in ("host", "srflx", "relay", "prflx")
