"""The server machines of RFC 3261 §17.2 with RFC 6026, stepped through time."""

import pytest

from sip.effects import AckArrived, Ended, SendMessage, TimedOut, TransportFailed
from sip.errors import StateError
from sip.server_transaction import ServerState, ServerTransaction


@pytest.fixture
def invite(make_request):
    return make_request()


def test_trying_is_said_after_200_ms_unless_the_core_was_faster(invite) -> None:
    slow = ServerTransaction(invite, 0.0, reliable=False)
    (effect,) = slow.handle_timer(0.2)
    assert isinstance(effect, SendMessage)
    assert effect.message.start_line == "SIP/2.0 100 Trying"
    fast = ServerTransaction(invite, 0.0, reliable=False)
    fast.respond(0.1, invite.respond(180, to_tag="b"))
    assert fast.next_deadline() is None


def test_a_repeated_invite_gets_the_last_provisional_again(invite) -> None:
    transaction = ServerTransaction(invite, 0.0, reliable=False)
    assert transaction.receive_request(0.1, invite) == []
    ringing = invite.respond(180, to_tag="b")
    transaction.respond(0.1, ringing)
    assert transaction.receive_request(0.5, invite) == [SendMessage(transaction, ringing)]


def test_a_refusal_is_repeated_up_to_t2_until_the_ack(invite, make_request) -> None:
    transaction = ServerTransaction(invite, 0.0, reliable=False)
    busy = invite.respond(486, to_tag="b")
    transaction.respond(0.0, busy)
    times = []
    while (due := transaction.next_deadline()) is not None and due < 20:
        times.append(due)
        assert transaction.handle_timer(due) == [SendMessage(transaction, busy)]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]
    assert transaction.receive_request(20, invite) == [SendMessage(transaction, busy)]
    assert transaction.receive_request(20, make_request("ACK", to_tag="b")) == []
    assert transaction.state is ServerState.CONFIRMED
    assert transaction.receive_request(21, invite) == []
    assert transaction.handle_timer(25) == [Ended(transaction)]  # I: T4


def test_a_refusal_without_ack_is_given_up(invite) -> None:
    transaction = ServerTransaction(invite, 0.0, reliable=True)
    transaction.respond(0.0, invite.respond(603, to_tag="b"))
    assert transaction.next_deadline() == 32  # H runs over TCP too, G does not
    assert transaction.handle_timer(32) == [TimedOut(transaction), Ended(transaction)]


def test_the_ack_of_a_refusal_over_tcp_ends_it(invite, make_request) -> None:
    transaction = ServerTransaction(invite, 0.0, reliable=True)
    transaction.respond(0.0, invite.respond(603, to_tag="b"))
    assert transaction.receive_request(1, make_request("ACK", to_tag="b")) == [Ended(transaction)]


def test_after_a_2xx_repeated_invites_are_absorbed(invite) -> None:
    """RFC 6026: before it, an INVITE repeated after the 200 opened a second call."""
    transaction = ServerTransaction(invite, 0.0, reliable=False)
    ok = invite.respond(200, to_tag="b")
    assert transaction.respond(0.0, ok) == [SendMessage(transaction, ok)]
    assert transaction.receive_request(0.5, invite) == []
    assert transaction.respond(0.5, ok) == [SendMessage(transaction, ok)]  # the core repeats
    with pytest.raises(StateError):
        transaction.respond(1.0, invite.respond(486, to_tag="b"))
    assert transaction.handle_timer(32) == [Ended(transaction)]  # L


def test_the_ack_of_a_2xx_goes_to_the_core(invite, make_request) -> None:
    transaction = ServerTransaction(invite, 0.0, reliable=False)
    transaction.respond(0.0, invite.respond(200, to_tag="b"))
    ack = make_request("ACK", to_tag="b")
    assert transaction.receive_request(1, ack) == [AckArrived(ack)]


def test_other_requests_repeat_their_response_on_demand(make_request) -> None:
    bye = make_request("BYE", to_tag="b")
    transaction = ServerTransaction(bye, 0.0, reliable=False)
    assert transaction.next_deadline() is None  # no 100 by itself
    assert transaction.receive_request(0.1, bye) == []
    ok = bye.respond(200)
    assert transaction.respond(0.2, ok) == [SendMessage(transaction, ok)]
    assert transaction.receive_request(1, bye) == [SendMessage(transaction, ok)]
    assert transaction.handle_timer(32.2) == [Ended(transaction)]  # J


def test_over_tcp_they_end_with_the_response(make_request) -> None:
    bye = make_request("BYE", to_tag="b")
    transaction = ServerTransaction(bye, 0.0, reliable=True)
    assert transaction.respond(0.2, bye.respond(200))[-1] == Ended(transaction)
    assert transaction.is_answered
    with pytest.raises(StateError):
        transaction.respond(0.3, bye.respond(200))


def test_a_transport_error_ends_it_but_not_an_accepted_invite(invite) -> None:
    refused = ServerTransaction(invite, 0.0, reliable=False)
    assert refused.receive_transport_error() == [TransportFailed(refused), Ended(refused)]
    accepted = ServerTransaction(invite, 0.0, reliable=False)
    accepted.respond(0.0, invite.respond(200, to_tag="b"))
    assert accepted.receive_transport_error() == [TransportFailed(accepted)]
