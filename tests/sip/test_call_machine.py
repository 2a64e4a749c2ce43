"""An incoming call stepped from its INVITE to its confirmation and end; no clock, no socket."""

import pytest

from sip.call_effects import (
    CallEnded,
    Confirmed,
    EndReason,
    MediaChanged,
    Respond,
)
from sip.errors import StateError
from sip.media import LocalMedia

LOCAL = LocalMedia("203.0.113.7", 40_000)
OFFER = (
    b"v=0\r\no=- 1 1 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


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
    assert desk.call.state.name == "ANSWERED"
    assert desk.ack() == [Confirmed()]
    assert desk.call.state.name == "CONFIRMED"
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


def test_no_common_codec_is_488_with_a_warning(make_desk) -> None:
    desk = make_desk(body=OFFER.replace(b"RTP/AVP 0 101", b"RTP/AVP 18"))
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert desk.statuses == [100, 488]
    assert desk.responses[-1].get("Warning") == '305 sip "no codec in common"'


def test_a_body_that_is_no_description_is_400(make_desk) -> None:
    desk = make_desk(body=b"hello")
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert desk.statuses == [100, 400]


def test_an_invite_without_sdp_gets_our_offer_and_answers_in_the_ack(make_desk) -> None:
    """A delayed offer was refused elsewhere."""
    desk = make_desk(body=b"")
    desk.perform(desk.call.answer(0.1, LOCAL))
    assert b"m=audio 40000" in desk.responses[-1].body
    assert desk.ask("UPDATE", body=OFFER).status == 491  # our offer is open until the ACK
    desk.cseq = 1
    effects = desk.ack(body=OFFER)
    assert isinstance(effects[0], Confirmed)
    assert desk.media[0].agreement.remote_port == 49_170


def test_an_ack_without_the_answer_to_our_offer_ends_the_call(make_desk) -> None:
    desk = make_desk(body=b"")
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


def test_an_invite_expires(make_desk) -> None:
    desk = make_desk(more="Expires: 20")
    desk.perform(desk.call.handle_timer(20))
    assert desk.statuses == [100, 487]
    assert desk.ended[0].reason is EndReason.EXPIRED
