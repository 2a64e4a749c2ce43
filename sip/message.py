"""SIP messages: requests, responses, and the description of what was refused.

A message holds its header fields as they were written, in order, with repeats; values are parsed when they are asked
for and kept. Reading one that breaks its grammar raises SipSyntaxError (with the status that answers it); what a
transaction needs (Via, From, To, Call-ID, CSeq, Max-Forwards) has been read by `parser` before anybody sees the
message. `encode` is strict: it refuses to send what it would not parse.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sip.errors import BuildError, SipSyntaxError
from sip.grammar import is_token, parse_number, split_outside, unquote
from sip.headers import NAMES, SPELLINGS, CSeq, NameAddr, Valued, Via, header_key
from sip.multipart import find_part
from sip.status import reason_phrase
from sip.uri import AnyUri, parse_uri

Field = tuple[str, str]
"""Name as written, value without surrounding blanks."""
T = TypeVar("T")

CODEC = ("utf-8", "surrogateescape")
"""SIP is UTF-8, senders are not: a stray Latin-1 byte is kept and goes out again as it came in."""


class Message:
    """What requests and responses have in common."""

    __slots__ = ("_fields", "_index", "_parsed", "body", "ignored")

    def __init__(self, fields: Iterable[Field] = (), body: bytes = b"") -> None:
        """`fields` are taken as they are; Content-Length need not be among them."""
        self._fields = list(fields)
        self._index: dict[str, list[str]] | None = None
        self._parsed: dict[str, Any] = {}
        self.body = body
        self.ignored: tuple[str, ...] = ()
        """Header lines that could not be read and were not needed (RFC 3261 §8.2.2), at most eight, for the log."""

    def _adopt(self, index: dict[str, list[str]]) -> None:
        """Take over an index that the parser has already made."""
        self._index = index

    @property
    def fields(self) -> tuple[Field, ...]:
        """All header fields as written, in order: what an application is shown."""
        return tuple(self._fields)

    @property
    def index(self) -> dict[str, list[str]]:
        """Values by `header_key`; do not change it."""
        if self._index is None:
            self._index = {}
            for name, value in self._fields:
                self._index.setdefault(header_key(name), []).append(value)
        return self._index

    # --- raw values ---------------------------------------------------------------------------------------------

    def get(self, name: str) -> str | None:
        """Return the first value of a header, None when it is absent."""
        values = self.index.get(header_key(name))
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """Return the value of each field of that name, in order."""
        return list(self.index.get(header_key(name), ()))

    def get_list(self, name: str) -> list[str]:
        """Return the elements of a comma-joined and repeated header, in order. Raises: SipSyntaxError."""
        return [part for value in self.index.get(header_key(name), ()) for part in split_outside(value) if part]

    def tokens(self, name: str) -> frozenset[str]:
        """Return the elements in lower case, for lists of plain tokens (Supported, Allow); never raises."""
        values = self.index.get(header_key(name), ())
        return frozenset(part.strip().lower() for value in values for part in value.split(","))

    # --- changes ------------------------------------------------------------------------------------------------

    def add(self, name: str, value: object) -> None:
        """Append a field."""
        self._fields.append((name, str(value)))
        self._forget()

    def add_first(self, name: str, value: object) -> None:
        """Put a field before all others: a Via of our own."""
        self._fields.insert(0, (name, str(value)))
        self._forget()

    def set(self, name: str, value: object) -> None:
        """Make the header have this one value, in the place of the first old one."""
        key = header_key(name)
        place = next((i for i, (old, _) in enumerate(self._fields) if header_key(old) == key), len(self._fields))
        kept = [field for field in self._fields[place:] if header_key(field[0]) != key]
        self._fields[place:] = [(name, str(value)), *kept]
        self._forget()

    def remove(self, name: str) -> None:
        """Drop every field of that name."""
        key = header_key(name)
        self._fields = [field for field in self._fields if header_key(field[0]) != key]
        self._forget()

    def set_body(self, body: bytes, content_type: str = "application/sdp") -> None:
        """Give the message a body; an empty one takes Content-Type away."""
        self.body = body
        if body:
            self.set("Content-Type", content_type)
        else:
            self.remove("Content-Type")

    def _forget(self) -> None:
        """Drop what was derived from the fields."""
        self._index = None
        self._parsed.clear()

    # --- parsed values ------------------------------------------------------------------------------------------

    def _one(self, key: str, parse: Callable[[str], T]) -> T | None:
        """Return the first value parsed, None when it is absent."""
        if key in self._parsed:
            return self._parsed[key]  # type: ignore[no-any-return]
        values = self.index.get(key)
        parsed = None if not values else parse(values[0])
        self._parsed[key] = parsed
        return parsed

    def _needed(self, key: str, parse: Callable[[str], T]) -> T:
        """Return the first value parsed. Raises: SipSyntaxError when it is absent."""
        parsed = self._one(key, parse)
        if parsed is None:
            raise SipSyntaxError(f"{SPELLINGS[key]} is missing")
        return parsed

    def _addresses(self, key: str) -> tuple[NameAddr, ...]:
        """Return every element of a list of addresses."""
        name = key + "*"
        if name not in self._parsed:
            self._parsed[name] = tuple(NameAddr.parse(part) for part in self.get_list(key))
        return self._parsed[name]  # type: ignore[no-any-return]

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self._needed("via", lambda text: Via.parse(split_outside(text)[0] if "," in text else text))

    @property
    def vias(self) -> tuple[Via, ...]:
        """Every Via, the topmost first."""
        if "via*" not in self._parsed:
            self._parsed["via*"] = tuple(Via.parse(part) for part in self.get_list("via"))
        return self._parsed["via*"]  # type: ignore[no-any-return]

    @property
    def from_(self) -> NameAddr:
        """The From header."""
        return self._needed("from", NameAddr.parse)

    @property
    def to(self) -> NameAddr:
        """The To header."""
        return self._needed("to", NameAddr.parse)

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self._needed("call-id", str)

    @property
    def cseq(self) -> CSeq:
        """The CSeq."""
        return self._needed("cseq", CSeq.parse)

    @property
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact."""
        return self._addresses("contact")

    @property
    def routes(self) -> tuple[NameAddr, ...]:
        """The Route headers."""
        return self._addresses("route")

    @property
    def record_routes(self) -> tuple[NameAddr, ...]:
        """The Record-Route headers, the last proxy first in a request."""
        return self._addresses("record-route")

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, None when it is absent (RFC 2543 peers)."""
        return self._one("max-forwards", lambda text: parse_number(text, 255, "Max-Forwards"))

    @property
    def content_type(self) -> Valued | None:
        """Content-Type with its parameters."""
        return self._one("content-type", Valued.parse)

    @property
    def sdp(self) -> bytes | None:
        """The session description: the body, or its part of a multipart one; None when there is none.

        A body without Content-Type is taken for one.
        """
        kind = self.content_type
        if not self.body:
            return None
        if kind is not None and kind.value[:10].lower() == "multipart/":
            return find_part(self.body, unquote(kind.params.get("boundary") or ""), "application/sdp")
        return self.body if kind is None or kind.value.lower() == "application/sdp" else None

    # --- the wire -----------------------------------------------------------------------------------------------

    @property
    def start_line(self) -> str:
        """The first line, without its end."""
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return the message as bytes, with a Content-Length that is true.

        Raises: BuildError for a name that is no token, a line break in a value, or a body without Content-Type.
        """
        lines = [self.start_line]
        for name, value in self._fields:
            key = NAMES.get(name)
            if key is None and not is_token(name):
                raise BuildError(f"header name {name!r} is not a token")
            if key != "content-length":
                lines.append(f"{name}: {value}")
        if self.body and self.get("content-type") is None:
            raise BuildError("a body needs a Content-Type")
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        head = "\r\n".join(lines)
        # One count for all lines: a break inside a value would let a caller write headers of his own.
        if not head.count("\r") == head.count("\n") == len(lines) + 1:
            raise BuildError("line break in a start line or a header value")
        return head.encode(*CODEC) + self.body

    def __repr__(self) -> str:
        """Show the first line."""
        return f"<{type(self).__name__} {self.start_line!r}>"


class Request(Message):
    """A request. `uri_text` is the Request-URI as written; `uri` parses it."""

    __slots__ = ("method", "uri_text")

    def __init__(self, method: str, uri_text: str, fields: Iterable[Field] = (), body: bytes = b"") -> None:
        """Method names are case-sensitive (RFC 3261 §7.1)."""
        super().__init__(fields, body)
        self.method = method
        self.uri_text = uri_text

    @property
    def start_line(self) -> str:
        """The request line. Raises: BuildError."""
        if not is_token(self.method) or not self.uri_text or " " in self.uri_text:
            raise BuildError("method or Request-URI would not parse")
        return f"{self.method} {self.uri_text} SIP/2.0"

    @property
    def uri(self) -> AnyUri:
        """The Request-URI, parsed. Raises: SipSyntaxError."""
        if "request-uri" not in self._parsed:
            self._parsed["request-uri"] = parse_uri(self.uri_text)
        return self._parsed["request-uri"]  # type: ignore[no-any-return]

    def stamp_source(self, host: str, port: int) -> None:
        """Note in the topmost Via where the request really came from (RFC 3261 §18.2.1, RFC 3581 §4).

        `received` is always set, `rport` when the sender asked for it. The first thing a listener does with a request.
        """
        via = self.via
        via.params["received"] = host
        if "rport" in via.params:
            via.params["rport"] = str(port)
        first = self.index["via"][0]
        rest = split_outside(first)[1:] if "," in first else []
        place = next(i for i, (name, _) in enumerate(self._fields) if header_key(name) == "via")
        self._fields[place] = (self._fields[place][0], ", ".join([str(via), *rest]))
        self.index["via"][0] = self._fields[place][1]
        self._parsed.pop("via*", None)

    def respond(self, status: int, reason: str | None = None, *, to_tag: str = "") -> "Response":
        """Start a response (RFC 3261 §8.2.6.2): Via, From, To, Call-ID and CSeq are copied as they came.

        `to_tag` is added unless To has a tag already; a 100 needs none.
        """
        response = Response(status, reason_phrase(status) if reason is None else reason)
        for key in ("via", "from", "to", "call-id", "cseq"):
            for value in self.index.get(key, ()):
                response._fields.append((SPELLINGS[key], value))
        if to_tag and not self.to.tag:
            # A semicolon at the end is forgiven in what comes, and would be wrong before a parameter of ours.
            response.set("To", f"{self.index['to'][0].rstrip('; ')};tag={to_tag}")
        if status == 100 and (timestamp := self.get("timestamp")) is not None:
            response.add("Timestamp", timestamp)
        return response


class Response(Message):
    """A response."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str = "", fields: Iterable[Field] = (), body: bytes = b"") -> None:
        """`status` is between 100 and 699."""
        super().__init__(fields, body)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> str:
        """The status line. Raises: BuildError."""
        if not 100 <= self.status <= 699:
            raise BuildError(f"{self.status} is not a status code")
        return f"SIP/2.0 {self.status} {self.reason}"

    @property
    def is_provisional(self) -> bool:
        """Whether it is a 1xx."""
        return self.status < 200

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Rejection:
    """What was wrong with bytes or with a request, and what answers it."""

    status: int
    """The SIP status that fits; 0 when nothing may be answered (junk, responses, ACK)."""
    reason: str
    """One phrase for the log and the Reason-Phrase."""
    request: Request | None = None
    """What could be read of the request; None when nothing may be answered."""
    extra: tuple[Field, ...] = ()
    """Headers that the answer must carry: Unsupported, Accept, Allow, Retry-After …"""

    def response(self, to_tag: str) -> Response | None:
        """Return the answer, None when silence is the answer."""
        if self.request is None or not self.status:
            return None
        try:
            response = self.request.respond(self.status, to_tag=to_tag)
        except SipSyntaxError:  # an unreadable To is echoed without a tag
            response = self.request.respond(self.status)
        for name, value in self.extra:
            response.add(name, value)
        return response
