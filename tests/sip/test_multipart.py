import pytest

from sip.inspection import inspect_request
from sip.multipart import find_part

SDP = b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n"
BODY = (
    b"preamble\r\n--x-y\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\x01\x00\r\n\x49--x-y"
    b"\r\n--x-y\r\nc: Application/SDP ; charset=utf-8\r\nContent-Disposition: session\r\n\r\n"
    + SDP
    + b"\r\n--x-y--\r\nrest"
)


def test_sdp_beside_isup_is_found(make_request) -> None:
    request = make_request(more='Content-Type: multipart/mixed;boundary="x-y"')
    request.body = BODY
    assert inspect_request(request) is None
    assert request.sdp == SDP


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (BODY, ""),
        (BODY, "z" * 100),
        (b"", "x"),
        (b"--x--", "x"),
        (b"--x\r\n\r\na\r\n--x--\r\n\r\nb\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0", "x"),
        (b"--x\r\nContent-Type: application/sdp", "x"),
        (b"--x\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n--x--", "x"),
        (b"--x\r\n\r\n" * 100_000 + b"Content-Type: application/sdp\r\n\r\nv=0", "x"),
    ],
)
def test_what_holds_no_description(body: bytes, boundary: str) -> None:
    assert find_part(body, boundary, "application/sdp") is None
