"""Structured header values: Via, name-addr (From, To, Contact, Route …), CSeq, and values with parameters.

Each class reads one element (`parse`, raising SipSyntaxError) and writes itself (`str`). Comma-joined headers are cut
first by `grammar.split_outside`. `NAMES` knows the compact forms and the spelling of each header.
"""

import re
from dataclasses import dataclass, field
from functools import cached_property

from sip.errors import SipSyntaxError
from sip.grammar import HOST, QUOTED, TOKEN, Params, format_params, is_token, parse_number, parse_params, quote, unquote
from sip.uri import AnyUri, parse_uri

MAX_CSEQ = 2**31 - 1
"""RFC 3261 §8.1.1.5."""

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
"""Compact forms of the IANA registry of header fields."""

_KNOWN = """
Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info Authorization
Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-Language Content-Length Content-Type CSeq Date
Diversion Error-Info Event Expires From History-Info Identity Identity-Info In-Reply-To Info-Package Max-Forwards
MIME-Version Min-Expires Min-SE Organization P-Access-Network-Info P-Asserted-Identity P-Charging-Vector
P-Early-Media P-Preferred-Identity Path Priority Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck
RSeq Reason Record-Route Recv-Info Refer-Sub Refer-To Referred-By Reject-Contact Remote-Party-ID Replaces Reply-To
Request-Disposition Require Retry-After Route Server Service-Route Session-Expires Subject Subscription-State Supported
Timestamp To Unsupported User-Agent User-to-User Via WWW-Authenticate Warning
"""

SPELLINGS = {name.lower(): name for name in _KNOWN.split()}
"""Lower-case name → the usual spelling."""

NAMES = {
    **{spelling: key for key, spelling in SPELLINGS.items()},
    **{key: key for key in SPELLINGS},
    **{name.upper(): name.lower() for name in _KNOWN.split()},
    **{short: name.lower() for short, name in _COMPACT.items()},
    **{short.upper(): name.lower() for short, name in _COMPACT.items()},
}
"""A header's name as it is often written → its key: the long form in lower case."""

_VIA = re.compile(
    rf"\s*+(?:SIP\s*+/\s*+(2\.0)|({TOKEN})\s*+/\s*+({TOKEN}))\s*+/\s*+({TOKEN})\s++({HOST})\s*+(?::\s*+(\d++))?\s*+(.*)",
    re.DOTALL | re.IGNORECASE,
)
_NAME_ADDR = re.compile(rf'\s*+(?:({QUOTED})|([^<"]*+))\s*+<([^>]*+)>\s*+(.*)', re.DOTALL)
_NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9\-.!%*_+`'~ ]")


def header_key(name: str) -> str:
    """Return a header's key: its long name in lower case, whatever its case or compact form."""
    key = NAMES.get(name)
    if key is None:
        key = name.strip().lower()
        key = NAMES.get(key, key)
    return key


def _tail_params(text: str) -> Params:
    """Read the parameters that follow a value."""
    if not text:
        return {}
    if text[0] != ";":
        raise SipSyntaxError("header value goes on in an unknown way")
    return parse_params(text)


@dataclass(slots=True)
class Via:
    """One hop (RFC 3261 §20.42). `received` and `rport` are filled in by whoever took the request in."""

    transport: str
    """Upper case: UDP, TCP, TLS, SCTP, WS, WSS or what else was written."""
    host: str
    port: int | None
    params: Params = field(default_factory=dict)
    version: str = "2.0"

    @classmethod
    def parse(cls, text: str) -> "Via":
        """Read one element. Raises: SipSyntaxError."""
        found = _VIA.fullmatch(text)
        if found is None:
            raise SipSyntaxError("Via is malformed")
        sip, protocol, version, transport, host, port, tail = found.groups()
        if protocol is not None and protocol.upper() != "SIP":
            raise SipSyntaxError("Via speaks another protocol")
        number = None if port is None else parse_number(port, 65535, "Via port")
        return cls(transport.upper(), host, number, _tail_params(tail), sip or version)

    def __str__(self) -> str:
        """Return the element as it goes on the wire."""
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/{self.version}/{self.transport} {self.host}{port}{format_params(self.params)}"

    @property
    def sent_by(self) -> str:
        """Host and port as the sender wrote them, the host in lower case: part of a transaction's key."""
        host = self.host.lower()
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def branch(self) -> str:
        """The branch, empty when there is none."""
        return self.params.get("branch") or ""


class NameAddr:
    """A name, a URI and parameters: From, To, Contact, Route, Record-Route, Refer-To, P-Asserted-Identity …

    The URI stays text until `uri` is asked for; `uri_text` is what to echo.
    """

    def __init__(self, uri_text: str, display_name: str = "", params: Params | None = None) -> None:
        """`display_name` is plain text, without quotes."""
        self.uri_text = uri_text
        self.display_name = display_name
        self.params: Params = {} if params is None else params

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """Read one element.

        An unquoted display name may hold commas and the like (RFC 4475 §3.1.2.15) and blanks inside the brackets are
        forgiven (§3.1.2.14); a URI outside brackets may hold no `?` and no comma (RFC 3261 §20.10, RFC 4475
        §3.1.2.13). Raises: SipSyntaxError.
        """
        found = _NAME_ADDR.fullmatch(text)
        if found is not None:
            quoted, bare, uri, tail = found.groups()
            name = unquote(quoted) if quoted is not None else bare.strip()
            return cls(_checked(uri.strip()), name, _tail_params(tail))
        if '"' in text or "<" in text:
            raise SipSyntaxError("quote or bracket is not closed")
        uri, semicolon, tail = text.partition(";")
        uri = uri.strip()
        if "?" in uri or "," in uri:
            raise SipSyntaxError("URI with a question mark or comma must stand in angle brackets")
        return cls(uri if uri == "*" else _checked(uri), "", parse_params(tail) if semicolon else {})

    def __str__(self) -> str:
        """Return the element as it goes on the wire."""
        name = self.display_name
        if name:
            name = f"{quote(name) if _NEEDS_QUOTES.search(name) else name} "
        return f"{name}<{self.uri_text}>{format_params(self.params)}"

    def __repr__(self) -> str:
        """Show the element."""
        return f"NameAddr({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Two elements are equal when they would be written alike."""
        return isinstance(other, NameAddr) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    @cached_property
    def uri(self) -> AnyUri:
        """The URI, parsed. Raises: SipSyntaxError."""
        return parse_uri(self.uri_text)

    @property
    def tag(self) -> str:
        """The tag, empty when there is none (RFC 2543 peers send none)."""
        return self.params.get("tag") or ""


def _checked(uri: str) -> str:
    """Refuse at once what cannot be a URI; the rest is looked at when it is needed."""
    if ":" not in uri or "<" in uri:
        raise SipSyntaxError("address holds no URI")
    return uri


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number and method (RFC 3261 §20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> "CSeq":
        """Read the value. Raises: SipSyntaxError."""
        parts = text.split()
        if len(parts) != 2 or not is_token(parts[1]):
            raise SipSyntaxError("CSeq is not a number and a method")
        return cls(parse_number(parts[0], MAX_CSEQ, "CSeq"), parts[1])

    def __str__(self) -> str:
        """Return the value as it goes on the wire."""
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class Valued:
    """A value with parameters: Content-Type, Session-Expires, Event, Reason, Accept …"""

    value: str
    """As written; compare media types in lower case."""
    params: Params = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Valued":
        """Read one element. Raises: SipSyntaxError."""
        value, semicolon, tail = text.partition(";")
        return cls(value.strip(), parse_params(tail) if semicolon else {})

    def __str__(self) -> str:
        """Return the element as it goes on the wire."""
        return self.value + format_params(self.params)
