"""One connection from description to goodbye: ICE, then DTLS, then SCTP, and media beside them.

answer():  offer read ─► sockets ─► answer ─┐
offer():   sockets ─► offer ─► accept() ────┴─► connect(): ICE ─► DTLS ─► SCTP ─► connected ─► aclose()
"""

import asyncio
import secrets
import time
from collections.abc import Callable

from aiortc.rtcdtlstransport import RTCCertificate

from transports.live_audio import LiveAudio
from transports.rtp.leg import MediaLeg
from transports.rtp.quality import MediaTraffic
from transports.rtp.srtp import SrtpLeg
from transports.webrtc import description
from transports.webrtc.channel import EventChannel
from transports.webrtc.description import LocalDescription, RemoteDescription
from transports.webrtc.dtls import CertificateStore, DtlsLink, Role, fingerprints
from transports.webrtc.errors import ConnectFailed, DescriptionRefused
from transports.webrtc.ice import IceAgent
from transports.webrtc.media import media_leg
from transports.webrtc.network import Network


class Peer:
    """One call's connection. Make it with `answering` or `offering`; whoever has it must `aclose` it."""

    def __init__(
        self, network: Network, certificates: CertificateStore, traffic: MediaTraffic | None, *, is_controlling: bool
    ) -> None:
        """Opens nothing yet."""
        self._network = network
        self._traffic = traffic or MediaTraffic()
        self._certificate: RTCCertificate = certificates.current()
        self._ssrc = secrets.randbits(32)
        self._agent = self._new_agent(is_controlling=is_controlling)
        self._remote: RemoteDescription | None = None
        self._link: DtlsLink | None = None
        self.srtp: SrtpLeg | None = None
        """The keys of media, once connected."""
        self._next: IceAgent | None = None  # while ICE restarts
        self._role: Role = "client"
        self._is_closed = False
        self.audio = LiveAudio()
        self.media: MediaLeg | None = None
        """None until connected."""
        self.channel: EventChannel | None = None
        """None where the peer has no data channel, and before `connect`."""
        self.tap: Callable[[bytes], None] | None = None
        """Takes protected media instead of `media`, where set: for who measures."""

    def _new_agent(self, *, is_controlling: bool) -> IceAgent:
        return IceAgent(self._network, self._receive_media, self._receive_dtls, is_controlling=is_controlling)

    async def answer(self, remote: RemoteDescription) -> str:
        """Open sockets for a peer's offer and return the answer."""
        self._remote = remote
        self._agent.ice_controlling = remote.ice_lite  # the full implementation controls (RFC 8445 §6.1.1)
        await self._agent.gather_candidates()
        self._prepare("server" if remote.setup == "active" else "client")
        return description.answer(remote, self._describe(self._agent))

    async def offer(self) -> str:
        """Open sockets and return an offer; the answer goes to `accept`."""
        await self._agent.gather_candidates()
        return description.offer(self._describe(self._agent))

    def accept(self, remote: RemoteDescription) -> None:
        """Take the answer to our offer."""
        self._remote = remote
        self._prepare("client" if remote.setup == "passive" else "server")

    def _describe(self, agent: IceAgent) -> LocalDescription:
        candidates, (host, port) = agent.described_candidates()
        return LocalDescription(agent.credentials, fingerprints(self._certificate), candidates, self._ssrc, host, port)

    def _prepare(self, role: Role) -> None:
        assert self._remote is not None
        self._role = role
        self._link = DtlsLink(self._agent, self._certificate, role)
        if self._remote.channel is not None:
            self.channel = EventChannel(self._link, self._remote.terms)

    # ---- another way to the same peer: ICE restart (RFC 8445 §9, RFC 8842 §5)

    async def offer_restart(self) -> str:
        """Return an offer by which this call may go on over other addresses; the answer goes to `finish_restart`."""
        await self._begin_restart(is_controlling=True)
        assert self._next is not None
        return description.offer(self._describe(self._next))

    async def answer_restart(self, remote: RemoteDescription) -> str:
        """Return the answer to such an offer; `finish_restart` is due once the peer has it.

        Raises: DescriptionRefused.
        """
        if self.media is None:
            raise DescriptionRefused("This call is not connected yet: its first offer has not been followed up.")
        if self._remote is None or set(remote.fingerprints) != set(self._remote.fingerprints):
            raise DescriptionRefused("The SDP is of another peer than the one of this call: its fingerprint differs.")
        await self._begin_restart(is_controlling=remote.ice_lite)
        assert self._next is not None
        return description.answer(remote, self._describe(self._next), "active" if self._role == "client" else "passive")

    async def _begin_restart(self, *, is_controlling: bool) -> None:
        before, self._next = self._next, self._new_agent(is_controlling=is_controlling)
        if before is not None:
            await self._close(before)
        await self._next.gather_candidates()

    async def finish_restart(self, remote: RemoteDescription) -> None:
        """Find the new way and take it; what is under way on the old one still arrives. Set a deadline.

        Raises: ConnectFailed; the old way stays.
        """
        agent = self._next
        if agent is None or self._link is None:
            raise ConnectFailed("ice")
        await agent.add_described(remote.candidates)
        await agent.establish(remote.ice, is_lite=remote.ice_lite)
        if agent is not self._next:
            return  # a newer one has begun meanwhile
        old, self._agent, self._next = self._agent, agent, None
        self._link.use(agent)
        await self._close(old)

    # ----

    async def connect(self) -> None:
        """Wait for the peer and shake hands. Set a deadline. Raises: ConnectFailed."""
        remote, link = self._remote, self._link
        if remote is None or link is None:
            raise ConnectFailed("ice")
        await self._agent.add_described(remote.candidates)
        await self._agent.establish(remote.ice, is_lite=remote.ice_lite)
        srtp = self.srtp = await link.establish(remote)
        self.media = media_leg(
            remote.formats, remote.direction, srtp, self.send, self.audio, self._traffic, ssrc=self._ssrc
        )
        if self.channel is not None:
            await self.channel.start()

    def on_end(self, ended: Callable[[], None]) -> None:
        """Have `ended` called when the peer closes the DTLS association."""
        assert self._link is not None
        link = self._link
        link.on("statechange", lambda: ended() if link.state in ("closed", "failed") else None)

    @property
    def heard(self) -> int:
        """Grows with all that comes from the peer."""
        return self._agent.heard + (self.media.heard if self.media is not None else 0)

    async def aclose(self) -> None:
        """Say goodbye and free everything. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self.audio.end()
        if self.media is not None:
            self.media.count()
            self.media.say_goodbye()
        if self.channel is not None:
            await self.channel.aclose()
        if self._link is not None:
            await self._link.end()
            self._link.remove_all_listeners()
        if self._next is not None:
            await self._close(self._next)
        await asyncio.shield(self._close(self._agent))

    async def _close(self, agent: IceAgent) -> None:
        """Close an agent and add what it has counted to the sums."""
        self._traffic.rejected_packets += agent.foreign_packets
        self._traffic.unsent_packets += agent.unsent_packets
        await agent.close()

    def cut(self) -> None:
        """Send nothing from now on, not even a goodbye: for who tries what happens then."""
        self._agent.mute()

    # ---- datagrams

    def _receive_media(self, datagram: bytes) -> None:
        if self.tap is not None:
            self.tap(datagram)
        elif self.media is not None:
            self.media.receive(datagram, time.monotonic())

    def _receive_dtls(self, datagram: bytes) -> None:
        if self._link is not None and not (self.channel is not None and self.channel.is_congested):
            self._link.receive(datagram)

    def send(self, datagram: bytes) -> None:
        """Send protected media; dropped while there is no way to the peer."""
        self._agent.send_now(datagram)
