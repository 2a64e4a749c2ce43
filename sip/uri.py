"""URIs: `sip:` and `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966), and any other scheme as opaque text.

Parts are kept as they were written, escapes included; `user_text` and the comparison decode them. The original text
is what should be echoed (a Request-URI made from a Contact must not be "mended"), so whoever stores a peer's URI
stores the text and parses when it looks inside.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sip.errors import SipSyntaxError
from sip.grammar import HOST, Params, format_params, parse_number, parse_params, unescape

_HOST_PORT = re.compile(rf"({HOST})(?::(\d{{1,5}}))?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):")
_BAD = re.compile(r"[\s<>\"]")
_NOT_IN_USER = re.compile(r"[^A-Za-z0-9\-_.!~*'()&=+$,;?/:%\x80-\U0010ffff]")
_VISUAL = str.maketrans("", "", "-.()")

DEFAULT_PORTS = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
"""Where a transport listens when a URI names no port."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """A `sip:` or `sips:` address."""

    scheme: str
    """`sip` or `sips`."""
    user: str | None
    """As written, escapes and all; None when there is no `@`."""
    host: str
    """A name or an address; an IPv6 reference keeps its brackets."""
    port: int | None = None
    params: Params = field(default_factory=dict)
    headers: str = ""
    """What follows `?`, undecoded: nobody who answers a call may act on it (RFC 3261 §19.1.5)."""
    password: str | None = None

    def __str__(self) -> str:
        """Return the URI as it goes on the wire."""
        user = "" if self.user is None else self.user + ("" if self.password is None else f":{self.password}") + "@"
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host}{port}{format_params(self.params)}{headers}"

    @property
    def user_text(self) -> str:
        """The user part with its escapes decoded, empty when there is none."""
        return unescape(self.user or "")

    @property
    def transport(self) -> str:
        """The transport it asks for, lower case: the parameter, else `tls` for sips and `udp` for sip."""
        return (self.params.get("transport") or ("tls" if self.scheme == "sips" else "udp")).lower()

    @property
    def effective_port(self) -> int:
        """The port, or the default one of its transport."""
        return self.port or DEFAULT_PORTS.get(self.transport, 5060)

    @property
    def is_loose_router(self) -> bool:
        """Whether it carries `lr` (`lr=on` is a known misspelling)."""
        return "lr" in self.params

    def matches(self, other: "AnyUri") -> bool:
        """Compare by RFC 3261 §19.1.4: not transitive, so no `==`.

        A parameter that both carry must agree; user, ttl, method, maddr and transport must agree even if one lacks it.
        """
        if not isinstance(other, SipUri) or (self.scheme, self.port) != (other.scheme, other.port):
            return False
        if (unescape(self.user or ""), self.password) != (unescape(other.user or ""), other.password):
            return False
        if self.host.lower() != other.host.lower() or not _same_headers(self.headers, other.headers):
            return False
        return _same_params(self.params, other.params)


@dataclass(frozen=True, slots=True)
class TelUri:
    """A telephone number."""

    number: str
    """As written; `digits` has it without separators."""
    params: Params = field(default_factory=dict)
    scheme: str = "tel"

    def __str__(self) -> str:
        """Return the URI as it goes on the wire."""
        return f"tel:{self.number}{format_params(self.params)}"

    @property
    def digits(self) -> str:
        """The number without visual separators; a global one keeps its `+`."""
        return self.number.translate(_VISUAL)


@dataclass(frozen=True, slots=True)
class OtherUri:
    """A URI of a scheme that this package does not look into."""

    scheme: str
    opaque: str

    def __str__(self) -> str:
        """Return the URI as it goes on the wire."""
        return f"{self.scheme}:{self.opaque}"


AnyUri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> AnyUri:
    """Read a URI that stands alone, without brackets. Raises: SipSyntaxError."""
    found = _SCHEME.match(text)
    if found is None:
        raise SipSyntaxError("URI has no scheme")
    if _BAD.search(text):
        raise SipSyntaxError("URI holds a blank, a bracket or a quote")
    scheme, rest = found[1].lower(), text[found.end() :]
    if scheme in ("sip", "sips"):
        return _parse_sip(scheme, rest)
    if scheme == "tel":
        number, semicolon, params = rest.partition(";")
        if not number:
            raise SipSyntaxError("tel URI has no number")
        return TelUri(number, parse_params(params) if semicolon else {})
    return OtherUri(found[1], rest)


def _parse_sip(scheme: str, rest: str) -> SipUri:
    """Read what follows the colon. The user part may hold `;` and `?`, so the `@` is looked for first."""
    user: str | None = None
    password: str | None = None
    if "@" in rest:
        user, _, rest = rest.partition("@")
        user, colon, secret = user.partition(":")
        password = secret if colon else None
        if not user or _NOT_IN_USER.search(user):
            raise SipSyntaxError("user part of the URI is empty or holds what must be escaped")
    found = _HOST_PORT.match(rest)
    if found is None:
        raise SipSyntaxError("URI has no host")
    port = None if found[2] is None else parse_number(found[2], 65535, "port")
    tail = rest[found.end() :]
    if not tail:
        return SipUri(scheme, user, found[1], port, {}, "", password)
    params, question, headers = tail.partition("?")
    if question and not headers:
        raise SipSyntaxError("URI has an empty header part")
    if params and params[0] != ";":
        raise SipSyntaxError("URI goes on after its host in an unknown way")
    return SipUri(scheme, user, found[1], port, parse_params(params) if params else {}, headers, password)


def _same_params(one: Mapping[str, str | None], two: Mapping[str, str | None]) -> bool:
    """Compare parameters by RFC 3261 §19.1.4."""
    for name in ("user", "ttl", "method", "maddr", "transport"):
        if (one.get(name) or "").lower() != (two.get(name) or "").lower():
            return False
    return all((one[name] or "").lower() == (two[name] or "").lower() for name in one.keys() & two.keys())


def _same_headers(one: str, two: str) -> bool:
    """Header parts are never ignored, whatever their order."""
    return sorted(unescape(one).split("&")) == sorted(unescape(two).split("&"))
