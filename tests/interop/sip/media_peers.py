"""What stands at the other end of a phone call in the tests of media: an echo, and a caller whose packets are kept."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from sip.endpoint import EndpointSettings, SipEndpoint
from sip.trunk import Trunk
from transports.http.calls import Calls
from transports.phone import Phone, PhoneSettings
from transports.phone_metrics import PhoneMetrics
from transports.port import Transport
from transports.rtp.packet import RtpPacket, parse_rtp
from voice.agent import Agent
from voice.audio.files import decode
from voice.audio.frames import AudioFrame
from voice.protocol.server_events import SessionCreated
from voice.room import Room
from voice.session.effects import PlayAudio
from voice.tooling import PhoneCall

PATIENCE_S = 20.0


@dataclass
class EchoPlace:
    """A session that says what it hears, or something of its own."""

    speaks: bool = True
    says: bytes = b""
    """Said at once, in place of what is heard."""
    heard: bytearray = field(default_factory=bytearray)
    events: list[Any] = field(default_factory=list)
    transport: Any = None
    phone: PhoneCall | None = None
    is_released: bool = False
    is_over: bool = False
    session_id: str = "sess_echo"

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        self.transport, self.phone = transport, phone
        if self.says:
            frame = AudioFrame(self.says, 24_000, 0)
            transport.play_audio(PlayAudio("resp_1", "item_1", 0, 0, frame, "audio/pcm"))
        transport.send_event(SessionCreated(event_id="event_1", session={}))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(transport))
            async for frame in transport.frames():
                self.heard += frame.pcm
                if self.speaks and not self.says:
                    transport.play_audio(PlayAudio("resp_1", "item_1", 0, 0, frame, "audio/pcm"))
            await reading
        self.is_over = True
        await transport.aclose()

    def press(self, keys: str) -> bool:
        """Press keys as a tool does."""
        assert self.phone is not None
        return self.phone.press(keys)

    async def _read(self, transport: Transport) -> None:
        async for event in transport.client_events():
            self.events.append(event)

    async def receive(self, event: Any) -> None:
        self.events.append(event)

    def stop(self, code: int, reason: str) -> None: ...

    def release(self) -> None:
        self.is_released = True


class EchoSessions:
    """Admits everybody to an echo."""

    problem = None
    active = 0

    def __init__(self, *, speaks: bool = True, says: bytes = b"") -> None:
        self._speaks, self._says = speaks, says
        self.places: list[EchoPlace] = []

    def resolve(self, model: str | None) -> Agent:
        return Agent(model or "echo", "none")

    def models(self) -> list[Agent]:
        return []

    def preview(self, agent: Agent, opening: Any) -> dict[str, Any]:
        return {}

    def room(self, key_id: str | None) -> Room:
        """As many as come."""
        return Room(limit=1_000_000, remaining=1_000_000)

    def admit(
        self, agent: Agent, *, key_id: str | None, opening: Any = None, safety_identifier: str | None = None
    ) -> EchoPlace:
        place = EchoPlace(self._speaks, self._says)
        self.places.append(place)
        return place


@dataclass
class Line:
    """A phone line with an echo behind it."""

    port: int
    tls_port: int
    sessions: EchoSessions
    calls: Calls
    phone: Phone
    endpoint: SipEndpoint
    told: list[Any] = field(default_factory=list)

    @property
    def place(self) -> EchoPlace:
        return self.sessions.places[-1]

    async def until(self, condition: Any) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def echo_line(
    trunks: tuple[Trunk, ...] = (), settings: PhoneSettings | None = None, *, speaks: bool = True, says: bytes = b""
) -> AsyncIterator[Line]:
    """Run a phone line on free ports. At its end nothing may be left over."""
    sessions, calls = EchoSessions(speaks=speaks, says=says), Calls()
    settings = settings or PhoneSettings(first_port=21_000, last_port=21_399)
    phone = Phone(sessions, calls, lambda _: "", settings, PhoneMetrics(CollectorRegistry()))
    await phone.start()
    async with SipEndpoint(EndpointSettings(port=0, tls_port=0), trunks, phone) as endpoint:
        yield Line(endpoint.listening["UDP"][1], 0, sessions, calls, phone, endpoint)
        await phone.aclose()
    assert phone.active == 0
    assert not calls._live
    assert phone._ports.taken == 0


class Packets(asyncio.DatagramProtocol):
    """A caller's RTP port: keeps the packets that come, and sends on a grid."""

    def __init__(self) -> None:
        self.received: list[tuple[RtpPacket, tuple[str, int]]] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = int(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, source: Any) -> None:
        packet = parse_rtp(data)
        if packet is not None and packet.payload_type < 72:
            self.received.append((packet, source))

    def send(self, datagram: bytes, port: int) -> None:
        self._transport.sendto(datagram, ("127.0.0.1", port))

    def close(self) -> None:
        self._transport.close()


async def open_packets() -> Packets:
    """Return a caller's port on 127.0.0.1."""
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    _, packets = await asyncio.get_running_loop().create_datagram_endpoint(Packets, sock=bound)
    return packets


def babble(seconds: float, rate_hz: int) -> npt.NDArray[np.int16]:
    """Return a sound like speech: no two moments of it are alike."""
    draw = np.random.default_rng(5)
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    pitch = 2 * np.pi * np.cumsum(130 + 60 * np.sin(2 * np.pi * 0.9 * t) + 20 * np.sin(2 * np.pi * 2.3 * t)) / rate_hz
    wave = sum(np.sin(n * pitch + draw.uniform(0, 6)) / n for n in range(1, 12))
    loudness = 0.15 + 0.85 * np.abs(np.sin(2 * np.pi * 1.7 * t) * np.sin(2 * np.pi * 0.61 * t))
    samples: npt.NDArray[np.int16] = np.rint(4000 * wave * loudness).astype("<i2")
    return samples


def write_wav(path: Path, samples: npt.NDArray[np.int16], rate_hz: int) -> None:
    """Write a mono file."""
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())


def likeness(sent: npt.NDArray[np.int16], path: Path) -> float:
    """Return how well half seconds of what was heard correlate with their best place in what was sent, 24 kHz.

    Of pieces, and of them the upper quartile, because a busy machine makes jitter buffers shift time, which is no fault
    of the sound.
    """
    heard = np.frombuffer(decode(path.read_bytes()), "<i2").astype(float)
    pieces = heard[12_000 : 12_000 * (len(heard) // 12_000)].reshape(-1, 12_000)
    loud = [piece for piece in pieces if np.sqrt(np.mean(piece**2)) > 300]
    assert loud, "nothing was heard"
    return float(np.percentile([_likeness(sent[:240_000].astype(float), piece) for piece in loud], 75))


def _likeness(original: npt.NDArray[np.float64], piece: npt.NDArray[np.float64]) -> float:
    size = 1 << (len(original) + len(piece)).bit_length()
    product = np.fft.irfft(np.fft.rfft(original, size) * np.conj(np.fft.rfft(piece, size)), size)
    lag = int(np.argmax(product[: len(original) - len(piece)]))
    part = original[lag : lag + len(piece)]
    return float(part @ piece / (np.linalg.norm(part) * np.linalg.norm(piece) + 1e-9))
