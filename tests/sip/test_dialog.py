import pytest

from sip.dialog import Dialog, DialogState, dialog_id_of
from sip.errors import BuildError, SipSyntaxError
from sip.headers import NameAddr

US = "<sip:agent@203.0.113.7:5060>"


def callee(make_request, more: str = "") -> Dialog:
    return Dialog.from_request(make_request(more=more), "us-1", US)


def test_the_callees_dialog(make_request) -> None:
    dialog = callee(make_request, "Record-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>")
    assert dialog.id == ("call-1@198.51.100.20", "us-1", "alice-1")
    assert (dialog.state, dialog.remote_seq, dialog.local_seq) == (DialogState.EARLY, 1, 0)
    assert [route.uri_text for route in dialog.route_set] == ["sip:p2;lr", "sip:p1;lr"]
    bye = dialog.build_request("BYE")
    bye.add_first("Via", "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK-x")
    assert bye.encode() == (
        b"BYE sip:alice@198.51.100.20:5060 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK-x\r\n"
        b"Route: <sip:p2;lr>\r\n"
        b"Route: <sip:p1;lr>\r\n"
        b"From: <sip:100@203.0.113.7>;tag=us-1\r\n"
        b"To: Alice <sip:alice@example.com>;tag=alice-1\r\n"
        b"Call-ID: call-1@198.51.100.20\r\n"
        b"CSeq: 1 BYE\r\n"
        b"Max-Forwards: 70\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert dialog_id_of(make_request("BYE", to_tag="us-1")) == dialog.id


def test_the_callers_dialog_reverses_the_recorded_route(make_request, reply) -> None:
    invite = make_request()
    ok = reply(invite, 200, more="Record-Route: <sip:p2;lr>, <sip:p1;lr>\nContact: <sip:bob@10.0.0.5:5080>")
    dialog = Dialog.from_response(invite, ok, US)
    assert dialog.state is DialogState.CONFIRMED
    assert [route.uri_text for route in dialog.route_set] == ["sip:p1;lr", "sip:p2;lr"]
    assert dialog.id == ("call-1@198.51.100.20", "alice-1", "bob-1")
    assert dialog_id_of(ok) == dialog.id


def test_ack_and_bye_go_to_the_record_route_and_name_the_private_contact(make_request, reply) -> None:
    """ACK and BYE went to the Contact instead of the Record-Route, or a private Contact was "mended": calls dropped."""
    invite = make_request(cseq=7)
    ok = reply(invite, 200, more="Record-Route: <sip:54.172.60.0:5060;lr>\nContact: <sip:+15551234@172.18.10.5:5060>")
    dialog = Dialog.from_response(invite, ok, US)
    for request in (dialog.build_ack(invite), dialog.build_request("BYE")):
        assert request.uri_text == "sip:+15551234@172.18.10.5:5060"
        assert request.get_all("Route") == ["<sip:54.172.60.0:5060;lr>"]
    assert dialog.next_hop == "sip:54.172.60.0:5060;lr"


def test_without_routes_requests_go_to_the_contact(make_request) -> None:
    dialog = callee(make_request)
    assert dialog.next_hop == "sip:alice@198.51.100.20:5060"
    assert dialog.build_request("INFO").get("Route") is None


def test_a_strict_router_gets_the_target_as_last_route(make_request) -> None:
    dialog = callee(make_request, "Record-Route: <sip:old.proxy>\nRecord-Route: <sip:p1;lr>")
    bye = dialog.build_request("BYE")
    assert bye.uri_text == "sip:old.proxy"
    assert bye.get_all("Route") == ["<sip:p1;lr>", "<sip:alice@198.51.100.20:5060>"]


def test_lr_with_a_value_is_loose_and_lr_in_a_user_part_is_not(make_request) -> None:
    assert callee(make_request, "Record-Route: <sip:p;lr=on>").build_request("BYE").get("Route") == "<sip:p;lr=on>"
    assert callee(make_request, "Record-Route: <sip:lr@p>").build_request("BYE").uri_text == "sip:lr@p"


def test_a_tls_contact_behind_a_tcp_record_route_is_left_alone(make_request) -> None:
    """TCP Record-Route with a TLS Contact: the way is the route's, the Request-URI the Contact's."""
    request = make_request(more="Record-Route: <sip:10.1.1.1;transport=tcp;lr>")
    request.set("Contact", "<sip:a@10.2.2.2:5061;transport=tls>")
    dialog = Dialog.from_request(request, "us", US)
    assert dialog.next_hop == "sip:10.1.1.1;transport=tcp;lr"
    assert dialog.build_request("BYE").uri_text == "sip:a@10.2.2.2:5061;transport=tls"


def test_cseq_counts_up_and_ack_takes_its_invites(make_request, reply) -> None:
    invite = make_request(cseq=41, more='Proxy-Authorization: Digest realm="x"')
    dialog = Dialog.from_response(invite, reply(invite, 200, more="Contact: <sip:bob@b>"), US)
    numbers = [dialog.build_request(method).cseq.number for method in ("INVITE", "BYE")]
    assert numbers == [42, 43]
    ack = dialog.build_ack(invite)
    assert (ack.cseq.number, ack.cseq.method) == (41, "ACK")
    assert ack.get("Proxy-Authorization") == 'Digest realm="x"'
    for method in ("ACK", "CANCEL"):
        with pytest.raises(BuildError):
            dialog.build_request(method)


def test_an_older_request_is_refused_with_500_and_retry_after(make_request) -> None:
    dialog = Dialog.from_request(make_request(cseq=5), "us-1", US)
    assert dialog.receive_request(make_request("INFO", cseq=9, to_tag="us-1")) is None
    rejection = dialog.receive_request(make_request("INFO", cseq=8, to_tag="us-1"))
    assert rejection is not None
    assert (rejection.status, rejection.extra[0][0]) == (500, "Retry-After")
    assert dialog.receive_request(make_request("INFO", cseq=9, to_tag="us-1")) is None  # only lower is out of order
    assert dialog.receive_request(make_request("ACK", cseq=5, to_tag="us-1")) is None
    assert dialog.remote_seq == 9


def test_a_target_refresh_moves_the_peer(make_request) -> None:
    dialog = callee(make_request)
    update = make_request("UPDATE", cseq=2, to_tag="us-1")
    update.set("Contact", "<sip:alice@192.0.2.77>")
    dialog.refresh_target(update)
    assert dialog.build_request("BYE").uri_text == "sip:alice@192.0.2.77"
    update.remove("Contact")
    dialog.refresh_target(update)
    assert dialog.remote_target == "sip:alice@192.0.2.77"


def test_the_2xx_fixes_the_route_of_an_early_dialog(make_request, reply) -> None:
    invite = make_request()
    dialog = Dialog.from_response(invite, reply(invite, 180, more="Record-Route: <sip:p1;lr>"), US)
    assert dialog.remote_target == invite.uri_text  # no Contact yet
    dialog.confirm(reply(invite, 200, more="Record-Route: <sip:p2;lr>\nContact: <sip:bob@b>"))
    assert dialog.next_hop == "sip:p2;lr"
    assert dialog.remote_target == "sip:bob@b"


def test_an_invite_without_contact_makes_no_dialog(make_request) -> None:
    request = make_request()
    request.remove("Contact")
    with pytest.raises(SipSyntaxError):
        Dialog.from_request(request, "us", US)


def test_responses_that_make_a_dialog_carry_route_and_contact(make_request) -> None:
    request = make_request(more="Record-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>")
    dialog = Dialog.from_request(request, "us-1", US)
    response = dialog.dress(request, request.respond(200, to_tag="us-1"))
    assert response.get_all("Record-Route") == ["<sip:p2;lr>", "<sip:p1;lr>"]
    assert response.get("Contact") == US


def test_a_peer_without_tags_gets_none(make_request) -> None:
    request = make_request()
    request.set("From", "<sip:old@peer>")
    dialog = Dialog.from_request(request, "us", US)
    assert dialog.build_request("BYE").to == NameAddr("sip:old@peer")
