from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip.errors import BuildError, NotAcceptable
from sip.media import LocalMedia
from sip.message import Rejection
from sip.offer_answer import OfferAnswer
from sip.sdp import Connection, Origin, SessionDescription, parse_sdp

OFFER = b"""v=0\r
o=alice 2890844526 2890844527 IN IP4 host.atlanta.example.com\r
s=call\r
i=about\r
c=IN IP4 198.51.100.20\r
b=AS:64\r
t=0 0\r
a=sendrecv\r
m=audio 49170 RTP/AVP 0 8 97 101\r
b=TIAS:64000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:97 iLBC/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=ptime:20\r
m=video 51372 RTP/AVP 31\r
c=IN IP4 198.51.100.21\r
"""


def read(data: bytes) -> SessionDescription:
    session = parse_sdp(data)
    assert isinstance(session, SessionDescription), session
    return session


def test_the_parts_of_a_description() -> None:
    session = read(OFFER)
    assert session.origin == Origin("2890844526", 2890844527, "host.atlanta.example.com", "alice")
    audio, video = session.media
    assert (audio.kind, audio.port, audio.protocol, audio.formats) == (
        "audio",
        49170,
        "RTP/AVP",
        ("0", "8", "97", "101"),
    )
    assert session.connection_of(audio) == Connection("198.51.100.20")
    assert session.connection_of(video) == Connection("198.51.100.21")
    assert audio.get("ptime") == "20"
    assert audio.get_all("rtpmap")[2] == "101 telephone-event/8000"


def test_what_was_read_is_written_again() -> None:
    assert read(OFFER).encode() == OFFER


def test_leniency() -> None:
    """No s=, no t=, bare line feeds, unknown lines, a name with a blank, no end of line."""
    text = b"v=0\no=my phone 1 2 IN IP4 1.2.3.4\nc=IN IP4 1.2.3.4/127\nq=what\n\nm=Audio 4000 rtp/avp 0\na=SendOnly"
    session = read(text)
    assert session.origin.username == "my_phone"
    assert session.connection == Connection("1.2.3.4")
    assert session.media[0].kind == "audio"
    assert session.media[0].has("sendonly")


def test_of_several_addresses_the_first_counts() -> None:
    text = OFFER + b"c=IN IP4 224.2.1.1/127/3\r\nc=IN IP4 224.2.1.2/127/3\r\n"
    assert read(text).media[1].connection == Connection("198.51.100.21")


def test_a_huge_version_is_no_long_number() -> None:
    text = OFFER.replace(b"2890844527", b"9" * 5000)
    assert read(text).origin.version == int("9" * 30)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"v=1\r\n",
        b"v=0\r\n",
        b"v=0\r\no=x\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 4000 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\nm=audio x RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\nm=audio 70000 RTP/AVP 0\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\nm=audio\r\n",
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n" + b"a=x\r\n" * 2000,
        b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nc=IN IP4 1.2.3.4\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 50,
        b"v=0\r\n" + b"x" * 40_000,
    ],
)
def test_what_cannot_be_a_description_is_refused(data: bytes) -> None:
    assert isinstance(parse_sdp(data), Rejection)


def test_a_line_break_in_a_value_does_not_leave() -> None:
    session = read(OFFER)
    session.attributes.append(("x", "1\r\nm=audio 1 RTP/AVP 0"))
    with pytest.raises(BuildError):
        session.encode()


PIECES = st.sampled_from(
    b"\r\n|m=audio |a=rtpmap:|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:|c=IN IP6 |a=fmtp:0|/| |:|=|0|\xff|a=ptime:x|"
    b"a=rtcp:9 IN IP4|a=inactive".split(b"|")
)


def refusal(act: Callable[[], object]) -> NotAcceptable | None:
    try:
        act()
    except NotAcceptable as error:
        return error
    return None


@settings(max_examples=800, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, len(OFFER)), st.integers(0, 30), st.one_of(PIECES, st.binary(max_size=8))), max_size=6
    )
)
def test_damaged_descriptions_are_answered_or_refused(edits: list[tuple[int, int, bytes]]) -> None:
    data = OFFER
    for place, length, piece in edits:
        data = data[:place] + piece + data[place + length :]
    call, ours = OfferAnswer("1"), OfferAnswer("1")
    ours.make_offer(LocalMedia("203.0.113.7", 4000))
    refused = refusal(lambda: call.receive_offer(data)) or refusal(
        lambda: parse_sdp(call.make_answer(LocalMedia("203.0.113.7", 4000)))
    )
    for one in (refused, refusal(lambda: ours.receive_answer(data))):
        assert one is None or one.status in (400, 413, 488)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_description_or_a_refusal(data: bytes) -> None:
    parse_sdp(data)
    parse_sdp(b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n" + data)


def test_a_line_that_lists_formats_without_end_is_refused() -> None:
    text = (
        b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP" + b" 0" * 5000
    )
    assert isinstance(parse_sdp(text), Rejection)
