"""RFC 4475 §3.2 and §3.3: well-formed messages that a user agent must nevertheless answer in a certain way."""

import pytest

from sip.inspection import inspect_request, inspect_response
from sip.message import Rejection, Request, Response
from sip.parser import parse_datagram
from sip.stream import StreamFramer
from sip.transaction import server_key

OPTIONS = """OPTIONS {uri} SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=384
Max-Forwards: {max_forwards}
Call-ID: unkscm.nasdfasser0q239nwsdfasdkl34
CSeq: 3923423 OPTIONS
Via: SIP/2.0/TCP host9.example.com;branch={branch}
{more}Content-Length: 0

"""


def read(data: bytes) -> Request:
    message = parse_datagram(data)
    assert isinstance(message, Request), message
    return message


def options(wire, *, uri="sip:user@example.com", max_forwards="3", branch="z9hG4bKkdjuw39234", more="") -> Request:
    return read(wire(OPTIONS.format(uri=uri, max_forwards=max_forwards, branch=branch, more=more)))


def test_3_2_1_a_bare_magic_cookie_identifies_nothing(wire) -> None:
    one = options(wire, branch="z9hG4bK")
    other = options(wire, branch="z9hG4bK")
    other.set("Call-ID", "another")
    assert server_key(one) != server_key(other)
    assert server_key(one) == server_key(options(wire, branch="z9hG4bK"))


def test_3_3_1_missing_required_headers(wire) -> None:
    rejection = parse_datagram(
        wire(
            """INVITE sip:user@example.com SIP/2.0
CSeq: 193942 INVITE
Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf
Content-Type: application/sdp
l: 0

"""
        )
    )
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400
    answer = rejection.response("x")
    assert answer is not None
    assert b"CSeq: 193942 INVITE\r\n" in answer.encode()


@pytest.mark.parametrize("uri", ["nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002"])
def test_3_3_2_and_3_a_request_uri_of_an_unknown_scheme(wire, uri: str) -> None:
    rejection = inspect_request(options(wire, uri=uri))
    assert rejection is not None
    assert rejection.status == 416


def test_3_3_4_unknown_schemes_in_headers_are_no_syntax_errors(wire) -> None:
    request = read(
        wire(
            """REGISTER sip:example.com SIP/2.0
To: isbn:2983792873
From: <http://www.example.com>;tag=3234233
Call-ID: unksm2.daksdj@hyphenated-host.example.com
CSeq: 234902 REGISTER
Max-Forwards: 70
Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bKkdjuw
Contact: <name:John_Smith>
l: 0

"""
        )
    )
    assert (request.to.uri.scheme, request.from_.uri.scheme) == ("isbn", "http")
    assert str(request.contacts[0].uri) == "name:John_Smith"


def test_3_3_5_require_of_what_nobody_supports(wire) -> None:
    more = (
        "Require: nothingSupportsThis, nothingSupportsThisEither\n"
        "Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis\n"
    )
    rejection = inspect_request(options(wire, more=more))
    assert rejection is not None
    assert rejection.status == 420
    assert rejection.extra == (("Unsupported", "nothingSupportsThis, nothingSupportsThisEither"),)


@pytest.mark.parametrize("method", ["ACK", "CANCEL"])
def test_require_in_ack_and_cancel_is_ignored(make_request, method: str) -> None:
    assert inspect_request(make_request(method, more="Require: nothingSupportsThis")) is None


def test_3_3_6_an_unknown_content_type(make_request) -> None:
    request = make_request(more="Content-Type: application/unknownformat")
    request.body = b"<audio>\r\n <pcmu port='443'/>\r\n</audio>\r\n"
    rejection = inspect_request(request)
    assert rejection is not None
    assert rejection.status == 415
    assert rejection.extra[0][0] == "Accept"
    assert "application/sdp" in rejection.extra[0][1]


def test_an_optional_body_of_unknown_type_is_ignored(make_request) -> None:
    request = make_request(more="Content-Type: text/x-unknown\nContent-Disposition: render; handling=optional")
    request.body = b"?"
    assert inspect_request(request) is None


def test_3_3_7_an_unknown_authorization_scheme_is_no_reason_to_refuse_the_message(wire) -> None:
    assert inspect_request(options(wire, more="Authorization: NoOneKnowsThisScheme opaque-data=here\n")) is None


@pytest.mark.parametrize(
    "twice",
    ["CSeq: 59 OPTIONS", "Call-ID: other@192.0.2.2", "From: <sip:x@y>;tag=1", "To: <sip:z@y>", "Max-Forwards: 5"],
)
def test_3_3_8_several_values_where_only_one_may_be(wire, twice: str) -> None:
    text = OPTIONS.format(uri="sip:a@b", max_forwards="3", branch="z9hG4bK1", more=twice + "\n")
    rejection = parse_datagram(wire(text))
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400


def test_3_3_9_several_content_lengths_end_a_stream(wire) -> None:
    data = wire(
        """OPTIONS sip:user@example.com SIP/2.0
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bK293423
To: sip:user@example.com
From: sip:other@example.net;tag=3923942
Call-ID: mcl01.fhn2323orihawfdoa3o4r52o3irsdf
CSeq: 15932 OPTIONS
Content-Length: 13
Max-Forwards: 60
Content-Length: 5
Content-Type: text/plain

There's no way to know how many octets are supposed to be here.
"""
    )
    rejection = parse_datagram(data)
    assert isinstance(rejection, Rejection)
    assert rejection.status == 400
    framer = StreamFramer()
    assert [type(found) for found in framer.receive(data + data)] == [Rejection]
    assert framer.failed


def test_3_3_10_a_response_that_was_meant_for_somebody_else(wire) -> None:
    message = parse_datagram(
        wire(
            """SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23
Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 0
Contact: <sip:user@host28.example.com>

"""
        )
    )
    assert isinstance(message, Response)
    assert inspect_response(message) == "response has more than one Via"


def test_3_3_11_max_forwards_zero_is_answered_by_whom_it_reaches(wire) -> None:
    assert inspect_request(options(wire, max_forwards="0")) is None


def test_3_3_12_a_parameter_after_a_bare_contact_belongs_to_the_header(wire) -> None:
    request = options(wire, more="Contact: sip:+19725552222@gw1.example.net;unknownparam\n")
    assert request.contacts[0].params == {"unknownparam": None}
    assert request.contacts[0].uri_text == "sip:+19725552222@gw1.example.net"


def test_3_3_13_a_parameter_within_brackets_belongs_to_the_uri(wire) -> None:
    request = options(wire, more="Contact: <sip:+19725552222@gw1.example.net;unknownparam>\n")
    assert request.contacts[0].params == {}
    assert request.contacts[0].uri_text == "sip:+19725552222@gw1.example.net;unknownparam"


def test_3_3_14_escaped_headers_in_a_bracketed_contact_stay_with_it(wire) -> None:
    request = options(wire, more="Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\n")
    assert request.contacts[0].uri_text == "sip:user@example.com?Route=%3Csip:sip.example.com%3E"
    assert inspect_request(request) is None


def test_3_3_15_an_accept_without_sdp_can_be_seen(wire) -> None:
    request = options(wire, more="Accept: text/nobodyKnowsThis\n")
    assert request.get_list("Accept") == ["text/nobodyKnowsThis"]
