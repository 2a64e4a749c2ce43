"""A call in the hands of an application: what it is told, what it decides. The seam between signalling and media.

    class Desk:                                            # an Application
        def call_arrived(self, call: IncomingCall) -> None:
            call.listen(Leg(call))                         # at once: from here on the leg is told everything
            call.ring()                                    # 180, repeated by itself
            …                                              # now or later, from any task of the same event loop:
            call.answer(LocalMedia(call.arrival.address, port, codecs=call.arrival.trunk.codecs))

    order of what a CallListener is told, `answer` to end
      media_changed(agreement)     the audio starts: with the 200; for a delayed offer with the ACK
      confirmed()                  the caller has acknowledged
      media_changed(agreement)     any time after: hold, resume, another port, codec or key; never an equal one
      info_arrived(type, body)     any time after
      info_answered(status)        once for each `send_info`, unless the call ends before
      ended(CallEnded)             once, and nothing after it

Nothing here awaits and nothing here reads a clock: methods decide, and the endpoint sends at once. A listener may call
the methods of its call; what follows from that is told after it has returned. A listener that raises ends its call.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sip.call_effects import CallEffect, CallEnded
from sip.call_machine import CalleeCall, CallState
from sip.errors import SipSyntaxError
from sip.headers import NameAddr
from sip.media import Agreement, LocalMedia
from sip.message import Field, Request
from sip.trunk import Trunk
from sip.uri import OtherUri, TelUri

_SECRET = frozenset(("authorization", "proxy-authorization"))


class CallListener(Protocol):
    """Takes what happens to a call. Called synchronously on the event loop; must return at once."""

    def media_changed(self, agreement: Agreement) -> None:
        """Start, move, hold, resume or rekey the audio: `agreement` is in force from now."""

    def confirmed(self) -> None:
        """The other side has acknowledged the answer."""

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """An INFO came, and has its 200: `application/dtmf-relay`, `application/dtmf` or another."""

    def info_answered(self, status: int) -> None:
        """An INFO of ours was answered, by 200 when it was taken."""

    def ended(self, ended: CallEnded) -> None:
        """The call is over: free its media. Also told of calls that were never answered."""


class Application(Protocol):
    """Takes the calls of an endpoint."""

    def call_arrived(self, call: "IncomingCall") -> None:
        """Take a call that has passed every check: `listen`, then `ring`, `answer` or `reject`, now or later."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a call came from and how."""

    trunk: Trunk
    transport: str
    """UDP, TCP or TLS."""
    host: str
    port: int
    """The source of the INVITE as the network showed it."""
    address: str
    """Of ours, as this peer reaches it: what belongs into the SDP."""
    username: str = ""
    """Proven by digest; empty where the address was enough."""


class CallHost(Protocol):
    """The endpoint as a call needs it."""

    def now(self) -> float:
        """Return the time that timers are counted in."""

    def perform(self, call: "LiveCall", effects: list[CallEffect]) -> None:
        """Do what a machine decided; effects that arise meanwhile come after."""


class LiveCall(Protocol):
    """What the endpoint knows of a call, whoever began it."""

    @property
    def listener(self) -> CallListener:
        """Who is told."""


class _Nobody:
    """Listens until the application does."""

    def media_changed(self, agreement: Agreement) -> None:
        """Drop it."""

    def confirmed(self) -> None:
        """Drop it."""

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Drop it."""

    def info_answered(self, status: int) -> None:
        """Drop it."""

    def ended(self, ended: CallEnded) -> None:
        """Drop it."""


NOBODY: CallListener = _Nobody()


class IncomingCall:
    """One call that somebody makes to us."""

    def __init__(self, host: CallHost, machine: CalleeCall, arrival: Arrival) -> None:
        """Made by the endpoint."""
        self._host = host
        self.machine = machine
        """The endpoint's; an application uses the methods below."""
        self.arrival = arrival
        self.listener: CallListener = NOBODY

    @property
    def invite(self) -> Request:
        """The INVITE as it came; `invite.sdp` is the offer, None when the caller leaves offering to us."""
        return self.machine.invite

    @property
    def state(self) -> CallState:
        """INCOMING, ANSWERED, CONFIRMED or OVER."""
        return self.machine.state

    @property
    def agreement(self) -> Agreement | None:
        """How audio flows at present."""
        return self.machine.agreement

    @property
    def headers(self) -> tuple[Field, ...]:
        """The INVITE's headers in their order, with repeats, without credentials."""
        return tuple(field for field in self.invite.fields if field[0].lower() not in _SECRET)

    @property
    def called(self) -> str:
        """The number or name that was dialled: the user part of the Request-URI."""
        return number_of(self.invite.uri_text, lambda: self.invite.uri)

    @property
    def caller(self) -> str:
        """The caller's number or name: P-Asserted-Identity where the trunk sends it, else From."""
        try:
            asserted = self.invite.get_list("p-asserted-identity")
            address = NameAddr.parse(asserted[0]) if asserted else self.invite.from_
        except SipSyntaxError:
            address = self.invite.from_
        return number_of(address.uri_text, lambda: address.uri)

    def listen(self, listener: CallListener) -> None:
        """Name who is told of this call from now on."""
        self.listener = listener

    def ring(self) -> None:
        """Say 180, and again every minute until `answer` or `reject`. Raises: StateError."""
        self._host.perform(self, self.machine.ring(self._host.now()))

    def progress(self, local: LocalMedia) -> None:
        """Say 183 with our description: early media. Raises: StateError."""
        self._host.perform(self, self.machine.progress(self._host.now(), local))

    def answer(self, local: LocalMedia, headers: Sequence[Field] = ()) -> None:
        """Take the call; `headers` go with the 200. An offer that cannot be met gets 488, and `ended` tells so.

        Raises: StateError when the caller has given up meanwhile, or it has been answered.
        """
        self._host.perform(self, self.machine.answer(self._host.now(), local, headers))

    def reject(self, status: int, reason: str | None = None, *extra: Field) -> None:
        """Refuse the call with a 3xx to 6xx. Raises: StateError once it has been answered or is over."""
        self._host.perform(self, self.machine.reject(self._host.now(), status, reason, *extra))

    def offer(self, local: LocalMedia) -> None:
        """Hold, resume or move the audio by a re-INVITE of ours. Raises: StateError while that is not possible."""
        self._host.perform(self, self.machine.offer(self._host.now(), local))

    @property
    def takes_info(self) -> bool:
        """False where the other side has said what it takes, and INFO is not among it."""
        return self.machine.takes_info

    def send_info(self, content_type: str, body: bytes) -> None:
        """Send an INFO: a key by `application/dtmf-relay`, say. Raises: StateError until the last one is answered."""
        self._host.perform(self, self.machine.send_info(self._host.now(), content_type, body))

    def hang_up(self, reason: str | None = None, headers: Sequence[Field] = ()) -> None:
        """End the call: BYE with `headers`, or 480 before the answer. Idempotent.

        `reason` is a Reason header's value (RFC 3326).
        """
        self._host.perform(self, self.machine.hang_up(self._host.now(), reason, headers))


def number_of(text: str, parse: Callable[[], object]) -> str:
    """Return the number or name of an address, escapes decoded; a `tel:` number without separators."""
    try:
        uri = parse()
    except SipSyntaxError:
        return ""
    if isinstance(uri, TelUri):
        return uri.digits
    if isinstance(uri, OtherUri):
        return text
    # `;phone-context=…` and the like belong to the number's writing, not to the number.
    return str(getattr(uri, "user_text", "")).partition(";")[0]
