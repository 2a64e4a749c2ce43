"""What the SIP tests share: text to wire format, an INVITE to start from, and a desk that takes a call."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from sip.call import IncomingCall
from sip.call_effects import CallEffect, CallEnded, MediaChanged, Respond, SendRequest
from sip.call_machine import CalleeCall
from sip.dialog_base import CallSettings
from sip.flow import Hop
from sip.gate import Gate
from sip.media import Agreement, LocalMedia
from sip.message import Message, Rejection, Request, Response
from sip.parser import parse_datagram
from sip.server_transaction import ServerTransaction
from sip.session_timer import TimerPolicy
from sip.trunk import Trunk, TrunkTable
from sip.user_agent import AgentSettings, Clocks, UserAgent

Wire = Callable[..., bytes]
MakeRequest = Callable[..., Request]

INVITE = """\
{method} sip:100@203.0.113.7 SIP/2.0
Via: SIP/2.0/UDP 198.51.100.20:5060;branch={branch};rport
From: "Alice" <sip:alice@example.com>;tag=alice-1
To: <sip:100@203.0.113.7>{to_tag}
Call-ID: call-1@198.51.100.20
CSeq: {cseq} {method}
Max-Forwards: 70
Contact: <sip:alice@198.51.100.20:5060>
{more}Content-Length: 0

"""


def to_wire(text: str, body: bytes = b"") -> bytes:
    return text.replace("\n", "\r\n").encode() + body


@pytest.fixture
def wire() -> Wire:
    """Turn readable text into a message's bytes."""
    return to_wire


@pytest.fixture
def make_request() -> MakeRequest:
    """Make a parsed request: `method, cseq, branch, to_tag, more` (extra header lines)."""

    def make(
        method: str = "INVITE",
        *,
        cseq: int = 1,
        branch: str = "z9hG4bK-a",
        to_tag: str = "",
        more: str = "",
        body: bytes = b"",
    ) -> Request:
        tag = f";tag={to_tag}" if to_tag else ""
        extra = more and more.rstrip("\n") + "\n"
        text = INVITE.format(method=method, cseq=cseq, branch=branch, to_tag=tag, more=extra)
        request = parse_datagram(to_wire(text))
        assert isinstance(request, Request), request
        if body:
            request.set_body(body)
        return request

    return make


@pytest.fixture
def reply() -> Callable[..., Response]:
    """Make a response as it would arrive: built, encoded and parsed."""

    def make(request: Request, status: int, *, to_tag: str = "bob-1", more: str = "", body: bytes = b"") -> Response:
        made = request.respond(status, to_tag="" if status == 100 else to_tag)
        for line in more.splitlines():
            name, _, value = line.partition(": ")
            made.add(name, value)
        if body:
            made.set_body(body)
        parsed = parse_datagram(made.encode())
        assert isinstance(parsed, Response), parsed
        return parsed

    return make


LOCAL = LocalMedia("203.0.113.7", 40_000)
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
SETTINGS = CallSettings("<sip:agent@203.0.113.7:5060>", session_timer=TimerPolicy(interval_s=0))


class Desk:
    """Sends the caller's requests and keeps what came back."""

    def __init__(
        self, make_request: MakeRequest, settings: CallSettings = SETTINGS, body: bytes = OFFER, more: str = ""
    ) -> None:
        self.make = make_request
        self.cseq = 1
        self.invite = make_request(body=body, more=more)
        self.effects: list[CallEffect] = []
        self.transaction = ServerTransaction(self.invite, 0.0, reliable=False)
        self.call = CalleeCall(
            0.0, self.invite, self.transaction, settings, local_tag="us-1", session_id="7", fraction=lambda: 0.5
        )
        self.perform(self.call.start(0.0))

    def perform(self, effects: list[CallEffect], now: float = 0.0) -> list[CallEffect]:
        for effect in effects:
            if isinstance(effect, Respond):
                effect.transaction.respond(now, effect.response)
                assert isinstance(parse_datagram(effect.response.encode()), Response)
        self.effects += effects
        return effects

    def ask(self, method: str, now: float = 1.0, *, body: bytes = b"", more: str = "") -> Response:
        """Send a request within the dialog; return the response to it."""
        self.cseq += 1
        branch = f"z9hG4bK-{self.cseq}"
        request = self.make(method, cseq=self.cseq, to_tag="us-1", branch=branch, body=body, more=more)
        transaction = ServerTransaction(request, now, reliable=False)
        effects = self.perform(self.call.receive_request(now, transaction, request), now)
        return next(one.response for one in effects if isinstance(one, Respond) and one.transaction is transaction)

    def ack(self, now: float = 1.0, *, body: bytes = b"") -> list[CallEffect]:
        ack = self.make("ACK", cseq=self.cseq, to_tag="us-1", branch=f"z9hG4bK-ack-{self.cseq}", body=body)
        return self.perform(self.call.receive_ack(now, ack), now)

    def cancel(self) -> Response:
        cancel = self.make("CANCEL", more='Reason: SIP;cause=200;text="Call completed elsewhere"')
        transaction = ServerTransaction(cancel, 0.0, reliable=False)
        effects = self.perform(self.call.receive_cancel(0.5, transaction, cancel))
        return next(one.response for one in effects if isinstance(one, Respond) and one.transaction is transaction)

    def up(self, now: float = 1.0) -> "Desk":
        self.perform(self.call.answer(now, LOCAL), now)
        self.ack(now)
        return self

    @property
    def responses(self) -> list[Response]:
        """To the INVITE."""
        return [
            one.response for one in self.effects if isinstance(one, Respond) and one.transaction is self.transaction
        ]

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def requests(self) -> list[Request]:
        return [one.request for one in self.effects if isinstance(one, SendRequest)]

    @property
    def ended(self) -> list[CallEnded]:
        return [one for one in self.effects if isinstance(one, CallEnded)]

    @property
    def media(self) -> list[MediaChanged]:
        return [one for one in self.effects if isinstance(one, MediaChanged)]


@pytest.fixture
def make_desk(make_request: MakeRequest) -> Callable[..., Desk]:
    """Make a desk: `settings, body, more` (extra header lines of the INVITE)."""
    return lambda *args, **named: Desk(make_request, *args, **named)


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A call that has just come in."""
    return make_desk()


class Link:
    """A flow that keeps what is sent."""

    def __init__(self, transport: str = "UDP", remote: tuple[str, int] = ("198.51.100.20", 5060)) -> None:
        self.transport = transport
        self.remote = remote
        self.local = ("203.0.113.7", 5061 if transport == "TLS" else 5060)
        self.is_open = True
        self.sent: list[Any] = []
        self.others: dict[int, Link] = {}

    def send(self, data: bytes) -> bool:
        message = parse_datagram(data)
        assert not isinstance(message, Rejection), message
        if self.is_open:
            self.sent.append(message)
        return self.is_open

    def toward(self, port: int) -> "Link":
        if port == self.remote[1] or self.transport != "UDP":
            return self
        return self.others.setdefault(port, Link(self.transport, (self.remote[0], port)))

    @property
    def statuses(self) -> list[int]:
        return [message.status for message in self.sent if isinstance(message, Response)]

    @property
    def methods(self) -> list[str]:
        return [message.method for message in self.sent if isinstance(message, Request)]


class Tape:
    """A listener that writes down what it is told, and answers at once if it shall."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def ringing(self, status: int) -> None:
        self.told.append(status)

    def media_changed(self, agreement: Agreement) -> None:
        self.told.append(agreement)

    def confirmed(self) -> None:
        self.told.append("confirmed")

    def info_arrived(self, content_type: str, body: bytes) -> None:
        self.told.append((content_type, body))

    def info_answered(self, status: int) -> None:
        self.told.append(f"info {status}")

    def ended(self, ended: CallEnded) -> None:
        self.told.append(ended.reason)


CARRIER = Trunk("carrier", (ip_network("198.51.100.0/24"),))


class Switchboard:
    """A user agent with links instead of sockets, an application that listens, and a clock to set."""

    def __init__(self, trunks: tuple[Trunk, ...], settings: AgentSettings) -> None:
        self.now = 0.0
        self.link = Link()
        self.opened: list[tuple[Hop, Link]] = []
        self.arrived: list[IncomingCall] = []
        self.tapes: list[Tape] = []
        self.gate = Gate(TrunkTable(trunks))
        clocks = Clocks(lambda: self.now, lambda: 1_700_000_000.0 + self.now)
        self.agent = UserAgent(settings, self.gate, self, self, clocks)

    def call_arrived(self, call: IncomingCall) -> None:
        self.arrived.append(call)
        self.tapes.append(Tape())
        call.listen(self.tapes[-1])

    def open(self, hop: Hop) -> Link:
        self.opened.append((hop, Link(hop.transport, (hop.host, hop.port))))
        return self.opened[-1][1]

    def receive(self, message: Message | str, link: Link | None = None, body: bytes = b"") -> list[Any]:
        """Let a message come; return what was sent by the same link since."""
        link = link or self.link
        before = len(link.sent)
        data = to_wire(message, body) if isinstance(message, str) else message.encode()
        self.agent.receive(parse_datagram(data), link)
        return link.sent[before:]

    def pass_time(self, until: float) -> None:
        """Let every timer run in its order."""
        while (due := self.agent.next_deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            self.agent.handle_timer()
        self.now = until

    @property
    def call(self) -> IncomingCall:
        return self.arrived[-1]

    @property
    def told(self) -> list[object]:
        return self.tapes[-1].told


@pytest.fixture
def make_switchboard() -> Callable[..., Switchboard]:
    """Make a switchboard: `trunks`, then fields of AgentSettings."""
    return lambda trunks=(CARRIER,), **named: Switchboard(trunks, AgentSettings(**named))


@pytest.fixture
def switchboard(make_switchboard: Callable[..., Switchboard]) -> Switchboard:
    """A user agent that takes calls of 198.51.100.0/24."""
    return make_switchboard()
