"""A call of ours from INVITE to BYE: the answers, the challenges, the forks, and hanging up too early."""

import pytest

from sip.auth import Credentials, DigestClient
from sip.call_effects import EndReason
from sip.caller_machine import CallerCall, CallerState, Destination
from sip.headers import NameAddr

from .conftest import LOCAL, OFFER, Link, Tape

ANSWER = OFFER.replace(b"RTP/AVP 0 101", b"RTP/AVP 0")
CONTACT = "Contact: <sip:bob@198.51.100.20:5060>\nContent-Type: application/sdp"


class Caller:
    """Calls through a switchboard and answers as the other side."""

    def __init__(self, switchboard, reply, credentials=()) -> None:
        self.board, self.reply, self.tape, self.link = switchboard, reply, Tape(), Link()
        destination = Destination("sip:bob@198.51.100.20", NameAddr("sip:agent@203.0.113.7"), (("X-Ref", "7"),))
        digest = DigestClient(credentials, lambda: "cnonce") if credentials else None

        def make(settings):
            return CallerCall(destination, settings, call_id="c1", local_tag="us", session_id="7", digest=digest)

        self.call = switchboard.agent.call(make, LOCAL, self.tape, self.link)

    def say(self, status: int, *, to_tag: str = "bob-1", more: str = "", body: bytes = b"") -> None:
        response = self.reply(self.invite, status, to_tag=to_tag, more=more)
        response.body = body
        self.board.receive(response, self.link)

    @property
    def invite(self):
        return next(message for message in reversed(self.link.sent) if message.method == "INVITE")

    @property
    def methods(self) -> list[str]:
        return self.link.methods


@pytest.fixture
def caller(switchboard, reply) -> Caller:
    return Caller(switchboard, reply)


def test_a_call_rings_is_answered_and_hung_up(caller) -> None:
    assert caller.invite.get("X-Ref") == "7"
    assert caller.invite.sdp is not None
    caller.say(100)
    caller.say(180)
    caller.say(200, more=CONTACT, body=ANSWER)
    assert caller.methods == ["INVITE", "ACK"]
    assert caller.call.state is CallerState.CONFIRMED
    ringing, agreement, confirmed = caller.tape.told
    assert (ringing, agreement.remote_port, confirmed) == (180, 49170, "confirmed")
    caller.call.hang_up()
    assert caller.methods == ["INVITE", "ACK", "BYE"]
    assert caller.tape.told[-1] is EndReason.LOCAL_BYE


def test_the_other_side_hangs_up(caller, make_request) -> None:
    caller.say(200, more=CONTACT, body=ANSWER)
    bye = make_request("BYE", to_tag="us", branch="z9hG4bK-theirs")
    bye.set("Call-ID", "c1")
    bye.set("From", "<sip:bob@198.51.100.20>;tag=bob-1")
    assert caller.board.receive(bye)[0].status == 200
    assert caller.tape.told[-1] is EndReason.REMOTE_BYE


def test_an_ack_that_was_lost_is_sent_again(caller) -> None:
    for _ in range(3):
        caller.say(200, more=CONTACT, body=ANSWER)
    assert caller.methods == ["INVITE", "ACK", "ACK", "ACK"]
    first, *others = [message for message in caller.link.sent if message.method == "ACK"]
    assert all(ack.encode() == first.encode() for ack in others)


def test_an_answer_that_is_repeated_after_the_call_still_gets_its_ack(caller) -> None:
    caller.say(200, more=CONTACT, body=ANSWER)
    caller.call.hang_up()
    caller.say(200, more=CONTACT, body=ANSWER)
    assert caller.methods == ["INVITE", "ACK", "BYE", "ACK"]


def test_hanging_up_while_it_rings_cancels(caller) -> None:
    caller.say(180)
    caller.call.hang_up()
    caller.say(487)
    assert caller.methods == ["INVITE", "CANCEL", "ACK"]
    assert caller.link.sent[1].via.branch == caller.invite.via.branch
    assert caller.tape.told[-1] is EndReason.CANCELLED


def test_no_cancel_leaves_before_the_other_side_has_said_anything(caller) -> None:
    caller.call.hang_up()
    assert caller.methods == ["INVITE"]
    caller.say(100)
    assert caller.methods == ["INVITE", "CANCEL"]


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(caller) -> None:
    caller.say(180)
    caller.call.hang_up()
    caller.say(200, more=CONTACT, body=ANSWER)
    assert caller.methods == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert caller.tape.told[-1] is EndReason.LOCAL_BYE


def test_the_second_fork_that_answers_is_hung_up(caller) -> None:
    caller.say(200, more=CONTACT, body=ANSWER)
    caller.say(200, to_tag="bob-2", more=CONTACT, body=ANSWER)
    assert caller.methods == ["INVITE", "ACK", "ACK", "BYE"]
    assert [message.to.tag for message in caller.link.sent[1:]] == ["bob-1", "bob-2", "bob-2"]
    assert caller.call.state is CallerState.CONFIRMED


@pytest.mark.parametrize(("status", "header"), [(401, "WWW-Authenticate"), (407, "Proxy-Authenticate")])
def test_a_challenge_is_answered_once(switchboard, reply, status, header) -> None:
    caller = Caller(switchboard, reply, [Credentials("alice", "secret")])
    challenge = f'{header}: Digest realm="pbx", nonce="n", algorithm=MD5, qop="auth"'
    caller.say(status, more=challenge)
    assert caller.methods == ["INVITE", "ACK", "INVITE"]
    assert caller.invite.cseq.number == 2
    assert caller.invite.get("Authorization" if status == 401 else "Proxy-Authorization")
    assert len(caller.invite.vias) == 1
    caller.say(status, more=challenge)
    assert caller.methods == ["INVITE", "ACK", "INVITE", "ACK"]
    assert caller.tape.told[-1] is EndReason.REJECTED


def test_a_session_interval_that_is_too_small_is_raised(caller) -> None:
    caller.say(422, more="Min-SE: 3600")
    assert caller.invite.get("Session-Expires") == "3600"
    assert caller.invite.get("Min-SE") == "3600"


def test_nobody_answers(caller) -> None:
    caller.board.pass_time(40.0)
    assert caller.methods == ["INVITE"] * 7
    assert caller.tape.told == [EndReason.REJECTED]
    assert len(caller.board.agent.calls) == 0


def test_a_connection_that_cannot_be_made_ends_the_call(caller) -> None:
    caller.board.agent.flow_failed(caller.link)
    assert caller.tape.told == [EndReason.REJECTED]


def test_an_answer_without_audio_ends_the_call(caller) -> None:
    caller.say(200, more=CONTACT, body=ANSWER.replace(b"audio 49170", b"audio 0"))
    assert caller.methods == ["INVITE", "ACK", "BYE"]
    assert caller.tape.told[-1] is EndReason.NO_MEDIA
