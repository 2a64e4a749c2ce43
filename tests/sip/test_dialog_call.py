"""What happens within a call: re-INVITE, UPDATE, INFO, session refresh, offers of ours; and no order breaks it."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.call_effects import (
    CallEnded,
    EndReason,
    InfoAnswered,
    InfoArrived,
    Respond,
    SendAck,
)
from sip.call_machine import CalleeCall
from sip.dialog_base import CallSettings
from sip.errors import StateError
from sip.inspection import inspect_request
from sip.media import Direction, LocalMedia
from sip.message import Request, Response
from sip.parser import parse_datagram
from sip.server_transaction import ServerTransaction
from sip.session_timer import TimerPolicy

LOCAL = LocalMedia("203.0.113.7", 40_000)
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
HELD = OFFER.replace(b"1 1 IN", b"1 2 IN") + b"a=sendonly\r\n"
SETTINGS = CallSettings("<sip:agent@203.0.113.7:5060>", session_timer=TimerPolicy(interval_s=0))


def test_hold_and_resume(desk) -> None:
    """A re-INVITE ended the call elsewhere."""
    desk.up()
    held = desk.ask("INVITE", body=HELD)
    assert held.status == 200
    assert b"a=recvonly" in held.body
    assert desk.media[-1].agreement.is_held
    desk.ack()
    resumed = desk.ask("INVITE", body=OFFER.replace(b"1 1 IN", b"1 3 IN"))
    assert b"a=sendrecv" in resumed.body
    assert not desk.media[-1].agreement.is_held
    assert desk.ended == []


def test_an_unchanged_re_invite_resets_no_media(desk) -> None:
    desk.up()
    assert desk.ask("INVITE", body=OFFER).status == 200
    assert len(desk.media) == 1


def test_a_re_invite_without_sdp_gets_our_present_offer(desk) -> None:
    desk.up()
    assert b"m=audio 40000" in desk.ask("INVITE").body
    desk.ack(body=OFFER)
    assert desk.ended == []
    assert len(desk.media) == 1


def test_a_re_invite_that_fits_nothing_leaves_the_call_up(desk) -> None:
    desk.up()
    assert desk.ask("INVITE", body=OFFER.replace(b"AVP 0 101", b"AVP 18")).status == 488
    assert desk.ended == []
    assert desk.ask("INVITE", body=OFFER).status == 200


def test_a_second_offer_before_the_answer_is_500_with_retry_after(desk) -> None:
    for method in ("INVITE", "UPDATE"):
        response = desk.ask(method, body=OFFER)
        assert (response.status, response.get("Retry-After")) == (500, "5")
    assert desk.ask("UPDATE").status == 200


def test_an_info_of_ours_is_answered_before_the_next_one_goes(desk) -> None:
    with pytest.raises(StateError):
        desk.call.send_info(0.5, "application/dtmf", b"1")
    desk.up()
    desk.perform(desk.call.send_info(2.0, "application/dtmf", b"1"))
    (info,) = desk.requests
    assert (info.method, info.get("Content-Type"), info.body) == ("INFO", "application/dtmf", b"1")
    with pytest.raises(StateError):
        desk.call.send_info(2.1, "application/dtmf", b"2")
    assert desk.call.receive_response(2.2, info, info.respond(200)) == [InfoAnswered(200)]
    desk.perform(desk.call.send_info(2.3, "application/dtmf", b"2"))
    assert desk.requests[1].cseq.number == info.cseq.number + 1


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_no_longer_knows_the_call_ends_it(desk, status) -> None:
    desk.up()
    desk.perform(desk.call.send_info(2.0, "application/dtmf", b"1"))
    desk.perform(desk.call.receive_response(3.0, desk.requests[0], desk.requests[0].respond(status)))
    assert desk.ended == [CallEnded(EndReason.LOST, status)]


def test_headers_of_ours_go_with_answer_and_goodbye(desk) -> None:
    desk.perform(desk.call.answer(1.0, LOCAL, [("X-Desk", "7")]), 1.0)
    desk.ack()
    assert desk.responses[-1].get("X-Desk") == "7"
    desk.perform(desk.call.hang_up(2.0, "SIP;cause=200", [("X-Result", "booked")]))
    assert desk.requests[-1].get("X-Result") == "booked"


def test_requests_of_a_dialog(desk) -> None:
    desk.up()
    options = desk.ask("OPTIONS")
    assert "UPDATE" in options.get_list("Allow")
    assert desk.ask("INFO", body=b"Signal=5\r\n").status == 200
    assert desk.effects[-1] == InfoArrived("application/sdp", b"Signal=5\r\n")
    assert desk.ask("MESSAGE").status == 405
    assert desk.ask("FOO").status == 501
    assert desk.ask("OPTIONS", more="Require: x").status == 420
    desk.cseq -= 3
    assert desk.ask("INFO").status == 500


def test_dtmf_by_info_is_not_discarded(desk) -> None:
    """INFO was answered and thrown away elsewhere."""
    desk.up()
    request = desk.make("INFO", cseq=9, to_tag="us-1", branch="z9hG4bK-9")
    request.set_body(b"Signal=5\r\nDuration=160\r\n", "application/dtmf-relay")
    effects = desk.call.receive_request(2.0, ServerTransaction(request, 2.0, reliable=True), request)
    assert effects[1] == InfoArrived("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")


def test_a_carriers_session_refresh_keeps_a_long_call_up(make_desk) -> None:
    """Session refreshes went unanswered elsewhere: four of five 15-minute calls were lost."""
    more = "Supported: timer\nSession-Expires: 900;refresher=uac"
    desk = make_desk(more=more).up(0.0)
    for minute in range(7, 120, 7):
        now = 60.0 * minute
        assert (desk.call.next_deadline() or 0) > now
        response = desk.ask("INVITE", now, body=OFFER, more=more)
        assert response.get("Session-Expires") == "900;refresher=uac"
        desk.ack(now)
    assert desk.ended == []
    desk.perform(desk.call.handle_timer(60.0 * 119 + 868))
    assert desk.ended[0].reason is EndReason.EXPIRED
    assert desk.requests[-1].method == "BYE"


@pytest.mark.parametrize(("allow", "method"), [("Allow: UPDATE, INVITE\n", "UPDATE"), ("", "INVITE")])
def test_we_refresh_by_update_or_by_an_invite_that_changes_nothing(make_desk, reply, allow: str, method: str) -> None:
    settings = replace(SETTINGS, session_timer=TimerPolicy(interval_s=600))
    desk = make_desk(settings, more=f"{allow}Supported: timer").up(0.0)
    desk.perform(desk.call.handle_timer(300.0))
    (refresh,) = desk.requests
    assert (refresh.method, refresh.get("Session-Expires")) == (method, "600;refresher=uac")
    assert bool(refresh.body) is (method == "INVITE")
    ok = answer(reply, refresh, OFFER if method == "INVITE" else b"", "Session-Expires: 600;refresher=uac")
    desk.perform(desk.call.receive_response(300.2, refresh, ok))
    assert isinstance(desk.effects[-1], SendAck) is (method == "INVITE")
    assert len(desk.media) == 1
    assert desk.call.next_deadline() == 600.2


def answer(reply, request: Request, body: bytes = b"", more: str = "", status: int = 200) -> Response:
    """Let the peer answer a request of ours."""
    if request.get("Via") is None:
        request.add_first("Via", "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK-us")
    response: Response = reply(request, status, more=more, body=body)
    return response


def test_we_hold_and_resume(desk, reply) -> None:
    desk.up()
    desk.perform(desk.call.offer(2.0, replace(LOCAL, direction=Direction.SENDONLY)))
    (invite,) = desk.requests
    assert b"a=sendonly" in invite.body
    assert desk.ask("INVITE", body=OFFER).status == 491  # glare
    ok = answer(reply, invite, OFFER + b"a=recvonly\r\n")
    desk.perform(desk.call.receive_response(2.1, invite, ok))
    assert desk.media[-1].agreement.direction is Direction.SENDONLY
    ack = desk.effects[-2]
    assert isinstance(ack, SendAck)
    assert desk.call.receive_response(2.6, invite, ok) == [ack]  # its ACK was lost
    desk.perform(desk.call.offer(3.0, LOCAL))
    assert desk.requests[-1].cseq.number == invite.cseq.number + 1


def test_an_offer_that_collides_is_made_again_after_a_while(desk, reply) -> None:
    desk.up()
    desk.perform(desk.call.offer(2.0, replace(LOCAL, port=41_000)))
    desk.perform(desk.call.receive_response(2.1, desk.requests[0], answer(reply, desk.requests[0], status=491)))
    assert desk.ask("INVITE", 2.5, body=OFFER).status == 200  # theirs passes now
    desk.ack(2.5)
    assert desk.call.next_deadline() == 3.1  # the caller made the Call-ID: we wait up to 2 s
    desk.perform(desk.call.handle_timer(3.1))
    assert b"m=audio 41000" in desk.requests[-1].body


def test_an_offer_that_is_refused_leaves_the_call_up(desk, reply) -> None:
    desk.up()
    desk.perform(desk.call.offer(2.0, replace(LOCAL, port=41_000)))
    desk.perform(desk.call.receive_response(2.1, desk.requests[0], answer(reply, desk.requests[0], status=488)))
    assert desk.ended == []
    assert len(desk.media) == 1


@pytest.mark.parametrize("status", [408, 481])
def test_a_peer_that_forgot_the_call_ends_it(desk, reply, status: int) -> None:
    desk.up()
    desk.perform(desk.call.offer(2.0, LOCAL))
    desk.perform(desk.call.receive_response(2.1, desk.requests[0], answer(reply, desk.requests[0], status=status)))
    assert desk.ended == [CallEnded(EndReason.LOST, status)]


def test_too_small_a_session_interval_refuses_the_call(make_desk) -> None:
    desk = make_desk(more="Supported: timer\nSession-Expires: 30")
    assert desk.statuses == [422]
    assert desk.responses[0].get("Min-SE") == "90"


@pytest.mark.parametrize(
    "more",
    ['Supported: "', 'Allow: <"', "Content-Type: ;;;;\nContent-Disposition: x;handling=optional", "Content-Type: a;;b",
     "Session-Expires: ;;", "Min-SE: x", 'Contact: "', "Expires: never"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "OPTIONS", "BYE"])
def test_headers_that_cannot_be_read_are_answered(make_desk, method: str, more: str) -> None:
    desk = make_desk().up()
    assert desk.ask(method, more=more).status in (200, 400)


def test_an_answer_of_the_peer_that_cannot_be_read_leaves_the_target(desk, reply) -> None:
    desk.up()
    desk.perform(desk.call.offer(2.0, LOCAL))
    ok = answer(reply, desk.requests[0], OFFER, 'Contact: "\nSession-Expires: ;;')
    desk.perform(desk.call.receive_response(2.1, desk.requests[0], ok))
    assert desk.call.dialog.remote_target == "sip:alice@198.51.100.20:5060"
    assert desk.ended == []


STEPS = st.sampled_from(
    ["ring", "progress", "answer", "reject", "hang_up", "offer", "cancel", "ack", "BYE", "INVITE", "INVITE-", "UPDATE",
     "UPDATE-", "INFO", "OPTIONS", "timer", "ok", "491", "408", "488"]
)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25), offered=st.booleans())
def test_no_order_of_events_breaks_a_call(make_desk, reply, steps: list[str], offered: bool) -> None:
    """Whatever happens in whatever order: no exception but StateError, one end at most, nothing after it."""
    desk = make_desk(body=OFFER if offered else b"", more="Supported: timer")
    for second, step in enumerate(steps):
        with contextlib.suppress(StateError):
            take(desk, reply, step, float(second))
    assert len(desk.ended) <= 1
    assert desk.call.is_over is bool(desk.ended)
    assert len([status for status in desk.statuses if status >= 300]) <= 1
    if desk.call.is_over:
        assert desk.call.next_deadline() is None


def take(desk, reply, step: str, now: float) -> None:
    call = desk.call
    ours = {
        "ring": call.ring,
        "hang_up": call.hang_up,
        "timer": lambda now: call.handle_timer(call.next_deadline() or now),
    }
    with_media = {"progress": call.progress, "answer": call.answer, "offer": call.offer}
    if step in ours:
        desk.perform(ours[step](now), now)
    elif step in with_media:
        desk.perform(with_media[step](now, LOCAL), now)
    elif step == "reject":
        desk.perform(call.reject(now, 486), now)
    elif step == "cancel":
        desk.cancel()
    elif step == "ack":
        desk.ack(now, body=b"" if desk.invite.body else OFFER)
    elif step[0].isupper():
        desk.ask(step.rstrip("-"), now, body=b"" if step.endswith("-") else HELD)
    elif desk.requests:
        request = desk.requests[-1]
        response = answer(reply, request, OFFER if step == "ok" else b"", status=200 if step == "ok" else int(step))
        desk.perform(call.receive_response(now, request, response), now)


PIECES = st.sampled_from(
    b'\r\n|\r\n |,|;|"|\\|<|>|sip:|@|=|:|Supported: "|Session-Expires: ;|Contact: <|Allow: "|Require: x|l: 0'.split(
        b"|"
    )
)
EDITS = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 20), PIECES), min_size=1, max_size=4)


def damaged(data: bytes, edits: list[tuple[int, int, bytes]]) -> Request | None:
    for place, length, piece in edits:
        data = data[:place] + piece + data[place + length :]
    message = parse_datagram(data)
    return message if isinstance(message, Request) else None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, method=st.sampled_from(["INVITE", "UPDATE", "INFO", "BYE", "OPTIONS"]), begins=st.booleans())
def test_no_damaged_request_breaks_a_call(make_desk, make_request, edits, method: str, begins: bool) -> None:
    """What the parser lets through is answered, whatever its other headers hold."""
    more = "Supported: timer\nSession-Expires: 900;refresher=uac\nAllow: UPDATE"
    desk = make_desk(more=more).up()
    request = make_request(method, cseq=2, to_tag="" if begins else "us-1", branch="z9hG4bK-2", more=more, body=OFFER)
    found = damaged(request.encode(), edits)
    if found is None or found.method in ("ACK", "CANCEL"):
        return
    transaction = ServerTransaction(found, 2.0, reliable=False)
    if not begins:
        assert isinstance(desk.perform(desk.call.receive_request(2.0, transaction, found), 2.0)[0], Respond)
    elif found.method == "INVITE" and inspect_request(found) is None and found.contacts:
        call = CalleeCall(2.0, found, transaction, SETTINGS, local_tag="x", session_id="1")
        desk.perform(call.start(2.0))
        if not call.is_over:
            desk.perform(call.answer(2.0, LOCAL))
