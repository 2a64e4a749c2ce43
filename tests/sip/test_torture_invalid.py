"""RFC 4475 §3.1.2 (invalid messages): refused with the right status, or read where the RFC allows leniency."""

import pytest

from sip.inspection import inspect_request
from sip.message import Rejection, Request
from sip.parser import parse_datagram
from sip.stream import StreamFramer

BODY = b"""v=0\r
o=mhandley 29739 7272939 IN IP4 192.0.2.15\r
s=-\r
c=IN IP4 192.0.2.15\r
t=0 0\r
m=audio 49217 RTP/AVP 0 12\r
m=video 3227 RTP/AVP 31\r
a=rtpmap:31 LPC\r
"""

INVITE = """INVITE sip:user@example.com SIP/2.0
Max-Forwards: {max_forwards}
To: {to}
From: sip:caller@example.net;tag=93942939o2
Contact: {contact}
Call-ID: clerr.0ha0isndaksdjweiafasdk3
CSeq: 8 INVITE
Via: {via}
{date}Content-Type: application/sdp
Content-Length: {length}

"""


def invite(
    wire,
    *,
    max_forwards="70",
    to="sip:j.user@example.com",
    contact="<sip:caller@hungry.example.net>",
    via="SIP/2.0/UDP host5.example.com;branch=z9hG4bK-39234-23523",
    date="",
    length="152",
) -> bytes:
    text = INVITE.format(max_forwards=max_forwards, to=to, contact=contact, via=via, date=date, length=length)
    data: bytes = wire(text, BODY)
    return data


def refused(data: bytes) -> Rejection:
    message = parse_datagram(data)
    assert isinstance(message, Rejection), message
    return message


def read(data: bytes) -> Request:
    message = parse_datagram(data)
    assert isinstance(message, Request), message
    return message


def test_the_template_itself_is_valid(wire) -> None:
    request = read(invite(wire))
    assert request.body == BODY
    assert inspect_request(request) is None


def test_3_1_2_1_extra_separators_in_via(wire) -> None:
    rejection = refused(invite(wire, via="SIP/2.0/UDP 192.0.2.15;;,;,,"))
    assert rejection.status == 400
    answer = rejection.response("x")
    assert answer is not None
    assert answer.get("Via") == "SIP/2.0/UDP 192.0.2.15;;,;,,"


def test_3_1_2_1_extra_separators_in_contact(wire) -> None:
    rejection = inspect_request(read(invite(wire, contact='"Joe" <sip:joe@example.org>;;;;')))
    assert rejection is not None
    assert rejection.status == 400


def test_3_1_2_2_content_length_larger_than_the_datagram(wire) -> None:
    assert refused(invite(wire, length="9999")).status == 400


def test_3_1_2_2_on_a_stream_the_rest_is_awaited(wire) -> None:
    framer = StreamFramer()
    assert framer.receive(invite(wire, length="9999")) == []
    assert not framer.failed


def test_3_1_2_3_negative_content_length(wire) -> None:
    assert refused(invite(wire, length="-999")).status == 400
    framer = StreamFramer()
    (rejection,) = framer.receive(invite(wire, length="-999"))
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400
    assert framer.failed


@pytest.mark.parametrize(
    ("cseq", "max_forwards"), [("36893488147419103232", "70"), ("2147483648", "70"), ("1", "300"), ("1", "-1")]
)
def test_3_1_2_4_overlarge_numbers_in_a_request(wire, cseq: str, max_forwards: str) -> None:
    data = wire(
        f"""REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bK342sdfoi3
To: <sip:user@example.com>
From: <sip:user@example.com>;tag=239232jh3
CSeq: {cseq} REGISTER
Call-ID: scalar02.23o0pd9vanlq3wnrlnewofjas9ui32
Max-Forwards: {max_forwards}
Expires: 1{"0" * 100}
Contact: <sip:user@host129.example.com>
  ;expires=280297596632815
Content-Length: 0

"""
    )
    assert refused(data).status == 400


def test_3_1_2_5_overlarge_numbers_in_a_response_are_dropped(wire) -> None:
    data = wire(
        """SIP/2.0 503 Service Unavailable
Via: SIP/2.0/TCP host129.example.com;branch=z9hG4bKzzxdiwo34sw;received=192.0.2.129
To: <sip:user@example.com>
From: <sip:other@example.net>;tag=2easdjfejw
CSeq: 9292394834772304023312 OPTIONS
Call-ID: scalarlg.noase0of0234hn2qofoaf0232aewf2394r
Retry-After: 949302838503028349304023988
Warning: 1812 overture "In Progress"
Content-Length: 0

"""
    )
    rejection = refused(data)
    assert (rejection.status, rejection.response("x")) == (0, None)


def test_3_1_2_6_a_quoted_string_that_never_closes(wire) -> None:
    rejection = refused(invite(wire, to='"Mr. J. User <sip:j.user@example.com>'))
    assert rejection.status == 400
    answer = rejection.response("x")
    assert answer is not None
    assert answer.get("To") == '"Mr. J. User <sip:j.user@example.com>'


def test_3_1_2_7_brackets_around_the_request_uri(wire) -> None:
    assert refused(invite(wire).replace(b"sip:user@example.com SIP", b"<sip:user@example.com> SIP")).status == 400


def test_3_1_2_8_a_blank_inside_the_request_uri(wire) -> None:
    assert refused(invite(wire).replace(b"sip:user@example.com SIP", b"sip:user@example.com; lr SIP")).status == 400


def test_3_1_2_9_several_blanks_in_the_request_line_are_forgiven(wire) -> None:
    request = read(invite(wire).replace(b"INVITE sip:user@example.com SIP", b"INVITE  sip:user@example.com  SIP"))
    assert request.encode().startswith(b"INVITE sip:user@example.com SIP/2.0\r\n")


def test_3_1_2_10_blanks_at_the_end_of_the_request_line_are_forgiven(wire) -> None:
    assert read(invite(wire).replace(b"SIP/2.0\r\nMax", b"SIP/2.0  \r\nMax")).uri_text == "sip:user@example.com"


def test_3_1_2_11_headers_in_the_request_uri_are_not_acted_on(wire) -> None:
    request = read(invite(wire).replace(b"example.com SIP", b"example.com?Route=%3Csip:example.com%3E SIP"))
    assert inspect_request(request) is None
    assert request.routes == ()


def test_3_1_2_12_an_invalid_time_zone_in_date_is_nobodys_business(wire) -> None:
    assert inspect_request(read(invite(wire, date="Date: Fri, 01 Jan 2010 16:00:00 EST\n"))) is None


def test_3_1_2_13_a_contact_with_headers_needs_brackets(wire) -> None:
    rejection = inspect_request(read(invite(wire, contact="sip:user@example.com?Route=%3Csip:sip.example.com%3E")))
    assert rejection is not None
    assert rejection.status == 400


def test_3_1_2_14_blanks_within_brackets_are_forgiven(wire) -> None:
    assert read(invite(wire, to='"Watson, Thomas" < sip:t.watson@example.org >')).to.uri_text == (
        "sip:t.watson@example.org"
    )


def test_3_1_2_15_a_display_name_that_should_be_quoted_is_forgiven(wire) -> None:
    request = read(invite(wire, to="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"))
    assert (request.to.display_name, request.to.tag) == ("Bell, Alexander", "43")


def test_3_1_2_16_an_unknown_version(wire) -> None:
    rejection = refused(invite(wire).replace(b"com SIP/2.0\r\n", b"com SIP/7.0\r\n"))
    assert rejection.status == 505


@pytest.mark.parametrize(("method", "cseq"), [("OPTIONS", "INVITE"), ("NEWMETHOD", "INVITE"), ("INVITE", "invite")])
def test_3_1_2_17_and_18_cseq_names_another_method(wire, method: str, cseq: str) -> None:
    data = invite(wire).replace(b"INVITE sip:", method.encode() + b" sip:").replace(b"8 INVITE", b"8 " + cseq.encode())
    assert refused(data).status == 400


@pytest.mark.parametrize("status", ["4294967301", "099", "700", "20", "2000", "abc"])
def test_3_1_2_19_a_status_that_is_none(wire, status: str) -> None:
    data = wire(
        f"""SIP/2.0 {status} better not break the receiver
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
Call-ID: bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i
CSeq: 353494 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@host105.example.com>

"""
    )
    assert refused(data).status == 0
