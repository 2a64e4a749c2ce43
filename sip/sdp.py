"""Session descriptions (RFC 8866): bytes in, a tree or a refusal out; strict writing.

Lenient: missing `s=` and `t=`, bare LF, unknown lines, attributes in any order, a missing final line end. Strict in
what media needs: `v=0`, `o=`, an address for each live m-line, ports that are numbers. Nothing is interpreted here:
attributes are text, `offer_answer` gives them meaning.
"""

from dataclasses import dataclass, field

from sip.errors import BuildError, SipSyntaxError
from sip.message import Rejection

MAX_BYTES = 32_768
MAX_LINES = 1_000
MAX_MEDIA = 32
MAX_FORMATS = 128
"""Of one m= line: as many as RTP has payload types."""

Attribute = tuple[str, str | None]
"""Name and value; a flag has None."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A `c=` line: where media is sent to."""

    address: str
    """An IPv4 or IPv6 address or a name, without TTL."""
    network_type: str = "IP4"

    def __str__(self) -> str:
        """Return the line's value."""
        return f"IN {self.network_type} {self.address}"

    @property
    def is_null(self) -> bool:
        """Whether it is the null address: the hold of RFC 2543 (RFC 3264 §8.4)."""
        return self.address in ("0.0.0.0", "::", "0:0:0:0:0:0:0:0")


@dataclass(frozen=True, slots=True)
class Origin:
    """The `o=` line: who made the description, and which version it is."""

    session_id: str
    version: int
    address: str
    username: str = "-"
    network_type: str = "IP4"

    def __str__(self) -> str:
        """Return the line's value."""
        return f"{self.username} {self.session_id} {self.version} IN {self.network_type} {self.address}"


@dataclass(slots=True)
class Media:
    """An `m=` line and what follows it."""

    kind: str
    """audio, video, image, application, text …"""
    port: int
    """0 rejects or ends the stream."""
    protocol: str
    """RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVP …"""
    formats: tuple[str, ...]
    """Payload types as text, or what the protocol names."""
    connection: Connection | None = None
    attributes: list[Attribute] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """`i=`, `b=` and `k=` lines as written."""
    port_count: int = 1

    def get(self, name: str) -> str | None:
        """Return the value of the first attribute of that name; None when absent or a flag."""
        return next((value for key, value in self.attributes if key == name), None)

    def get_all(self, name: str) -> list[str]:
        """Return the values of every attribute of that name."""
        return [value for key, value in self.attributes if key == name and value is not None]

    def has(self, name: str) -> bool:
        """Say whether the attribute is there."""
        return any(key == name for key, _ in self.attributes)


@dataclass(slots=True)
class SessionDescription:
    """A whole description."""

    origin: Origin
    media: list[Media] = field(default_factory=list)
    connection: Connection | None = None
    name: str = "-"
    timing: str = "0 0"
    attributes: list[Attribute] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """Other session lines (`i= u= e= p= b= z= k= r=`) as written."""

    def get(self, name: str) -> str | None:
        """Return the value of the first session attribute of that name."""
        return next((value for key, value in self.attributes if key == name), None)

    def has(self, name: str) -> bool:
        """Say whether the session attribute is there."""
        return any(key == name for key, _ in self.attributes)

    def connection_of(self, media: Media) -> Connection:
        """Return where a stream's media goes: its own `c=` line, else the session's (parsing made sure of one)."""
        return media.connection or self.connection or Connection(self.origin.address, self.origin.network_type)

    def encode(self) -> bytes:
        """Return the description as bytes. Raises: BuildError when a value holds a line break."""
        lines = ["v=0", f"o={self.origin}", f"s={self.name or '-'}"]
        lines += [line for line in self.lines if line[0] in "iuep"]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += [line for line in self.lines if line[0] == "b"]
        lines.append(f"t={self.timing}")
        lines += [line for line in self.lines if line[0] not in "iuepb"]
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            count = f"/{media.port_count}" if media.port_count != 1 else ""
            lines.append(f"m={media.kind} {media.port}{count} {media.protocol} {' '.join(media.formats)}")
            lines += [line for line in media.lines if line[0] == "i"]
            if media.connection is not None:
                lines.append(f"c={media.connection}")
            lines += [line for line in media.lines if line[0] != "i"]
            lines += _attribute_lines(media.attributes)
        if any("\r" in line or "\n" in line for line in lines):
            raise BuildError("line break in a session description")
        return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


def _attribute_lines(attributes: list[Attribute]) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]


def parse_sdp(data: bytes) -> SessionDescription | Rejection:
    """Read a description; a refusal carries status 400 and the reason, for whoever knows the request."""
    if len(data) > MAX_BYTES:
        return Rejection(413, "session description is too large")
    try:
        return _parse(data.decode("utf-8", "surrogateescape"))
    except SipSyntaxError as error:
        return Rejection(error.status, error.message)


def _parse(text: str) -> SessionDescription:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n", MAX_LINES + 1)
    if len(lines) > MAX_LINES:
        raise SipSyntaxError("session description has too many lines")
    lines = [line for line in lines if line.strip()]
    if not lines or lines[0].rstrip() != "v=0":
        raise SipSyntaxError("session description does not start with v=0")
    if len(lines) < 2 or not lines[1].startswith("o="):
        raise SipSyntaxError("session description has no o= line")
    session = SessionDescription(_parse_origin(lines[1][2:]))
    media: Media | None = None
    for line in lines[2:]:
        kind, value = line[:2], line[2:].strip()
        if kind == "m=":
            if len(session.media) >= MAX_MEDIA:
                raise SipSyntaxError("session description has too many m= lines")
            media = _parse_media(value)
            session.media.append(media)
        elif media is None:
            _session_line(session, kind, value)
        else:
            _media_line(media, kind, value)
    if any(one.port and one.connection is None and session.connection is None for one in session.media):
        raise SipSyntaxError("m= line without an address")
    return session


def _session_line(session: SessionDescription, kind: str, value: str) -> None:
    if kind == "a=":
        session.attributes.append(_parse_attribute(value))
    elif kind == "c=":
        session.connection = session.connection or _parse_connection(value)
    elif kind == "s=":
        session.name = value
    elif kind == "t=":
        session.timing = value
    elif len(kind) == 2 and kind[1] == "=" and kind[0] in "iuepbzkr":
        session.lines.append(kind + value)


def _media_line(media: Media, kind: str, value: str) -> None:
    if kind == "a=":
        media.attributes.append(_parse_attribute(value))
    elif kind == "c=":
        # Several c= lines are layers of multicast (RFC 8866 §5.7): the first is as good as any for a phone call.
        media.connection = media.connection or _parse_connection(value)
    elif kind in ("i=", "b=", "k="):
        media.lines.append(kind + value)


def _parse_attribute(value: str) -> Attribute:
    name, colon, rest = value.partition(":")
    return name.strip().lower() if name.isascii() else name, rest.strip() if colon else None


def _parse_connection(value: str) -> Connection:
    parts = value.split()
    if len(parts) < 3 or parts[0].upper() != "IN" or parts[1].upper() not in ("IP4", "IP6"):
        raise SipSyntaxError("c= line is malformed")
    return Connection(parts[2].partition("/")[0], parts[1].upper())


def _parse_origin(value: str) -> Origin:
    parts = value.split()
    if len(parts) < 6:
        raise SipSyntaxError("o= line is malformed")
    # A user name with a blank is wrong and met: the last five fields are what counts. A version beyond 64 bits is kept
    # within what int() reads quickly.
    username, (session_id, version, _, network_type, address) = "_".join(parts[:-5]), parts[-5:]
    number = int(version[:30]) if version.isascii() and version.isdecimal() else 0
    return Origin(session_id, number, address, username, network_type.upper())


def _parse_media(value: str) -> Media:
    parts = value.split()
    if len(parts) < 3 or len(parts) > MAX_FORMATS + 3:
        raise SipSyntaxError("m= line is malformed")
    port, _, count = parts[1].partition("/")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5) or int(port) > 65535:
        raise SipSyntaxError("m= line has no port number")
    number = int(count) if count.isascii() and count.isdecimal() and len(count) <= 3 else 1
    return Media(parts[0].lower(), int(port), parts[2].upper(), tuple(parts[3:]), port_count=number)
