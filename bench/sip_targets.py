"""What is attacked in `bench.sip_fuzz`: everything that reads what the network brings, each with whole examples."""

import contextlib
from collections.abc import Callable
from ipaddress import ip_network

from bench.sip_parser import SDP, invite, parsed
from sip.call import IncomingCall
from sip.errors import RemoteFault, StateError
from sip.gate import Gate, GateLimits
from sip.inspection import inspect_request, inspect_response
from sip.media import LocalMedia
from sip.message import Rejection, Request, Response
from sip.offer_answer import OfferAnswer
from sip.parser import parse_datagram
from sip.refusals import RefusalLog
from sip.stream import StreamFramer
from sip.trunk import Trunk, TrunkTable
from sip.user_agent import AgentSettings, Clocks, UserAgent
from transports.rtp.packet import header_extensions, parse_rtp
from transports.rtp.rtcp import parse_rtcp

LOCAL = LocalMedia("203.0.113.7", 40_000)
REQUESTS = tuple(
    invite().replace(b"INVITE", method) for method in (b"INVITE", b"BYE", b"CANCEL", b"OPTIONS", b"ACK", b"INFO")
)
RTP = bytes.fromhex("90e0001c000000a0deadbeefbede0001510aff00") + bytes(160)
RTCP = bytes.fromhex("81c8000cdeadbeef") + bytes(44) + bytes.fromhex("81ca0002deadbeef01026162")


def read_message(data: bytes) -> None:
    """Parse, and look at everything that a user agent looks at."""
    message = parse_datagram(data)
    if isinstance(message, Request):
        message.stamp_source("192.0.2.1", 5060)
        rejection = inspect_request(message)
        if rejection is not None:
            rejection.response("tag")
        else:
            message.respond(200, to_tag="tag").encode()
    elif isinstance(message, Response):
        inspect_response(message)
    elif message.request is not None:
        message.response("tag")


def read_stream(data: bytes) -> None:
    """Cut into messages, in pieces of a size that the data itself gives."""
    framer = StreamFramer()
    step = 1 + max(len(data) % 97, len(data) // 1000)
    for at in range(0, len(data), step):
        framer.receive(data[at : at + step])


def read_description(data: bytes) -> None:
    """Answer it as an offer; refusals are the library's own."""
    offers = OfferAnswer("1")
    with contextlib.suppress(RemoteFault):
        offers.receive_offer(data)
        offers.make_answer(LOCAL)


def read_media(data: bytes) -> None:
    """Read as RTP and as RTCP."""
    packet = parse_rtp(data)
    if packet is not None:
        header_extensions(packet)
    parse_rtcp(data)


class Wire:
    """A flow that leads nowhere."""

    transport = "UDP"
    is_open = True

    def __init__(self) -> None:
        self.remote = ("192.0.2.1", 5060)
        self.local = ("203.0.113.7", 5060)

    def send(self, data: bytes) -> bool:
        """Take it."""
        return True

    def toward(self, port: int) -> "Wire":
        """Return itself."""
        return self


class Endpoint:
    """The whole user agent, answering every call that gets through."""

    def __init__(self) -> None:
        self._now = 0.0
        gate = Gate(TrunkTable((Trunk("all", (ip_network("0.0.0.0/0"),)),)), GateLimits(), RefusalLog())
        self._agent = UserAgent(AgentSettings(), gate, self, self, Clocks(lambda: self._now, lambda: self._now))
        self._wire = Wire()

    def open(self, hop: object) -> Wire:
        """Return the wire."""
        return self._wire

    def call_arrived(self, call: IncomingCall) -> None:
        """Answer."""
        call.listen(self)
        with contextlib.suppress(StateError):
            call.answer(LOCAL)

    def media_changed(self, agreement: object) -> None:
        """Hear it."""

    def confirmed(self) -> None:
        """Hear it."""

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Hear it."""

    def info_answered(self, status: int) -> None:
        """Hear it."""

    def ended(self, ended: object) -> None:
        """Hear it."""

    def take(self, data: bytes) -> None:
        """Let a datagram come, and a tenth of a second pass."""
        self._now += 0.1
        message = parse_datagram(data)
        if not isinstance(message, Rejection) or message.request is not None:
            self._agent.receive(message, self._wire)
        due = self._agent.next_deadline()
        if due is not None and due <= self._now:
            self._agent.handle_timer()


def targets() -> dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...], float]]:
    """Return what is attacked: reader, seeds, share of the inputs."""
    request = parsed(REQUESTS[0])
    answers = tuple(request.respond(status, to_tag="t").encode() for status in (100, 200, 401))
    return {
        "datagram": (read_message, (*REQUESTS, *answers), 0.45),
        "stream": (read_stream, REQUESTS, 0.15),
        "sdp": (read_description, (SDP,), 0.2),
        "rtp": (read_media, (RTP, RTCP), 0.15),
        "agent": (Endpoint().take, (*REQUESTS, *answers), 0.05),
    }
