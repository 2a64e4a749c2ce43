"""The client machines of RFC 3261 §17.1 with RFC 6026, stepped through time."""

import pytest

from sip.client_transaction import ClientState, ClientTransaction, build_cancel
from sip.effects import Ended, ResponseArrived, SendMessage, TimedOut, TransportFailed
from sip.errors import StateError


def sends(transaction: ClientTransaction, until: float, start: float = 0.0) -> list[float]:
    """Step to `until`; return when something was sent."""
    times = []
    now = start
    while (due := transaction.next_deadline()) is not None and due <= until:
        now = due
        times += [now for effect in transaction.handle_timer(now) if isinstance(effect, SendMessage)]
    return times


@pytest.fixture
def invite(make_request):
    return make_request()


def test_invite_is_repeated_at_doubling_intervals_and_given_up_after_64_t1(invite) -> None:
    transaction = ClientTransaction(invite, reliable=False)
    assert transaction.start(0) == [SendMessage(transaction, invite)]
    assert sends(transaction, 31.9) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert transaction.handle_timer(32) == [TimedOut(transaction), Ended(transaction)]
    assert transaction.next_deadline() is None


def test_over_a_reliable_transport_nothing_is_repeated(invite) -> None:
    transaction = ClientTransaction(invite, reliable=True)
    transaction.start(0)
    assert transaction.next_deadline() == 32
    assert transaction.handle_timer(32) == [TimedOut(transaction), Ended(transaction)]


def test_a_provisional_response_stops_repeats_and_the_clock(invite, reply) -> None:
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    ringing = reply(invite, 180)
    assert transaction.receive_response(0.1, ringing) == [ResponseArrived(transaction, ringing)]
    assert transaction.next_deadline() is None  # a human is being waited for
    assert transaction.state is ClientState.PROCEEDING


def test_a_refusal_is_acknowledged_and_its_repeats_too(invite, reply) -> None:
    invite.add("Route", "<sip:proxy;lr>")
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    busy = reply(invite, 486)
    sent, arrived = transaction.receive_response(1, busy)
    assert isinstance(sent, SendMessage)
    assert arrived == ResponseArrived(transaction, busy)
    assert sent.message.encode() == (
        b"ACK sip:100@203.0.113.7 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 198.51.100.20:5060;branch=z9hG4bK-a;rport\r\n"
        b"Route: <sip:proxy;lr>\r\n"
        b'From: "Alice" <sip:alice@example.com>;tag=alice-1\r\n'
        b"To: <sip:100@203.0.113.7>;tag=bob-1\r\n"
        b"Call-ID: call-1@198.51.100.20\r\n"
        b"CSeq: 1 ACK\r\n"
        b"Max-Forwards: 70\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert transaction.receive_response(2, busy) == [sent]
    assert transaction.handle_timer(32.9) == []
    assert transaction.handle_timer(33) == [Ended(transaction)]  # D: 32 s


def test_a_refusal_over_a_reliable_transport_ends_at_once(invite, reply) -> None:
    transaction = ClientTransaction(invite, reliable=True)
    transaction.start(0)
    assert transaction.receive_response(1, reply(invite, 486))[-1] == Ended(transaction)


def test_every_2xx_passes_for_64_t1(invite, reply) -> None:
    """RFC 6026: repeated 2xx and those of other branches reach the core, which owes each an ACK."""
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    one, other = reply(invite, 200), reply(invite, 200, to_tag="bob-2")
    assert transaction.receive_response(1, one) == [ResponseArrived(transaction, one)]
    assert transaction.state is ClientState.ACCEPTED
    assert transaction.receive_response(2, other) == [ResponseArrived(transaction, other)]
    assert transaction.receive_response(3, reply(invite, 486)) == []
    assert transaction.receive_response(3, reply(invite, 180)) == []
    assert transaction.handle_timer(33) == [Ended(transaction)]  # M
    assert transaction.receive_response(34, one) == []


def test_other_requests_are_repeated_up_to_t2(make_request) -> None:
    transaction = ClientTransaction(make_request("BYE", to_tag="x"), reliable=False)
    transaction.start(0)
    assert sends(transaction, 31.9) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert transaction.handle_timer(32) == [TimedOut(transaction), Ended(transaction)]


def test_after_a_1xx_they_are_repeated_every_t2_and_still_given_up(make_request, reply) -> None:
    bye = make_request("BYE", to_tag="x")
    transaction = ClientTransaction(bye, reliable=False)
    transaction.start(0)
    transaction.receive_response(0.1, reply(bye, 100))
    assert sends(transaction, 31.9) == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert transaction.handle_timer(32)[0] == TimedOut(transaction)


def test_a_final_response_is_delivered_once_and_repeats_are_absorbed(make_request, reply) -> None:
    bye = make_request("BYE", to_tag="x")
    transaction = ClientTransaction(bye, reliable=False)
    transaction.start(0)
    ok = reply(bye, 200)
    assert transaction.receive_response(1, ok) == [ResponseArrived(transaction, ok)]
    assert transaction.receive_response(2, ok) == []
    assert transaction.handle_timer(6) == [Ended(transaction)]  # K: T4


def test_a_transport_error_ends_it(invite) -> None:
    transaction = ClientTransaction(invite, reliable=True)
    transaction.start(0)
    assert transaction.receive_transport_error() == [TransportFailed(transaction), Ended(transaction)]
    assert transaction.receive_transport_error() == []


def test_a_stalled_process_sends_no_burst(invite) -> None:
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    assert len(transaction.handle_timer(10)) == 1
    assert transaction.handle_timer(10) == []
    assert transaction.next_deadline() == 11


def test_cancel_takes_the_way_of_its_invite(invite) -> None:
    invite.add("Route", "<sip:proxy;lr>")
    cancel = build_cancel(invite, 'SIP;cause=200;text="Call completed elsewhere"')
    assert (cancel.method, cancel.uri_text, cancel.via.branch) == ("CANCEL", invite.uri_text, invite.via.branch)
    assert (cancel.cseq.number, cancel.to.tag, cancel.get("Route")) == (1, "", "<sip:proxy;lr>")
    assert cancel.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'


def test_no_cancel_before_a_provisional_response(invite, reply) -> None:
    transaction = ClientTransaction(invite, reliable=False)
    transaction.start(0)
    assert not transaction.can_cancel
    transaction.receive_response(0.1, reply(invite, 100))
    assert transaction.can_cancel
    transaction.receive_response(0.2, reply(invite, 200))
    assert not transaction.can_cancel


def test_ack_has_no_transaction(make_request) -> None:
    with pytest.raises(StateError):
        ClientTransaction(make_request("ACK"), reliable=False)
