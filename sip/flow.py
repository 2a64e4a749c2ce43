"""Ways that messages take: what the core knows of sockets, and where a message is to go (RFC 3261 §18, RFC 3581)."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from sip.errors import SipSyntaxError
from sip.headers import Via
from sip.uri import SipUri, parse_uri

Address = tuple[str, int]


class Flow(Protocol):
    """A way to one peer: a UDP socket and an address, or a connection."""

    @property
    def transport(self) -> str:
        """UDP, TCP or TLS."""

    @property
    def remote(self) -> Address:
        """The peer."""

    @property
    def local(self) -> Address:
        """Where the peer can reach us by the same transport: the listener's address, not a connection's own port."""

    @property
    def is_open(self) -> bool:
        """Whether something may still be sent."""

    def send(self, data: bytes) -> bool:
        """Send, or keep it until the connection stands. False: it will never arrive."""

    def toward(self, port: int) -> "Flow":
        """Return the way to another port of the same host; for a connection itself."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request goes next."""

    transport: str
    host: str
    """A name or an address, without brackets."""
    port: int
    named_transport: bool = False
    """Whether the URI named the transport, so that another one is wrong."""


class Network(Protocol):
    """Opens ways of our own."""

    def open(self, hop: Hop) -> Flow:
        """Return a way, an open connection used again where there is one. It fails later by `flow_failed`."""


def is_reliable(flow: Flow) -> bool:
    """Say whether the transport repeats by itself."""
    return flow.transport != "UDP"


def hop_of(uri_text: str) -> Hop | None:
    """Return where a URI leads; None for one that leads nowhere (tel:, malformed)."""
    try:
        uri = parse_uri(uri_text)
    except SipSyntaxError:
        return None
    if not isinstance(uri, SipUri):
        return None
    secure = uri.scheme == "sips"
    transport = "TLS" if secure else uri.transport.upper()
    if transport not in ("UDP", "TCP", "TLS"):
        return None
    port = uri.port or (5061 if transport == "TLS" else 5060)
    return Hop(transport, uri.host.strip("[]"), port, secure or "transport" in uri.params)


def reply_port(via: Via, source: Address) -> int:
    """Return the port for responses over UDP (§18.2.2, RFC 3581 §4).

    The source's with rport; else the sent-by's, as some phones send from another port than they listen at. A sender
    that names another address than the packet's is behind a NAT: only the way back through it can work.
    """
    host, port = source
    if "rport" in via.params or _is_other_address(via.host, host):
        return port
    return via.port or 5060


def is_sender(hop: Hop, via: Via | None, flow: Flow) -> bool:
    """Say whether a hop is the very element at the other end of a flow, so that this is the way (RFC 5923).

    `via` is what that element has written about itself, None when we have called it.
    """
    if hop.named_transport and hop.transport != flow.transport:
        return False
    if (hop.host.lower(), hop.port) == flow.remote or via is None:
        return (hop.host.lower(), hop.port) == flow.remote
    sent_by = via.host.strip("[]").lower(), via.port or (5061 if flow.transport == "TLS" else 5060)
    return (hop.host.lower(), hop.port) == sent_by


def uri_host(host: str) -> str:
    """Return a host as it stands in a URI: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _is_other_address(written: str, seen: str) -> bool:
    try:
        return ip_address(written.strip("[]")) != ip_address(seen.partition("%")[0])
    except ValueError:
        return False  # a name: nobody looks it up for this


def is_near(host: str) -> bool:
    """Say whether an address is of our own network, where a public address of ours does not lead back to us."""
    try:
        return ip_address(host.partition("%")[0]).is_private
    except ValueError:
        return False


def contact_of(flow: Flow, address: str, *, secure: bool = False) -> str:
    """Return our Contact for peers that come by this flow."""
    host = f"{uri_host(address)}:{flow.local[1]}"
    if secure:
        return f"<sips:{host}>"
    return f"<sip:{host}>" if flow.transport == "UDP" else f"<sip:{host};transport={flow.transport.lower()}>"
