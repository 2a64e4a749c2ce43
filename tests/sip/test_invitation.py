import pytest

from sip.client_transaction import ClientTransaction, build_cancel
from sip.dialog import DialogState
from sip.effects import ResponseArrived
from sip.errors import StateError
from sip.invitation import AnswerRepeater, ForkEvent, Forks, Repeat

US = "<sip:us@203.0.113.7>"
CONTACT = "Contact: <sip:bob@b>"


def test_a_200_is_repeated_until_its_ack(make_request) -> None:
    invite = make_request(cseq=3)
    repeater = AnswerRepeater(invite.respond(200, to_tag="b"), 0.0)
    times = []
    for _ in range(5):
        due = repeater.next_deadline()
        assert due is not None
        times.append(due)
        assert repeater.handle_timer(due) is Repeat.SEND
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert not repeater.receive_ack(make_request("ACK", cseq=2))  # of an earlier INVITE
    assert repeater.receive_ack(make_request("ACK", cseq=3))
    assert not repeater.receive_ack(make_request("ACK", cseq=3))
    assert repeater.is_acknowledged
    assert repeater.next_deadline() is None
    assert repeater.handle_timer(100) is Repeat.NOTHING


def test_without_ack_the_call_is_given_up_after_64_t1(make_request) -> None:
    repeater = AnswerRepeater(make_request().respond(200, to_tag="b"), 0.0)
    assert repeater.handle_timer(32) is Repeat.GIVE_UP
    assert repeater.handle_timer(33) is Repeat.NOTHING


@pytest.fixture
def invite(make_request):
    return make_request()


def test_early_dialogs_are_kept_apart_by_tag(invite, reply) -> None:
    forks = Forks(invite, US)
    assert forks.receive_response(reply(invite, 100)).event is ForkEvent.IGNORED
    one = forks.receive_response(reply(invite, 180, to_tag="b1", more=CONTACT))
    two = forks.receive_response(reply(invite, 183, to_tag="b2", more=CONTACT))
    again = forks.receive_response(reply(invite, 180, to_tag="b1", more=CONTACT))
    assert (one.event, two.event) == (ForkEvent.EARLY, ForkEvent.EARLY)
    assert one.dialog is again.dialog is not two.dialog
    assert len(forks.early) == 2


def test_the_first_answer_is_the_call_the_second_is_ended(invite, reply) -> None:
    forks = Forks(invite, US)
    forks.receive_response(reply(invite, 180, to_tag="b1", more=CONTACT))
    first = forks.receive_response(reply(invite, 200, to_tag="b2", more=CONTACT))
    second = forks.receive_response(reply(invite, 200, to_tag="b1", more=CONTACT))
    assert (first.event, second.event) == (ForkEvent.ANSWERED, ForkEvent.SURPLUS)
    assert forks.answered is first.dialog
    assert second.dialog is not None
    assert second.dialog.state is DialogState.CONFIRMED
    ack = forks.acknowledge(second.dialog)
    bye = second.dialog.build_request("BYE")
    assert (ack.method, ack.to.tag, bye.to.tag) == ("ACK", "b1", "b1")


def test_a_repeated_200_gets_the_same_ack(invite, reply) -> None:
    forks = Forks(invite, US)
    ok = reply(invite, 200, more=CONTACT)
    answered = forks.receive_response(ok)
    assert answered.dialog is not None
    ack = forks.acknowledge(answered.dialog, b"v=0\r\n")
    again = forks.receive_response(ok)
    assert again.event is ForkEvent.REPEATED
    assert again.ack is ack
    assert forks.receive_response(reply(invite, 180, more=CONTACT)).event is ForkEvent.IGNORED  # late


def test_a_200_that_crosses_our_cancel_is_acknowledged_and_ended(invite, reply) -> None:
    """A 200 after CANCEL got no ACK and BYE elsewhere: the callee kept talking to nobody."""
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    transaction.receive_response(0.1, reply(invite, 180, more=CONTACT))
    build_cancel(invite)
    (arrived,) = transaction.receive_response(0.2, reply(invite, 200, more=CONTACT))
    assert isinstance(arrived, ResponseArrived)
    forks = Forks(invite, US)
    dialog = forks.receive_response(arrived.response).dialog
    assert dialog is not None
    assert [forks.acknowledge(dialog).method, dialog.build_request("BYE").method] == ["ACK", "BYE"]


def test_a_mad_proxy_makes_no_end_of_dialogs(invite, reply) -> None:
    forks = Forks(invite, US, limit=4)
    for number in range(50):
        forks.receive_response(reply(invite, 180, to_tag=f"b{number}", more=CONTACT))
    assert len(forks.early) == 4
    assert forks.receive_response(reply(invite, 200, to_tag="late", more=CONTACT)).event is ForkEvent.ANSWERED


def test_only_an_answer_is_acknowledged(invite, reply) -> None:
    forks = Forks(invite, US)
    early = forks.receive_response(reply(invite, 180, more=CONTACT))
    assert early.dialog is not None
    with pytest.raises(StateError):
        forks.acknowledge(early.dialog)
