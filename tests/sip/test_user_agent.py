"""From messages to calls and back: who gets which request, what is answered, where our own requests go."""

import logging

import pytest

from sip.call_effects import EndReason
from sip.call_machine import CallState
from sip.message import Request, Response
from sip.parser import parse_datagram

from .conftest import LOCAL, OFFER, Link


@pytest.fixture
def up(switchboard, make_request):
    """A call that has been answered and acknowledged."""
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"))
    return switchboard


def tag_of(switchboard) -> str:
    return str(switchboard.call.machine.dialog.local_tag)


def test_an_invite_becomes_a_call_of_the_application(switchboard, make_request) -> None:
    sent = switchboard.receive(
        make_request(body=OFFER, more="P-Asserted-Identity: <tel:+1-555-0100>\nX-Tag: one\nX-Tag: two")
    )
    assert [message.status for message in sent] == [100]
    call = switchboard.call
    assert (call.called, call.caller) == ("100", "+15550100")
    assert (call.arrival.trunk.name, call.arrival.transport, call.arrival.address) == ("carrier", "UDP", "203.0.113.7")
    assert [value for name, value in call.headers if name == "X-Tag"] == ["one", "two"]
    call.ring()
    call.answer(LOCAL)
    assert switchboard.link.statuses == [100, 180, 200]
    answer = switchboard.link.sent[-1]
    assert answer.get("Contact") == "<sip:203.0.113.7:5060>"
    assert answer.via.params["received"] == "198.51.100.20"


def test_what_a_call_is_told_comes_in_the_order_it_happened(up, make_request) -> None:
    info = make_request(
        "INFO", cseq=2, to_tag=tag_of(up), branch="z9hG4bK-i", more="Content-Type: application/dtmf-relay"
    )
    info.body = b"Signal=5\r\nDuration=160\r\n"
    up.receive(info)
    up.receive(make_request("BYE", cseq=3, to_tag=tag_of(up), branch="z9hG4bK-b"))
    agreement, confirmed, dtmf, ended = up.told
    assert (agreement.remote_port, confirmed, dtmf[0], ended) == (
        49170,
        "confirmed",
        "application/dtmf-relay",
        EndReason.REMOTE_BYE,
    )
    assert len(up.agent.calls) == 0
    assert up.agent.admission.calls == 0


def test_a_listener_may_hang_up_while_it_is_being_told(switchboard, make_request) -> None:
    switchboard.receive(make_request(body=OFFER))
    call, tape = switchboard.call, switchboard.tapes[-1]
    tape.confirmed = call.hang_up
    call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"))
    assert switchboard.link.methods == ["BYE"]
    assert tape.told[-1] is EndReason.LOCAL_BYE


@pytest.mark.filterwarnings("ignore")
def test_a_listener_that_fails_ends_its_own_call_only(switchboard, make_request, caplog) -> None:
    switchboard.receive(make_request(body=OFFER))
    tape = switchboard.tapes[-1]

    def fail() -> None:
        raise RuntimeError("no media")

    tape.confirmed = fail
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"))
    assert "the listener of a call failed" in caplog.text
    assert switchboard.link.methods == ["BYE"]
    other = make_request(body=OFFER, branch="z9hG4bK-other")
    other.set("Call-ID", "call-2")
    switchboard.receive(other)
    assert len(switchboard.arrived) == 2


def test_an_application_that_does_not_listen_leaves_no_call_behind(switchboard, make_request) -> None:
    switchboard.call_arrived = None  # not even callable
    switchboard.agent._application = switchboard
    assert [message.status for message in switchboard.receive(make_request(body=OFFER))] == [100, 500]
    assert switchboard.agent.admission.calls == 0


# --- requests outside a call ------------------------------------------------------------------------------------------


def test_options_tells_what_is_understood(switchboard, make_request) -> None:
    (answer,) = switchboard.receive(make_request("OPTIONS"))
    assert (answer.status, answer.get("Accept")) == (200, "application/sdp")
    assert {"INVITE", "BYE"} <= set(answer.get_list("Allow"))
    assert answer.to.tag


def test_a_service_that_drains_refuses_new_calls_and_keeps_those_that_are_up(up, make_request) -> None:
    up.agent.admission.is_draining = True
    (answer,) = up.receive(make_request("OPTIONS", branch="z9hG4bK-o"))
    assert (answer.status, answer.get("Retry-After")) == (503, "5")
    other = make_request(body=OFFER, branch="z9hG4bK-n")
    other.set("Call-ID", "call-2")
    assert [message.status for message in up.receive(other)] == [503]
    assert up.receive(make_request("INFO", cseq=2, to_tag=tag_of(up), branch="z9hG4bK-i"))[0].status == 200
    assert up.call.state is CallState.CONFIRMED


@pytest.mark.parametrize(
    ("method", "more", "status", "header"),
    [
        ("REGISTER", "", 405, "Allow"),
        ("DANCE", "", 501, "Allow"),
        ("INVITE", "Require: precondition", 420, "Unsupported"),
        ("BYE", "", 481, None),
        ("UPDATE", "", 481, None),
    ],
)
def test_what_is_not_served_is_refused_by_its_own_status(
    switchboard, make_request, method, more, status, header
) -> None:
    (answer,) = switchboard.receive(make_request(method, more=more))
    assert answer.status == status
    assert header is None or answer.get(header)


def test_a_request_of_a_dialog_that_nobody_knows_gets_481(switchboard, make_request) -> None:
    assert switchboard.receive(make_request("BYE", to_tag="gone"))[0].status == 481
    assert switchboard.receive(make_request("ACK", to_tag="gone", branch="z9hG4bK-x")) == []


def test_the_same_invite_by_two_ways_is_one_call(switchboard, make_request) -> None:
    switchboard.receive(make_request(body=OFFER))
    second = switchboard.receive(make_request(body=OFFER, branch="z9hG4bK-fork"))
    assert [message.status for message in second] == [482]
    assert len(switchboard.arrived) == 1


def test_a_request_that_cannot_be_read_is_answered_with_400(switchboard, make_request) -> None:
    data = make_request("OPTIONS").encode().replace(b"Content-Length: 0", b"Content-Length: 9")
    switchboard.agent.receive(parse_datagram(data), switchboard.link)
    assert switchboard.link.statuses == [400]


# --- CANCEL -----------------------------------------------------------------------------------------------------------


def test_cancel_before_the_answer(switchboard, make_request) -> None:
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.ring()
    sent = switchboard.receive(make_request("CANCEL"))
    assert [(message.status, message.cseq.method) for message in sent] == [(200, "CANCEL"), (487, "INVITE")]
    assert switchboard.told == [EndReason.CANCELLED]
    assert switchboard.agent.admission.calls == 0


def test_cancel_after_the_answer_changes_nothing(up, make_request) -> None:
    (answer,) = up.receive(make_request("CANCEL"))
    assert answer.status == 200
    assert up.call.state is CallState.CONFIRMED


def test_cancel_of_nothing(switchboard, make_request) -> None:
    assert switchboard.receive(make_request("CANCEL"))[0].status == 481


# --- what is lost, what is repeated -----------------------------------------------------------------------------------


def test_a_lost_100_and_a_repeated_invite_make_one_call(switchboard, make_request) -> None:
    for _ in range(3):
        assert [message.status for message in switchboard.receive(make_request(body=OFFER))] == [100]
    assert len(switchboard.arrived) == 1


def test_a_lost_answer_is_repeated_until_its_ack(switchboard, make_request) -> None:
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.answer(LOCAL)
    switchboard.pass_time(2.0)
    assert switchboard.link.statuses == [100, 200, 200, 200]
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"))
    switchboard.pass_time(10.0)
    assert switchboard.link.statuses == [100, 200, 200, 200]


def test_an_answer_that_is_never_acknowledged_ends_the_call_with_bye(switchboard, make_request) -> None:
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.answer(LOCAL)
    switchboard.pass_time(40.0)
    assert switchboard.link.methods[0] == "BYE"
    assert switchboard.told[-1] is EndReason.NO_ACK


def test_a_repeated_bye_gets_the_same_answer(up, make_request) -> None:
    bye = make_request("BYE", cseq=2, to_tag=tag_of(up), branch="z9hG4bK-b")
    assert [message.status for message in (*up.receive(bye), *up.receive(bye))] == [200, 200]


def test_nothing_is_left_behind_by_a_call(up, make_request) -> None:
    up.receive(make_request("BYE", cseq=2, to_tag=tag_of(up), branch="z9hG4bK-b"))
    up.pass_time(100.0)
    assert len(up.agent._performer.table) == 0
    assert up.agent.next_deadline() is None


def test_a_bye_of_ours_is_repeated_until_it_is_answered(up, reply) -> None:
    up.call.hang_up()
    up.pass_time(2.0)
    assert up.link.methods == ["BYE"] * 3
    bye = up.link.sent[-1]
    up.receive(reply(bye, 200))
    up.pass_time(20.0)
    assert up.link.methods == ["BYE"] * 3


# --- the way of our requests ------------------------------------------------------------------------------------------


def test_a_caller_behind_a_nat_is_reached_where_it_came_from(switchboard, make_request) -> None:
    link = Link(remote=("198.51.100.99", 33_000))  # its Via and Contact say 198.51.100.20
    switchboard.receive(make_request(body=OFFER), link)
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"), link)
    switchboard.call.hang_up()
    assert link.methods == ["BYE"]
    assert link.sent[-1].uri_text == "sip:alice@198.51.100.20:5060"  # its own words
    assert switchboard.opened == []


def test_a_phone_that_listens_at_another_port_than_it_sends_from_is_answered_there(switchboard, make_request) -> None:
    link = Link(remote=("198.51.100.20", 49_999))
    request = make_request("OPTIONS")
    request.set("Via", "SIP/2.0/UDP 198.51.100.20:5080;branch=z9hG4bK-c")
    switchboard.receive(request, link)
    assert link.sent == []
    assert link.others[5080].statuses == [200]


def test_through_a_proxy_the_bye_goes_to_the_route_and_names_the_target(switchboard, make_request) -> None:
    route = "Record-Route: <sip:198.51.100.5;lr>\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK-far"
    invite = make_request(body=OFFER, more=route)
    switchboard.receive(invite)
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"))
    switchboard.call.hang_up()
    ((hop, link),) = switchboard.opened
    assert (hop.transport, hop.host, hop.port) == ("UDP", "198.51.100.5", 5060)
    assert link.sent[0].get("Route") == "<sip:198.51.100.5;lr>"
    assert link.sent[0].uri_text == "sip:alice@198.51.100.20:5060"


def test_a_proxy_is_reached_by_the_connection_that_it_came_by(switchboard, make_request) -> None:
    link = Link("TCP", ("198.51.100.20", 40_123))
    more = "Record-Route: <sip:198.51.100.20;transport=tcp;lr>"
    invite = make_request(body=OFFER, more=more)
    invite.set("Via", "SIP/2.0/TCP 198.51.100.20:5060;branch=z9hG4bK-a")
    switchboard.receive(invite, link)
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"), link)
    switchboard.call.hang_up()
    assert link.methods == ["BYE"]
    assert link.sent[-1].via.transport == "TCP"


def test_a_connection_that_is_gone_is_opened_again_to_the_contact(switchboard, make_request) -> None:
    link = Link("TCP", ("198.51.100.20", 40_123))
    invite = make_request(body=OFFER)
    invite.set("Via", "SIP/2.0/TCP 198.51.100.20;branch=z9hG4bK-a")
    invite.set("Contact", "<sip:alice@198.51.100.20:5070;transport=tcp>")
    switchboard.receive(invite, link)
    switchboard.call.answer(LOCAL)
    switchboard.receive(make_request("ACK", to_tag=tag_of(switchboard), branch="z9hG4bK-ack"), link)
    link.is_open = False
    switchboard.call.hang_up()
    ((hop, opened),) = switchboard.opened
    assert (hop.transport, hop.host, hop.port) == ("TCP", "198.51.100.20", 5070)
    assert opened.methods == ["BYE"]


def test_a_long_request_goes_over_tcp_and_over_udp_when_that_fails(up) -> None:
    up.call.hang_up('SIP;cause=200;text="' + "x" * 1300 + '"')
    ((hop, link),) = up.opened
    assert (hop.transport, link.methods, up.link.methods) == ("TCP", ["BYE"], [])
    assert link.sent[0].via.transport == "TCP"
    up.agent.flow_failed(link)
    assert up.link.methods == ["BYE"]
    assert up.link.sent[-1].via.transport == "UDP"
    assert len(up.link.sent[-1].vias) == 1


def test_a_public_address_is_for_callers_out_there(make_switchboard, make_request) -> None:
    switchboard = make_switchboard(public_address="192.0.2.80")
    for host, shown in (("8.8.8.8", "192.0.2.80"), ("10.0.0.4", "203.0.113.7")):
        assert switchboard.agent._settings.address_for(Link(remote=(host, 5060)), None) == shown
    assert switchboard.agent._settings.address_for(Link(remote=("10.0.0.4", 5060)), "192.0.2.99") == "192.0.2.99"


def test_a_response_that_nobody_waits_for_is_dropped(switchboard, make_request, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    switchboard.receive(make_request("OPTIONS").respond(200))
    two = make_request("OPTIONS", more="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-z").respond(200)
    switchboard.receive(two)
    assert switchboard.link.sent == []
    assert "more than one Via" in caplog.text


def test_requests_and_responses_are_told_apart(switchboard, make_request) -> None:
    (answer,) = switchboard.receive(make_request("OPTIONS"))
    assert isinstance(answer, Response)
    assert not isinstance(answer, Request)


def test_a_route_that_could_not_be_written_is_refused_at_once(switchboard, make_request) -> None:
    invite = make_request(body=OFFER, more="Record-Route: <sip:198.51.100.5 x>")
    assert [message.status for message in switchboard.receive(invite)] == [400]


def test_a_target_that_could_not_be_written_costs_its_own_call_only(up) -> None:
    up.call.machine.dialog.remote_target = "sip:a b"
    up.call.hang_up()
    assert up.link.methods == []
    assert up.told[-1] is EndReason.LOCAL_BYE


def test_a_peer_is_asked_whether_it_is_there(switchboard) -> None:
    heard: list[int] = []
    switchboard.agent.probe("sip:198.51.100.20", switchboard.link, heard.append)
    (options,) = switchboard.link.sent
    assert (options.method, options.uri_text) == ("OPTIONS", "sip:198.51.100.20")
    assert options.get("Contact") == "<sip:203.0.113.7:5060>"
    switchboard.receive(options.respond(100))
    assert heard == []
    switchboard.receive(options.respond(404, to_tag="t"))
    switchboard.receive(options.respond(404, to_tag="t"))
    assert heard == [404]


def test_a_peer_that_does_not_answer_counts_as_408(switchboard) -> None:
    heard: list[int] = []
    switchboard.agent.probe("sip:198.51.100.20", switchboard.link, heard.append)
    switchboard.pass_time(40.0)
    assert heard == [408]


def test_a_connection_that_fails_while_a_peer_is_asked_counts_as_503(switchboard) -> None:
    heard: list[int] = []
    link = Link(transport="TCP")
    switchboard.agent.probe("sip:198.51.100.20;transport=tcp", link, heard.append)
    switchboard.agent.flow_failed(link)
    assert heard == [503]
