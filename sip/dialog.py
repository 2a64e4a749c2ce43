"""Dialogs (RFC 3261 §12): their state, requests within them, and what an INVITE leaves behind on either side.

A dialog is made of the peer's words: remote target and routes are kept as text and echoed untouched. In particular a
private address in a Contact is no mistake to mend: behind a record-routing trunk the request goes to the route and
only names the target.

`Dialog` has no clock and no transactions. The endpoint puts the Via on what `build_request` makes.
"""

from dataclasses import dataclass
from enum import Enum, auto

from sip.errors import BuildError, SipSyntaxError, StateError
from sip.headers import MAX_CSEQ, NameAddr
from sip.message import Rejection, Request, Response
from sip.parser import refuse

TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
"""Requests that carry a Contact and may move the peer's target."""

DialogId = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


class DialogState(Enum):
    """EARLY by a provisional response with a tag, CONFIRMED by a 2xx."""

    EARLY = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


@dataclass(slots=True)
class Dialog:
    """One peer-to-peer relation. Made by `from_request` (UAS) or `from_response` (UAC)."""

    call_id: str
    local_tag: str
    remote_tag: str
    """Empty for an RFC 2543 peer."""
    local_address: NameAddr
    """What stands in From of our requests, tag included."""
    remote_address: NameAddr
    remote_target: str
    """The peer's Contact URI as it wrote it: the Request-URI of our requests."""
    contact: str
    """Our Contact, as a header value."""
    route_set: tuple[NameAddr, ...] = ()
    """The hops of our requests, nearest first."""
    local_seq: int = 0
    """CSeq of our last request."""
    remote_seq: int | None = None
    state: DialogState = DialogState.EARLY
    is_secure: bool = False
    """Set up over TLS with a sips URI (§12.1.1)."""

    @classmethod
    def from_request(cls, invite: Request, local_tag: str, contact: str, *, over_tls: bool = False) -> "Dialog":
        """Make the callee's dialog (§12.1.1).

        Raises: SipSyntaxError when the request has no usable Contact: nothing could be sent back.
        """
        target = _contact_uri(invite)
        if target is None:
            raise SipSyntaxError("Contact is missing")
        local = NameAddr.parse(invite.index["to"][0])
        local.params["tag"] = local_tag
        return cls(
            call_id=invite.call_id,
            local_tag=local_tag,
            remote_tag=invite.from_.tag,
            local_address=local,
            remote_address=invite.from_,
            remote_target=target,
            contact=contact,
            route_set=invite.record_routes,
            remote_seq=invite.cseq.number,
            is_secure=over_tls and invite.uri_text[:5].lower() == "sips:",
        )

    @classmethod
    def from_response(cls, invite: Request, response: Response, contact: str, *, over_tls: bool = False) -> "Dialog":
        """Make the caller's dialog (§12.1.2) by a 101-199 or 2xx. Raises: SipSyntaxError."""
        dialog = cls(
            call_id=invite.call_id,
            local_tag=invite.from_.tag,
            remote_tag=response.to.tag,
            local_address=invite.from_,
            remote_address=response.to,
            # A 1xx often comes without Contact; the Request-URI is the best guess until the 2xx tells.
            remote_target=_contact_uri(response) or invite.uri_text,
            contact=contact,
            route_set=response.record_routes[::-1],
            local_seq=invite.cseq.number,
            is_secure=over_tls and invite.uri_text[:5].lower() == "sips:",
        )
        if response.is_success:
            dialog.state = DialogState.CONFIRMED
        return dialog

    @property
    def id(self) -> DialogId:
        """What a message of this dialog is found by."""
        return self.call_id, self.local_tag, self.remote_tag

    @property
    def next_hop(self) -> str:
        """The URI that requests are sent to: the first route, else the target."""
        return self.route_set[0].uri_text if self.route_set else self.remote_target

    def confirm(self, response: Response | None = None) -> None:
        """Enter CONFIRMED; on the caller's side by the 2xx, which fixes target and routes anew (§13.2.2.4)."""
        if self.state is DialogState.TERMINATED:
            raise StateError("dialog is over")
        self.state = DialogState.CONFIRMED
        if response is not None:
            self.route_set = response.record_routes[::-1]
            self.refresh_target(response)

    def terminate(self) -> None:
        """Enter TERMINATED."""
        self.state = DialogState.TERMINATED

    def build_request(self, method: str, body: bytes = b"", content_type: str = "application/sdp") -> Request:
        """Return the next request of ours (§12.2.1.1), without a Via. ACK is `build_ack`'s, CANCEL has no dialog."""
        if method in ("ACK", "CANCEL"):
            raise BuildError(f"{method} is not built by counting on")
        if self.local_seq >= MAX_CSEQ:
            raise StateError("CSeq is used up")
        # An empty sequence is started low, so that it never wraps (§8.1.1.5).
        self.local_seq += 1
        return self._build(method, self.local_seq, body, content_type)

    def build_ack(self, invite: Request, body: bytes = b"", content_type: str = "application/sdp") -> Request:
        """Return the ACK for a 2xx to `invite` (§13.2.2.4): its CSeq number and credentials, the dialog's way."""
        ack = self._build("ACK", invite.cseq.number, body, content_type)
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.get_all(name):
                ack.add(name, value)
        return ack

    def _build(self, method: str, number: int, body: bytes, content_type: str) -> Request:
        uri, routes = self._way()
        request = Request(method, uri)
        for route in routes:
            request.add("Route", route)
        request.add("From", self.local_address)
        request.add("To", self.remote_address)
        request.add("Call-ID", self.call_id)
        request.add("CSeq", f"{number} {method}")
        request.add("Max-Forwards", 70)
        if method in TARGET_REFRESH:
            request.add("Contact", self.contact)
        if body:
            request.set_body(body, content_type)
        return request

    def _way(self) -> tuple[str, list[str]]:
        """Return Request-URI and Route values: by loose routing, or by strict routing when the first hop is old."""
        if not self.route_set:
            return self.remote_target, []
        values = [str(route) for route in self.route_set]
        if _is_loose(self.route_set[0]):
            return self.remote_target, values
        return self.route_set[0].uri_text.partition("?")[0], [*values[1:], f"<{self.remote_target}>"]

    def receive_request(self, request: Request) -> Rejection | None:
        """Check the order of a request within the dialog (§12.2.2); ACK and CANCEL have the number of their INVITE.

        Returns the refusal of an old one: 500 with Retry-After.
        """
        if request.method in ("ACK", "CANCEL"):
            return None
        number = request.cseq.number
        if self.remote_seq is not None and number < self.remote_seq:
            return refuse(request, 500, "CSeq is older than one already seen", ("Retry-After", "1"))
        self.remote_seq = number
        return None

    def refresh_target(self, message: Request | Response) -> None:
        """Move the target to the Contact of a target refresh request, or of the 2xx to one of ours (§12.2)."""
        target = _contact_uri(message)
        if target is not None:
            self.remote_target = target

    def dress(self, request: Request, response: Response) -> Response:
        """Give a 101-299 response to INVITE or UPDATE what makes or moves a dialog: Record-Route and Contact."""
        for value in request.get_all("Record-Route"):
            response.add("Record-Route", value)
        response.set("Contact", self.contact)
        return response


def _contact_uri(message: Request | Response) -> str | None:
    """Return the first Contact's URI as written."""
    contacts = message.contacts
    return contacts[0].uri_text if contacts and contacts[0].uri_text != "*" else None


def _is_loose(route: NameAddr) -> bool:
    """Look for `lr` in the text: a URI that does not parse must not stop a BYE."""
    parts = route.uri_text.partition("?")[0].split(";")[1:]
    return any(part.partition("=")[0].strip().lower() == "lr" for part in parts)


def dialog_id_of(message: Request | Response) -> DialogId:
    """Return the id of the dialog that a message from the peer belongs to."""
    if isinstance(message, Request):
        return message.call_id, message.to.tag, message.from_.tag
    return message.call_id, message.from_.tag, message.to.tag
