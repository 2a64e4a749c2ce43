"""Bytes in, a message or a described refusal out; never an exception.

Lenient in what costs nothing and is unambiguous: folded lines, compact forms, any case, repeated and comma-joined
headers, bare LF, blanks at the ends of the start line, bytes that are not UTF-8, header lines that cannot be read and
are not needed. Strict in what decides who is answered and where a message ends: Via, From, To, Call-ID, CSeq,
Content-Length. Each choice is a test in `tests/sip/test_torture.py` beside the paragraph of RFC 4475 that allows it.
"""

import re
from dataclasses import dataclass

from sip.errors import SipSyntaxError
from sip.grammar import is_token, parse_number
from sip.headers import NAMES
from sip.message import CODEC, Field, Message, Rejection, Request, Response


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may be at most. Beyond it is refused, whatever it says."""

    message_bytes: int = 65_536
    line_bytes: int = 8_192
    """Of one header after unfolding."""
    headers: int = 200
    vias: int = 70
    """As many as Max-Forwards usually allows hops; RFC 4475's longest valid message has 34."""


LIMITS = Limits()

_REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]++) ++(\S++) ++SIP/(\d++\.\d++) *+", re.IGNORECASE)
_STATUS_LINE = re.compile(r"SIP/2\.0 ++([1-6]\d\d)(?: (.*+))?", re.IGNORECASE)
_NEARLY_REQUEST = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]++)\s.*SIP/\d++\.\d++\s*+", re.IGNORECASE)
_FOLD = re.compile(r"\r\n[ \t]++")
_BARE_FOLD = re.compile(r"\n[ \t]++")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_SINGLE = ("from", "to", "call-id", "cseq")


def parse_datagram(data: bytes, limits: Limits = LIMITS) -> Request | Response | Rejection:
    """Read the one message of a datagram; what follows its body is ignored (RFC 3261 §18.3)."""
    if len(data) > limits.message_bytes:
        return Rejection(0, "datagram is too large")
    if data[:1] in (b"\r", b"\n"):
        data = data.lstrip(b"\r\n")
    if not data:
        return Rejection(0, "empty datagram")
    end = data.find(b"\r\n\r\n")
    start = end + 4
    if end < 0:
        found = _END_OF_HEAD.search(data)
        if found is None:
            return parse_head(data, limits, truncated=True)
        end, start = found.span()
    message = parse_head(data[:end], limits)
    if isinstance(message, Rejection):
        return message
    length = content_length(message)
    if isinstance(length, Rejection):
        return length
    if length is None:
        length = len(data) - start
    elif start + length > len(data):
        return refuse(message, 400, "Content-Length is larger than the datagram")
    message.body = data[start : start + length]
    return message


def content_length(message: Request | Response) -> int | Rejection | None:
    """Return the announced size of the body, None when there is no announcement."""
    values = message.index.get("content-length")
    if values is None:
        return None
    if len(values) > 1 and len(set(values)) > 1:
        return refuse(message, 400, "Content-Length has several values")
    try:
        return parse_number(values[0], 10**9, "Content-Length")
    except SipSyntaxError as error:
        return refuse(message, error.status, error.message)


def refuse(message: Message, status: int, reason: str, *extra: Field) -> Rejection:
    """Describe a refusal: a request with a Via can be answered, an ACK and a response cannot."""
    if isinstance(message, Request) and message.method != "ACK" and "via" in message.index:
        return Rejection(status, reason, message, extra)
    return Rejection(0, reason)


def parse_head(head: bytes, limits: Limits = LIMITS, *, truncated: bool = False) -> Request | Response | Rejection:
    """Read start line and headers, without the empty line that ends them. The message has no body yet."""
    text = head.decode(*CODEC)
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        # Bare LF ends a line, bare CR is a blank.
        text = text.replace("\r\n", "\n").replace("\r", " ")
        lines = _BARE_FOLD.sub(" ", text).split("\n")
    message, wrong = _start(lines[0])
    if message is None:
        return Rejection(0, wrong[1] if wrong else "not SIP")
    if len(lines) > limits.headers + 1:
        wrong = (513, "too many headers")
        del lines[limits.headers + 1 :]
    if len(text) > limits.line_bytes and max(map(len, lines)) > limits.line_bytes:
        wrong = (513, "a line is too long")
        lines = [line for line in lines if len(line) <= limits.line_bytes]
    if truncated:
        while lines and not lines[-1]:
            lines.pop()
        wrong = wrong or (400, "no empty line after the headers")
    wrong = _read_fields(message, lines) or wrong
    if wrong is None:
        wrong = _check(message, limits)
    return message if wrong is None else refuse(message, *wrong)


Fault = tuple[int, str]


def _start(line: str) -> tuple[Request | Response | None, Fault | None]:
    """Read the start line. No message means that nothing may be answered."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is not None:
        method, uri, version = found.groups()
        if version != "2.0":
            return Request(method, uri), (505, f"version {version[:8]}")
        if uri[0] == "<" or ":" not in uri:
            return Request(method, uri), (400, "Request-URI is malformed")
        return Request(method, uri), None
    found = _STATUS_LINE.fullmatch(line)
    if found is not None:
        return Response(int(found[1]), found[2] or ""), None
    found = _NEARLY_REQUEST.fullmatch(line)
    if found is not None and found[1].upper() != "SIP":
        return Request(found[1], "malformed:"), (400, "request line is malformed")
    return None, (0, "start line is not SIP")


def _read_fields(message: Message, lines: list[str]) -> Fault | None:
    """Fill in the header fields."""
    fields = message._fields
    index: dict[str, list[str]] = {}
    known = NAMES.get
    ignored: list[str] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = known(name)
        if key is None:
            if not line:
                return 400, "empty line among the headers"
            name = name.rstrip()
            key = known(name) or known(name.lower())
            if key is None:
                if not colon or not is_token(name):
                    ignored.append(line[:80])
                    continue
                key = name.lower()
        value = value.strip()
        fields.append((name, value))
        if key in index:
            index[key].append(value)
        else:
            index[key] = [value]
    message._adopt(index)
    if ignored:
        message.ignored = tuple(ignored[:8])
    return None


def _check(message: Request | Response, limits: Limits) -> Fault | None:
    """Read what a transaction needs (RFC 3261 §8.1.1); the parsed values stay with the message."""
    index = message.index
    try:
        for key in _SINGLE:
            if len(index[key]) > 1:
                return 400, f"{key} stands more than once"
        vias = index["via"]
        if len(vias) + sum(value.count(",") for value in vias) > limits.vias:
            return 400, "too many Via headers"
        via, cseq, call_id = message.via, message.cseq, message.call_id
        message.from_  # noqa: B018  # parsed and kept
        message.to  # noqa: B018
        if not call_id:
            return 400, "Call-ID is empty"
        if via.version != "2.0":
            return 505, "Via of another version"
        if isinstance(message, Request):
            if cseq.method != message.method:
                return 400, "CSeq names another method than the request line"
            if "max-forwards" in index:
                if len(index["max-forwards"]) > 1:
                    return 400, "Max-Forwards stands more than once"
                message.max_forwards  # noqa: B018
    except KeyError as error:
        return 400, f"{error.args[0]} is missing"
    except SipSyntaxError as error:
        return error.status, error.message
    return None
