"""An incoming call stepped through its life; no clock, no socket. `Desk` performs the effects."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.call_effects import (
    CallEffect,
    CallEnded,
    Confirmed,
    EndReason,
    InfoArrived,
    MediaChanged,
    Respond,
    SendAck,
    SendRequest,
)
from sip.call_machine import CalleeCall, CallState
from sip.dialog_call import CallSettings
from sip.errors import StateError
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


class Desk:
    """Sends the caller's requests and keeps what came back."""

    def __init__(self, make_request, settings: CallSettings = SETTINGS, body: bytes = OFFER, more: str = "") -> None:
        self.make = make_request
        self.cseq = 1
        self.invite = make_request(body=body, more=more)
        self.effects: list[CallEffect] = []
        self.transaction = ServerTransaction(self.invite, 0.0, reliable=False)
        self.call = CalleeCall(
            0.0, self.invite, self.transaction, settings, local_tag="us-1", session_id="7", fraction=lambda: 0.5
        )
        self.perform(self.call.start(0.0))

    def perform(self, effects: list[CallEffect], now: float = 0.0) -> list[CallEffect]:
        for effect in effects:
            if isinstance(effect, Respond):
                effect.transaction.respond(now, effect.response)
                assert isinstance(parse_datagram(effect.response.encode()), Response)
        self.effects += effects
        return effects

    def ask(self, method: str, now: float = 1.0, *, body: bytes = b"", more: str = "") -> Response:
        """Send a request within the dialog; return the response to it."""
        self.cseq += 1
        branch = f"z9hG4bK-{self.cseq}"
        request = self.make(method, cseq=self.cseq, to_tag="us-1", branch=branch, body=body, more=more)
        transaction = ServerTransaction(request, now, reliable=False)
        effects = self.perform(self.call.receive_request(now, transaction, request), now)
        return next(one.response for one in effects if isinstance(one, Respond) and one.transaction is transaction)

    def ack(self, now: float = 1.0, *, body: bytes = b"") -> list[CallEffect]:
        ack = self.make("ACK", cseq=self.cseq, to_tag="us-1", branch=f"z9hG4bK-ack-{self.cseq}", body=body)
        return self.perform(self.call.receive_ack(now, ack), now)

    def cancel(self) -> Response:
        cancel = self.make("CANCEL", more='Reason: SIP;cause=200;text="Call completed elsewhere"')
        transaction = ServerTransaction(cancel, 0.0, reliable=False)
        effects = self.perform(self.call.receive_cancel(0.5, transaction, cancel))
        return next(one.response for one in effects if isinstance(one, Respond) and one.transaction is transaction)

    def up(self, now: float = 1.0) -> "Desk":
        self.perform(self.call.answer(now, LOCAL), now)
        self.ack(now)
        return self

    @property
    def responses(self) -> list[Response]:
        """To the INVITE."""
        return [
            one.response for one in self.effects if isinstance(one, Respond) and one.transaction is self.transaction
        ]

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]

    @property
    def requests(self) -> list[Request]:
        return [one.request for one in self.effects if isinstance(one, SendRequest)]

    @property
    def ended(self) -> list[CallEnded]:
        return [one for one in self.effects if isinstance(one, CallEnded)]

    @property
    def media(self) -> list[MediaChanged]:
        return [one for one in self.effects if isinstance(one, MediaChanged)]


@pytest.fixture
def desk(make_request) -> Desk:
    return Desk(make_request)


def test_a_call_rings_is_answered_acknowledged_and_ended(desk) -> None:
    desk.perform(desk.call.ring(0.1))
    desk.perform(desk.call.answer(1.0, LOCAL))
    assert desk.statuses == [100, 180, 200]
    answer = desk.responses[-1]
    assert answer.get("Content-Type") == "application/sdp"
    assert answer.get("Contact") == "<sip:agent@203.0.113.7:5060>"
    assert answer.to.tag == "us-1"
    assert "BYE" in answer.get_list("Allow")
    assert isinstance(desk.effects[-1], MediaChanged)
    assert desk.call.state is CallState.ANSWERED
    assert desk.ack() == [Confirmed()]
    assert desk.call.state is CallState.CONFIRMED
    assert desk.ask("BYE", more='Reason: Q.850;cause=16;text="Normal"').status == 200
    assert desk.ended == [CallEnded(EndReason.REMOTE_BYE, 0, 'Q.850;cause=16;text="Normal"')]
    assert desk.call.next_deadline() is None
    assert desk.ask("INFO").status == 481


def test_the_200_is_repeated_until_the_ack(desk) -> None:
    desk.perform(desk.call.answer(0.0, LOCAL))
    assert desk.call.next_deadline() == 0.5
    desk.perform(desk.call.handle_timer(0.5), 0.5)
    assert desk.statuses == [100, 200, 200]
    desk.ack()
    assert desk.call.next_deadline() is None


def test_an_answer_nobody_acknowledges_ends_with_bye(desk) -> None:
    desk.perform(desk.call.answer(0.0, LOCAL))
    desk.perform(desk.call.handle_timer(32.0), 31.9)
    assert [request.method for request in desk.requests] == ["BYE"]
    assert desk.ended[0].reason is EndReason.NO_ACK


def test_cancel_before_the_answer_gets_200_and_the_invite_487(desk) -> None:
    """No 487 came elsewhere: the caller's phone kept ringing."""
    desk.perform(desk.call.ring(0.1))
    assert desk.cancel().status == 200
    assert desk.statuses == [100, 180, 487]
    assert desk.ended == [CallEnded(EndReason.CANCELLED, 0, 'SIP;cause=200;text="Call completed elsewhere"')]
    with pytest.raises(StateError):
        desk.call.answer(1.0, LOCAL)


def test_cancel_after_the_answer_changes_nothing(desk) -> None:
    desk.perform(desk.call.answer(0.0, LOCAL))
    assert desk.cancel().status == 200
    assert desk.statuses == [100, 200]
    assert desk.ended == []
    desk.ack()
    assert desk.ask("BYE").status == 200


def test_a_second_cancel_is_answered_too(desk) -> None:
    desk.cancel()
    assert desk.cancel().status == 200
    assert len(desk.ended) == 1


def test_bye_before_the_answer_ends_the_invite_with_487(desk) -> None:
    desk.perform(desk.call.ring(0.1))
    assert desk.ask("BYE").status == 200
    assert desk.statuses == [100, 180, 487]
    assert desk.ended[0].reason is EndReason.REMOTE_BYE


def test_hang_up_between_200_and_ack_waits_for_the_ack(desk) -> None:
    desk.perform(desk.call.answer(0.0, LOCAL))
    assert desk.call.hang_up(0.1) == []
    effects = desk.ack()
    assert isinstance(effects[0], Confirmed)
    assert [request.method for request in desk.requests] == ["BYE"]
    assert desk.ended[0].reason is EndReason.LOCAL_BYE


def test_hang_up_names_its_reason(desk) -> None:
    desk.up()
    desk.perform(desk.call.hang_up(2.0, "Q.850;cause=31"))
    (bye,) = desk.requests
    assert (bye.method, bye.get("Reason"), bye.to.tag) == ("BYE", "Q.850;cause=31", "alice-1")
    assert desk.call.hang_up(3.0) == []


def test_a_refusal_says_why(desk) -> None:
    desk.perform(desk.call.reject(0.1, 603, None, ("Retry-After", "60")))
    assert desk.statuses == [100, 603]
    assert desk.ended == [CallEnded(EndReason.REJECTED, 603)]


def test_no_common_codec_is_488_with_a_warning(make_request) -> None:
    desk = Desk(make_request, body=OFFER.replace(b"RTP/AVP 0 101", b"RTP/AVP 18"))
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert desk.statuses == [100, 488]
    assert desk.responses[-1].get("Warning") == '305 sip "no codec in common"'


def test_a_body_that_is_no_description_is_400(make_request) -> None:
    desk = Desk(make_request, body=b"hello")
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert desk.statuses == [100, 400]


def test_an_invite_without_sdp_gets_our_offer_and_answers_in_the_ack(make_request) -> None:
    """A delayed offer was refused elsewhere."""
    desk = Desk(make_request, body=b"")
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert b"m=audio 40000" in desk.responses[-1].body
    assert desk.ask("UPDATE", body=OFFER).status == 491  # our offer is open until the ACK
    desk.cseq = 1
    effects = desk.ack(body=OFFER)
    assert isinstance(effects[0], Confirmed)
    assert desk.media[0].agreement.remote_port == 49_170


def test_an_ack_without_the_answer_to_our_offer_ends_the_call(make_request) -> None:
    desk = Desk(make_request, body=b"")
    desk.perform(desk.call.answer(0.1, LOCAL))
    desk.ack()
    assert [request.method for request in desk.requests] == ["BYE"]
    assert desk.ended[0].reason is EndReason.NO_MEDIA


def test_early_media_and_the_answer_carry_the_same_description(desk) -> None:
    desk.perform(desk.call.progress(0.1, LOCAL))
    desk.perform(desk.call.answer(1.0, LOCAL))
    early, final = [one.response for one in desk.effects if isinstance(one, Respond) and one.response.body]
    assert (early.status, final.status) == (183, 200)
    assert early.body == final.body
    assert len(desk.media) == 1


def test_ringing_is_repeated_every_minute(desk) -> None:
    desk.perform(desk.call.ring(0.0))
    assert desk.call.next_deadline() == 60
    desk.perform(desk.call.handle_timer(60))
    assert desk.statuses == [100, 180, 180]


def test_an_invite_expires(make_request) -> None:
    desk = Desk(make_request, more="Expires: 20")
    desk.perform(desk.call.handle_timer(20))
    assert desk.statuses == [100, 487]
    assert desk.ended[0].reason is EndReason.EXPIRED


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


def test_a_carriers_session_refresh_keeps_a_long_call_up(make_request) -> None:
    """Session refreshes went unanswered elsewhere: four of five 15-minute calls were lost."""
    more = "Supported: timer\nSession-Expires: 900;refresher=uac"
    desk = Desk(make_request, more=more).up(0.0)
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
def test_we_refresh_by_update_or_by_an_invite_that_changes_nothing(
    make_request, reply, allow: str, method: str
) -> None:
    settings = replace(SETTINGS, session_timer=TimerPolicy(interval_s=600))
    desk = Desk(make_request, settings, more=f"{allow}Supported: timer").up(0.0)
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


def test_too_small_a_session_interval_refuses_the_call(make_request) -> None:
    desk = Desk(make_request, more="Supported: timer\nSession-Expires: 30")
    assert desk.statuses == [422]
    assert desk.responses[0].get("Min-SE") == "90"


STEPS = st.sampled_from(
    ["ring", "progress", "answer", "reject", "hang_up", "offer", "cancel", "ack", "BYE", "INVITE", "INVITE-", "UPDATE",
     "UPDATE-", "INFO", "OPTIONS", "timer", "ok", "491", "408", "488"]
)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=25), offered=st.booleans())
def test_no_order_of_events_breaks_a_call(make_request, reply, steps: list[str], offered: bool) -> None:
    """Whatever happens in whatever order: no exception but StateError, one end at most, nothing after it."""
    desk = Desk(make_request, body=OFFER if offered else b"", more="Supported: timer")
    for second, step in enumerate(steps):
        with contextlib.suppress(StateError):
            take(desk, reply, step, float(second))
    assert len(desk.ended) <= 1
    assert desk.call.is_over is bool(desk.ended)
    assert len([status for status in desk.statuses if status >= 300]) <= 1
    if desk.call.is_over:
        assert desk.call.next_deadline() is None


def take(desk: Desk, reply, step: str, now: float) -> None:
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
