"""The two echoes that `bench.webrtc` compares, and the client that calls either of them."""

import asyncio
import gc
import secrets
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import psutil
import uvloop
from aiohttp import ClientSession, web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from transports.http.app import build_app
from transports.http.auth import KeyRing
from transports.port import Transport
from transports.rtp.opus import OpusDecoder
from transports.rtp.packet import RtpPacket, parse_rtp, serialise_rtp
from transports.rtp.srtp import SrtpLeg
from transports.webrtc import description
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer
from transports.webrtc.settings import WebRtcSettings
from voice.agent import Agent
from voice.audio.levels import rms_dbfs
from voice.logs import configure_logs
from voice.protocol.client_events import ClientEvent
from voice.protocol.session_config import SessionUpdateBody
from voice.room import Room
from voice.session.effects import PlayAudio
from voice.tooling import PhoneCall

HOST = "127.0.0.1"
PATH = "/v1/realtime/calls"
KINDS = ("stock aiortc", "ours")
LOUD_DBFS = -30.0
_STEP = 960


# ---- our echo: the whole transport, and a session that says what it hears


class EchoPlace:
    """A session that plays every frame back."""

    session_id = "sess_echo"

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Echo until the caller is gone."""
        async for frame in transport.frames():
            transport.play_audio(PlayAudio("resp", "item", 0, 0, frame, "audio/pcm"))
        await transport.aclose()

    async def receive(self, event: ClientEvent) -> None:
        """Nobody steers an echo."""

    def stop(self, code: int, reason: str) -> None:
        """It ends with its caller."""

    def release(self) -> None:
        """Places are not counted."""


class EchoSessions:
    """Everyone is served, by an echo."""

    problem = None
    active = 0
    _agent = Agent("echo", "echo")

    def resolve(self, model: str | None) -> Agent:
        """Return the only one."""
        return self._agent

    def models(self) -> Sequence[Agent]:
        """List it."""
        return [self._agent]

    def preview(self, agent: Agent, opening: SessionUpdateBody) -> dict[str, Any]:
        """Say nothing."""
        return {}

    def room(self, key_id: str | None) -> Room:
        """As many as come."""
        return Room(limit=1_000_000, remaining=1_000_000)

    def admit(
        self, agent: Agent, *, key_id: str | None, opening: Any = None, safety_identifier: str | None = None
    ) -> EchoPlace:
        """Take anyone."""
        return EchoPlace()


def our_echo() -> web.Application:
    """Return our HTTP application in front of echoes."""
    return build_app(EchoSessions(), KeyRing(), webrtc=WebRtcSettings())


# ---- the stock echo: aiortc as its own example has it


def stock_echo() -> web.Application:
    """Return a server that answers offers with a stock `RTCPeerConnection` whose track is the received one."""
    peers: set[RTCPeerConnection] = set()

    async def create(request: web.Request) -> web.Response:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.add(peer)

        @peer.on("track")
        def echo(track: Any) -> None:
            peer.addTrack(track)

        @peer.on("connectionstatechange")
        async def watch() -> None:
            if peer.connectionState in ("failed", "closed"):
                peers.discard(peer)
                await peer.close()

        await peer.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return web.Response(status=201, text=peer.localDescription.sdp, content_type="application/sdp")

    application = web.Application()
    application.add_routes([web.post(PATH, create)])
    return application


def serve(kind: str, core: int | None, ready: Connection) -> None:
    """Run one of the echoes in this process until it is ended; its port goes to `ready`."""
    if core is not None:
        psutil.Process().cpu_affinity([core])

    configure_logs("warning")

    async def run() -> None:
        runner = web.AppRunner(our_echo() if kind == "ours" else stock_echo(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        gc.collect()
        gc.freeze()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(run())


# ---- the client: speaks ready packets, so that it costs little beside what it measures


class Caller:
    """One WebRTC client: connects, sends Opus packets on a ticker, counts and listens to what comes back."""

    def __init__(self, network: Network, certificates: CertificateStore, packets: Sequence[bytes]) -> None:
        """`packets` are sent over and over."""
        self._peer = Peer(network, certificates, None, is_controlling=True)
        self._packets = packets
        self._peer.tap = self._receive  # counted, not decoded
        self._srtp: SrtpLeg | None = None
        self._ssrc = secrets.randbits(32)
        self._number = 0
        self._decoder: OpusDecoder | None = None
        self._loud_sent_s: float | None = None
        self.received = 0
        self.sent = 0
        self.gaps_s: list[float] = []
        self._last_s = 0.0
        self.latencies_s: list[float] = []
        """From sending a loud packet after silence to receiving one."""

    async def connect(self, http: ClientSession, url: str) -> float:
        """Return the seconds from sending the offer to the keys for media."""
        offer = await self._peer.offer()
        began_s = time.perf_counter()
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            answer.raise_for_status()
            remote = description.read(await answer.text())
        self._peer.accept(remote)
        async with asyncio.timeout(30):
            await self._peer.connect()
        took_s = time.perf_counter() - began_s
        self._srtp = self._peer.srtp
        return took_s

    def listen(self) -> None:
        """Decode what comes back, and time it against what was sent."""
        self._decoder = OpusDecoder()

    def tick(self, now_s: float, skipped: int) -> None:
        """Send the next packet."""
        self.send(self._packets[self._number % len(self._packets)])

    def send(self, payload: bytes, *, loud: bool = False) -> None:
        """Send a packet now."""
        assert self._srtp is not None
        packet = RtpPacket(111, self._number & 0xFFFF, (self._number * _STEP) & 0xFFFF_FFFF, self._ssrc, payload)
        self._number += 1
        if loud and self._loud_sent_s is None:
            self._loud_sent_s = time.perf_counter()
        self._peer.send(self._srtp.protect(serialise_rtp(packet)))
        self.sent += 1

    def _receive(self, datagram: bytes) -> None:
        assert self._srtp is not None
        opened = self._srtp.unprotect(datagram) if not 192 <= datagram[1] <= 223 else None
        if opened is None:
            return
        now_s = time.perf_counter()
        self.received += 1
        if self._last_s:
            self.gaps_s.append(now_s - self._last_s)
        self._last_s = now_s
        if self._decoder is not None:
            self._note_loudness(opened, now_s)

    def _note_loudness(self, datagram: bytes, now_s: float) -> None:
        packet = parse_rtp(datagram)
        assert self._decoder is not None
        pcm = self._decoder.decode(packet.payload) if packet is not None else None
        if pcm and self._loud_sent_s is not None and rms_dbfs(pcm) > LOUD_DBFS:
            self.latencies_s.append(now_s - self._loud_sent_s)
            self._loud_sent_s = None

    async def aclose(self) -> None:
        """Hang up."""
        await self._peer.aclose()
