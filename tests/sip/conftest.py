"""What the SIP tests share: text to wire format, and an INVITE to start from."""

from collections.abc import Callable

import pytest

from sip.message import Request, Response
from sip.parser import parse_datagram

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
