"""What went wrong elsewhere: one test for each failure of other stacks that signalling alone can show.

Each names what happened to users there and cites their report. What concerns audio is tested with the media, forks and
races of calls of ours in `test_caller_machine`.
"""

import pytest

from sip.call_machine import CallState
from sip.session_timer import TimerPolicy
from sip.trunk import Trunk

from .conftest import CARRIER, LOCAL, OFFER, Link


@pytest.fixture
def up(switchboard, make_request):
    """A call that has been answered and acknowledged."""
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.answer(LOCAL)
    acknowledge(switchboard, make_request)
    return switchboard


def acknowledge(switchboard, make_request, **named) -> None:
    tag = switchboard.call.machine.dialog.local_tag
    switchboard.receive(make_request("ACK", to_tag=tag, branch=f"z9hG4bK-ack{named.get('cseq', 1)}", **named))


def within(switchboard, make_request, method, cseq, **named):
    """Send a request of the dialog; return the response to it."""
    tag = switchboard.call.machine.dialog.local_tag
    request = make_request(method, cseq=cseq, to_tag=tag, branch=f"z9hG4bK-{cseq}", **named)
    return switchboard.receive(request)[0]


def test_hold_ended_the_call(up, make_request) -> None:
    """livekit/sip #96, #552, #779: a re-INVITE for hold ended the call, or was answered sendrecv."""
    answer = within(up, make_request, "INVITE", 2, body=OFFER + b"a=sendonly\r\n")
    assert answer.status == 200
    assert b"a=recvonly" in answer.body
    assert up.call.agreement.is_held
    acknowledge(up, make_request, cseq=2)
    within(up, make_request, "INVITE", 3, body=OFFER)
    assert not up.call.agreement.is_held
    assert up.call.state is CallState.CONFIRMED


def test_audio_went_on_to_the_old_port(up, make_request) -> None:
    """livekit/sip #661, asterisk #1158: a re-INVITE moved the audio and nobody followed."""
    within(up, make_request, "INVITE", 2, body=OFFER.replace(b"49170", b"50000"))
    assert up.told[-1].remote_port == 50_000


def test_the_refresh_of_a_carrier_went_unanswered_and_the_call_was_cut_at_15_minutes(
    make_switchboard, make_request
) -> None:
    """livekit/sip PR 494, PR 582: four fifths of the long calls were lost."""
    board = make_switchboard(session_timer=TimerPolicy(interval_s=0))  # we ask for none ourselves
    board.receive(make_request(body=OFFER, more="Supported: timer\nSession-Expires: 1800;refresher=uac"))
    board.call.answer(LOCAL)
    assert board.link.sent[-1].get("Session-Expires") == "1800;refresher=uac"
    acknowledge(board, make_request)
    for number in range(1, 5):
        board.pass_time(number * 900.0)
        more = "Supported: timer\nSession-Expires: 1800;refresher=uac"
        assert within(board, make_request, "UPDATE", 1 + number, more=more).status == 200
    assert board.call.state is CallState.CONFIRMED


def test_the_bye_went_to_the_contact_instead_of_the_route(switchboard, make_request) -> None:
    """livekit/sip #730, sipgo PR 346, pyVoIP #297: the trunk never heard of the end."""
    more = "Record-Route: <sip:198.51.100.5:5080;lr>\nRecord-Route: <sip:198.51.100.6;lr>"
    invite = make_request(body=OFFER, more=more)
    invite.set("Contact", "<sip:alice@172.16.0.9:5060>")  # private, and not to be mended
    switchboard.receive(invite)
    switchboard.call.answer(LOCAL)
    acknowledge(switchboard, make_request)
    switchboard.call.hang_up()
    ((hop, link),) = switchboard.opened
    assert (hop.host, hop.port) == ("198.51.100.5", 5080)
    assert link.sent[0].uri_text == "sip:alice@172.16.0.9:5060"
    assert link.sent[0].get_all("Route") == ["<sip:198.51.100.5:5080;lr>", "<sip:198.51.100.6;lr>"]


def test_the_phone_went_on_ringing_after_cancel(switchboard, make_request) -> None:
    """livekit/sip #371, #106, #567: no 487 followed."""
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.ring()
    sent = switchboard.receive(make_request("CANCEL"))
    assert [(message.status, message.cseq.method) for message in sent] == [(200, "CANCEL"), (487, "INVITE")]
    assert sent[1].to.tag == switchboard.link.sent[1].to.tag  # the 180's


def test_an_invite_without_sdp_was_refused(switchboard, make_request) -> None:
    """livekit/sip #402, suitenumerique/meet #934."""
    switchboard.receive(make_request())
    switchboard.call.answer(LOCAL)
    assert b"m=audio 40000" in switchboard.link.sent[-1].body
    acknowledge(switchboard, make_request, body=OFFER)
    assert switchboard.call.agreement.remote_port == 49_170


@pytest.mark.parametrize(
    "more",
    [
        "P-Charging-Vector: icid-value=1234bc9876e;icid-generated-at=192.0.2.1",
        "X-Weird\t: value: with : colons",
        "this is no header at all",
        "User-to-User: 56a390f3d2b7310023a2;encoding=hex",
    ],
)
def test_an_unknown_header_dropped_the_invite(switchboard, make_request, more) -> None:
    """livekit/sip #251."""
    assert switchboard.receive(make_request(body=OFFER, more=more))[0].status == 100


def test_an_odd_contact_was_refused_with_403(switchboard, make_request) -> None:
    """OpenAI forum 1366408: FreeSWITCH writes the transport twice."""
    invite = make_request(body=OFFER)
    invite.set("Contact", "<sip:gw+trunk@198.51.100.20:5061;transport=tls;transport=tls;gw=trunk>")
    assert switchboard.receive(invite)[0].status == 100


def test_the_answer_lacked_its_content_type(up) -> None:
    """OpenAI forum 1356243: Asterisk tore the call down."""
    answer = next(message for message in up.link.sent if getattr(message, "status", 0) == 200)
    assert answer.get("Content-Type") == "application/sdp"


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (OFFER.replace(b"RTP/AVP 0 101", b"RTP/AVP 18"), "", 488),
        (OFFER, "Require: 100rel", 420),
        (OFFER, "Content-Encoding: gzip", 415),
    ],
)
def test_everything_was_refused_with_400(switchboard, make_request, body, more, status) -> None:
    """livekit/livekit #2937: nobody could tell a wrong codec from a wrong number."""
    sent = switchboard.receive(make_request(body=body, more=more))
    if status == 488:
        switchboard.call.answer(LOCAL)
        sent = switchboard.link.sent
        assert sent[-1].get("Warning")
    assert sent[-1].status == status


def test_a_flood_was_reported_without_a_reason(switchboard, make_request, caplog) -> None:
    """livekit/sip #318, #592: refused, and the operator could not see why."""
    assert not switchboard.gate.admit(0.0, ("192.0.2.9", 5060))
    assert 'source=192.0.2.9:5060 what=message status=none reason="unknown source"' in caplog.text


def test_keys_by_info_were_discarded(up, make_request) -> None:
    """hass-sip PR 24."""
    tag = up.call.machine.dialog.local_tag
    info = make_request("INFO", cseq=2, to_tag=tag, branch="z9hG4bK-i", more="Content-Type: application/dtmf")
    info.body = b"5"
    assert up.receive(info)[0].status == 200
    assert up.told[-1] == ("application/dtmf", b"5")


def test_a_private_address_stood_in_contact_and_sdp(make_switchboard, make_request) -> None:
    """opensips-ai-voice-connector #2, asterisk #449: the address of the socket was told to the world."""
    trunk = Trunk("carrier", CARRIER.networks, public_address="203.0.113.81")
    board = make_switchboard((trunk,), public_address="203.0.113.80")
    board.receive(make_request(body=OFFER))
    assert board.call.arrival.address == "203.0.113.81"
    board.call.ring()
    assert board.link.sent[-1].get("Contact") == "<sip:203.0.113.81:5060>"


def test_a_long_re_invite_was_lost_in_fragments(up) -> None:
    """ha-plugins #208, sipgo #206: requests past 1300 bytes go over TCP."""
    up.call.hang_up('SIP;text="' + "x" * 1400 + '"')
    assert [hop.transport for hop, _ in up.opened] == ["TCP"]


def test_calls_were_dropped_on_deploy(up, make_request) -> None:
    """livekit/sip PR 600, #668: a service that stops keeps what is up, and says so to who asks."""
    up.agent.admission.is_draining = True
    assert within(up, make_request, "INFO", 2).status == 200
    assert up.receive(make_request("OPTIONS", branch="z9hG4bK-o"))[0].status == 503
    assert up.call.state is CallState.CONFIRMED


def test_a_second_invite_came_at_once_and_broke_the_first(switchboard, make_request) -> None:
    """livekit/sip #438: another offer before the first has its answer is put off, and the call stands."""
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.ring()
    answer = within(switchboard, make_request, "INVITE", 2, body=OFFER)
    assert (answer.status, bool(answer.get("Retry-After"))) == (500, True)
    assert switchboard.call.state is CallState.INCOMING


def test_a_caller_at_another_address_was_not_the_same_caller(switchboard, make_request) -> None:
    """RFC 3581, and phones whose NAT forgets: requests of a dialog are taken from wherever they come."""
    switchboard.receive(make_request(body=OFFER))
    switchboard.call.answer(LOCAL)
    acknowledge(switchboard, make_request)
    moved = Link(remote=("198.51.100.20", 61_000))
    tag = switchboard.call.machine.dialog.local_tag
    switchboard.receive(make_request("INFO", cseq=2, to_tag=tag, branch="z9hG4bK-2"), moved)
    switchboard.call.hang_up()
    assert moved.methods == ["BYE"]
