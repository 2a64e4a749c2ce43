import contextlib
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.errors import BuildError, SipSyntaxError
from sip.inspection import inspect_request, inspect_response
from sip.message import Rejection, Request, Response
from sip.parser import Limits, parse_datagram

MESSAGE = b"""INVITE sip:+15551234567@203.0.113.7:5060;transport=udp SIP/2.0\r
Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK1a2b.3c4d5e6f.0;rport\r
From: "Alice" <sip:+15557654321@example.net;isup-oli=0>;tag=1928301774\r
To: <sip:+15551234567@203.0.113.7;user=phone>\r
Call-ID: a84b4c76e66710@198.51.100.20\r
CSeq: 314159 INVITE\r
Max-Forwards: 69\r
Contact: <sip:+15557654321@198.51.100.20:5060;transport=udp>\r
Supported: timer, 100rel\r
Session-Expires: 1800;refresher=uac\r
Content-Type: application/sdp\r
Content-Length: 5\r
\r
v=0\r
"""


def refused(data: bytes, limits: Limits = Limits()) -> Rejection:  # noqa: B008  # frozen
    found = parse_datagram(data, limits)
    assert isinstance(found, Rejection), found
    return found


def test_bare_line_feeds_are_forgiven() -> None:
    head, body = MESSAGE.split(b"\r\n\r\n")
    request = parse_datagram(head.replace(b"\r\n", b"\n") + b"\n\n" + body)
    assert isinstance(request, Request)
    assert request.body == b"v=0\r\n"


def test_line_ends_before_the_start_line_are_skipped() -> None:
    assert isinstance(parse_datagram(b"\r\n\r\n" + MESSAGE), Request)


@pytest.mark.parametrize(
    "data", [b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"jaK", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100]
)
def test_junk_is_not_answered(data: bytes) -> None:
    assert refused(data).response("x") is None


def test_a_header_nobody_knows_drops_nothing() -> None:
    """An unknown or odd header (P-Charging-Vector and worse) dropped the INVITE elsewhere."""
    odd = b'P-Charging-Vector: icid-value="ab;,"<;icid\r\nno colon here\r\nBad Name: x\r\n: no name\r\nX:\r\n'
    request = parse_datagram(MESSAGE.replace(b"Supported", odd + b"Supported"))
    assert isinstance(request, Request)
    assert request.ignored == ("no colon here", "Bad Name: x", ": no name")
    assert request.get("p-charging-vector") == 'icid-value="ab;,"<;icid'
    assert inspect_request(request) is None


@pytest.mark.parametrize("name", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
def test_what_a_transaction_needs_must_be_there(name: bytes) -> None:
    data = re.sub(b"\r\n" + name + b":[^\r]*", b"", MESSAGE, count=1)
    rejection = refused(data)
    assert rejection.status == (0 if name == b"Via" else 400)  # without a Via there is nobody to answer


def test_an_ack_is_never_answered() -> None:
    assert refused(MESSAGE.replace(b"INVITE", b"ACK").replace(b"69", b"x")).response("t") is None


def test_a_truncated_datagram_is_answered() -> None:
    assert refused(MESSAGE[:400]).status == 400


def test_limits() -> None:
    assert refused(MESSAGE.replace(b"Supported", b"X: 1\r\n" * 300 + b"Supported")).status == 513
    assert refused(MESSAGE.replace(b"timer", b"t" * 9000)).status == 513
    assert refused(MESSAGE.replace(b"Max-F", b"Via: SIP/2.0/UDP a;branch=b\r\n" * 80 + b"Max-F")).status == 400
    assert refused(MESSAGE + b"x" * 70_000).status == 0
    assert refused(MESSAGE, Limits(headers=5)).status == 513


def test_many_vias_on_one_line_are_many() -> None:
    assert refused(MESSAGE.replace(b";rport", b",SIP/2.0/UDP a" * 80)).status == 400


def test_content_length_repeated_alike_is_one() -> None:
    request = parse_datagram(MESSAGE.replace(b"Content-Length: 5", b"Content-Length: 5\r\nl: 5"))
    assert isinstance(request, Request)


def read_everything(message: Request | Response) -> None:
    """Ask for every value: only SipSyntaxError may come out."""
    for name in ("vias", "contacts", "routes", "record_routes", "max_forwards", "content_type", "sdp"):
        with contextlib.suppress(SipSyntaxError):
            getattr(message, name)
    if isinstance(message, Request):
        inspect_request(message)
    else:
        inspect_response(message)
    with contextlib.suppress(BuildError):  # a body whose Content-Type has been damaged
        message.encode()


ALPHABET = string.ascii_letters + string.digits + ' \t\r\n:;,<>@="\\/?.%[]*-_()\0é'
PIECES = st.sampled_from(
    [
        "\r\n",
        "\r\n ",
        ",",
        ";",
        '"',
        "\\",
        "<",
        ">",
        "sip:",
        "@",
        "=",
        ":",
        "Via: SIP/2.0/UDP a;branch=b",
        "tag=1",
        "[::1]",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    found = parse_datagram(data)
    assert isinstance(found, Request | Response | Rejection)


@settings(max_examples=1200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, len(MESSAGE)), st.integers(0, 40), st.one_of(PIECES, st.text(alphabet=ALPHABET, max_size=12))
        ),
        min_size=1,
        max_size=6,
    )
)
def test_damaged_messages_are_read_without_an_exception(edits: list[tuple[int, int, str]]) -> None:
    data = MESSAGE
    for place, length, piece in edits:
        data = data[:place] + piece.encode() + data[place + length :]
    found = parse_datagram(data)
    if isinstance(found, Rejection):
        answer = found.response("tag")
        if answer is not None:
            answer.encode()
    else:
        read_everything(found)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["X", "Via", "Contact"]), st.text(max_size=30)), max_size=5),
    st.binary(max_size=50),
)
def test_what_we_write_we_read_again(fields: list[tuple[str, str]], body: bytes) -> None:
    request = parse_datagram(MESSAGE)
    assert isinstance(request, Request)
    for name, value in fields:
        if name == "X":
            request.add("X", value.replace("\r", "").replace("\n", "").strip())
    request.set_body(body)
    again = parse_datagram(request.encode())
    assert isinstance(again, Request)
    assert again.body == body
    assert again.get_all("X") == [value for value in request.get_all("X")]
