import pytest

from sip.errors import BuildError, SipSyntaxError
from sip.message import Request, Response
from sip.parser import parse_datagram


def test_fields_are_shown_in_order_with_case_and_repeats(make_request) -> None:
    request = make_request(more="X-Account: 1\nx-account: 2\nP-Asserted-Identity: <tel:+1>, <sip:+1@x>")
    names = [name for name, _ in request.fields]
    assert names[-4:-1] == ["X-Account", "x-account", "P-Asserted-Identity"]
    assert request.get_all("X-ACCOUNT") == ["1", "2"]
    assert request.get_list("P-Asserted-Identity") == ["<tel:+1>", "<sip:+1@x>"]


def test_changes_are_seen_by_what_was_read_before(make_request) -> None:
    request = make_request()
    assert request.cseq.number == 1
    request.set("CSeq", "2 INVITE")
    assert request.cseq.number == 2
    request.remove("Contact")
    assert request.contacts == ()
    request.add_first("Via", "SIP/2.0/UDP us;branch=z9hG4bKus")
    assert request.via.host == "us"
    assert request.fields[0][0] == "Via"


def test_set_takes_the_place_of_the_first_and_drops_the_rest() -> None:
    request = Request("INFO", "sip:a", [("A", "1"), ("X", "1"), ("B", "2"), ("x", "2")])
    request.set("X", "3")
    assert request.fields == (("A", "1"), ("X", "3"), ("B", "2"))


def test_a_response_copies_what_it_must(make_request) -> None:
    request = make_request(more="Via: SIP/2.0/UDP second;branch=z9hG4bK2\nTimestamp: 54\nRoute: <sip:x;lr>")
    trying = request.respond(100)
    assert trying.get("Timestamp") == "54"
    assert trying.to.tag == ""
    ringing = request.respond(180, to_tag="us")
    assert ringing.encode() == (
        b"SIP/2.0 180 Ringing\r\n"
        b"Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-a;rport\r\n"
        b"Via: SIP/2.0/UDP second;branch=z9hG4bK2\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=alice-1\r\n'
        b"To: <sip:100@203.0.113.7>;tag=us\r\n"
        b"Call-ID: call-1@198.51.100.20\r\n"
        b"CSeq: 1 INVITE\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def test_a_to_tag_that_is_there_stays(make_request) -> None:
    assert make_request("BYE", to_tag="old").respond(200, to_tag="new").to.tag == "old"


def test_the_source_is_stamped_into_the_top_via(make_request) -> None:
    request = make_request(more="Via: SIP/2.0/UDP second;branch=z9hG4bK2")
    request.stamp_source("203.0.113.99", 40123)
    assert request.get("Via") == "SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-a;rport=40123;received=203.0.113.99"
    assert [via.host for via in request.vias] == ["198.51.100.20", "second"]
    assert b"rport=40123" in request.respond(200).encode()


def test_the_source_is_stamped_into_a_comma_joined_via(wire) -> None:
    request = parse_datagram(
        wire(
            "BYE sip:a SIP/2.0\nv: SIP/2.0/UDP one;branch=z9hG4bK1, SIP/2.0/UDP two;branch=z9hG4bK2\n"
            "f: <sip:a>;tag=1\nt: <sip:b>;tag=2\ni: x\nCSeq: 1 BYE\n\n"
        )
    )
    assert isinstance(request, Request)
    request.stamp_source("192.0.2.9", 5)
    assert request.get_all("Via") == [
        "SIP/2.0/UDP one;branch=z9hG4bK1;received=192.0.2.9, SIP/2.0/UDP two;branch=z9hG4bK2"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nVia: evil"), ("X", "a\nb"), ("X", "a\rb"), ("Bad Name", "x"), ("", "x"), ("X:", "y")],
)
def test_nothing_leaves_that_would_not_parse(make_request, name: str, value: str) -> None:
    request = make_request()
    request.add(name, value)
    with pytest.raises(BuildError):
        request.encode()


@pytest.mark.parametrize("uri", ["", "sip:a b", "sip:a\r\nX: y"])
def test_a_request_uri_that_would_break_the_line(uri: str) -> None:
    with pytest.raises(BuildError):
        Request("BYE", uri).encode()


def test_a_reason_phrase_that_would_break_the_line() -> None:
    with pytest.raises(BuildError):
        Response(200, "OK\r\nX: y").encode()


def test_a_status_out_of_range() -> None:
    with pytest.raises(BuildError):
        Response(99).encode()


def test_a_200_with_a_body_always_has_its_content_type(make_request) -> None:
    """A 200 without Content-Type was torn down by the PBX."""
    response = make_request().respond(200, to_tag="x")
    response.body = b"v=0\r\n"
    with pytest.raises(BuildError):
        response.encode()
    response.set_body(b"v=0\r\n")
    assert b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0" in response.encode()


def test_latin_1_bytes_go_out_as_they_came_in(wire) -> None:
    data = wire(
        "BYE sip:a SIP/2.0\nVia: SIP/2.0/UDP one;branch=z9hG4bK1\nFrom: M\xfcller <sip:a@b>;tag=1\nTo: <sip:b>;tag=2\n"
        "Call-ID: x\nCSeq: 1 BYE\nContent-Length: 0\n\n"
    ).replace("\xfc".encode(), b"\xfc")
    request = parse_datagram(data)
    assert isinstance(request, Request)
    assert request.from_.uri_text == "sip:a@b"
    assert b"From: M\xfcller <sip:a@b>;tag=1\r\n" in request.respond(200).encode()


def test_a_missing_header_is_a_syntax_error_when_asked_for() -> None:
    with pytest.raises(SipSyntaxError):
        Request("BYE", "sip:a").via  # noqa: B018


def test_a_tag_follows_a_to_that_ends_with_a_semicolon(make_request) -> None:
    request = make_request("OPTIONS")
    request.set("To", "<sip:100@203.0.113.7>;user=phone;")
    response = parse_datagram(request.respond(200, to_tag="us").encode())
    assert isinstance(response, Response)
    assert response.to.tag == "us"
