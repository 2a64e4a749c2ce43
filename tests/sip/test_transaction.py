import random
from collections.abc import Callable

import pytest

from sip.effects import AckArrived, Effect, Ended, Overloaded, RequestArrived, ResponseArrived, SendMessage, TimedOut
from sip.errors import TableFull
from sip.message import Rejection, Request
from sip.parser import parse_datagram
from sip.transaction import TransactionTable


@pytest.fixture
def table() -> TransactionTable:
    return TransactionTable()


def arrived(effects) -> RequestArrived:
    (effect,) = effects
    assert isinstance(effect, RequestArrived)
    return effect


def test_a_repeat_is_not_a_second_request(table, make_request) -> None:
    arrived(table.receive_request(0, make_request(), reliable=False))
    assert table.receive_request(0.1, make_request(), reliable=False) == []
    assert len(table) == 1


def test_other_branch_sender_or_method_is_another_transaction(table, make_request) -> None:
    arrived(table.receive_request(0, make_request("OPTIONS"), reliable=False))
    arrived(table.receive_request(0, make_request("OPTIONS", branch="z9hG4bK-b", cseq=2), reliable=False))
    other = make_request("OPTIONS", cseq=3)
    other.set("Via", "SIP/2.0/UDP 198.51.100.21:5060;branch=z9hG4bK-a")
    arrived(table.receive_request(0, other, reliable=False))
    arrived(table.receive_request(0, make_request("INFO", cseq=4), reliable=False))
    assert len(table) == 4


def test_cancel_finds_its_invite_and_is_a_transaction_of_its_own(table, make_request) -> None:
    invite = arrived(table.receive_request(0, make_request(), reliable=False)).transaction
    cancel = make_request("CANCEL")
    own = arrived(table.receive_request(1, cancel, reliable=False)).transaction
    assert own is not invite
    assert table.find_cancelled(cancel) is invite
    assert table.find_cancelled(make_request("CANCEL", branch="z9hG4bK-other")) is None


def test_the_ack_of_a_refusal_is_the_transactions_that_of_a_2xx_is_not(table, make_request) -> None:
    invite = make_request()
    transaction = arrived(table.receive_request(0, invite, reliable=False)).transaction
    table.respond(0, transaction, invite.respond(486, to_tag="b"))
    assert table.receive_request(1, make_request("ACK", to_tag="b"), reliable=False) == []
    ack = make_request("ACK", branch="z9hG4bK-ack", to_tag="b")
    assert table.receive_request(1, ack, reliable=False) == [AckArrived(ack)]


def test_the_same_request_by_two_ways_is_merged(table, make_request) -> None:
    first = arrived(table.receive_request(0, make_request(), reliable=False))
    second = arrived(table.receive_request(0, make_request(branch="z9hG4bK-b"), reliable=False))
    assert (first.merged, second.merged) == (False, True)  # the core answers 482


def test_a_request_in_a_dialog_is_never_merged(table, make_request) -> None:
    arrived(table.receive_request(0, make_request("INFO", to_tag="b"), reliable=False))
    again = arrived(table.receive_request(0, make_request("INFO", to_tag="b", branch="z9hG4bK-b"), reliable=False))
    assert not again.merged


OLD = """{method} sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:a@ift.client.example.net>
To: <sip:b@ss1.example.net>{tag}
Call-ID: inv2543.1717@ift.client.example.com
CSeq: {cseq} {method}

"""


def test_rfc_2543_peers_are_matched_by_the_whole_message(table, wire) -> None:
    def old(method: str, cseq: int = 56, tag: str = "") -> Request:
        request = parse_datagram(wire(OLD.format(method=method, cseq=cseq, tag=tag)))
        assert isinstance(request, Request)
        return request

    invite = arrived(table.receive_request(0, old("INVITE"), reliable=False)).transaction
    assert table.receive_request(0.1, old("INVITE"), reliable=False) == []
    assert table.find_cancelled(old("CANCEL")) is invite
    other = arrived(table.receive_request(0.1, old("INVITE", cseq=57), reliable=False)).transaction
    table.respond(1, other, other.request.respond(180, to_tag="o"))
    table.respond(1, invite, invite.request.respond(486, to_tag="b"))
    stranger = old("ACK", tag=";tag=c")
    assert table.receive_request(2, stranger, reliable=False) == [AckArrived(stranger)]
    assert table.receive_request(2, old("ACK", tag=";tag=b"), reliable=False) == []
    assert table.next_deadline() == 7  # timer I: the right ACK was matched


def test_responses_find_their_request_by_branch_and_method(table, make_request, reply) -> None:
    invite = make_request()
    transaction, effects = table.send_request(0, invite, reliable=False, flow="peer")
    assert effects == [SendMessage(transaction, invite)]
    assert transaction.flow == "peer"
    ok = reply(invite, 200)
    assert table.receive_response(1, ok) == [ResponseArrived(transaction, ok)]
    assert table.receive_response(1, reply(make_request("CANCEL"), 200)) == []
    assert table.receive_response(1, reply(make_request(branch="z9hG4bK-b"), 200)) == []


def test_one_clock_for_all(table, make_request) -> None:
    first = table.send_request(0, make_request(), reliable=False)[0]
    table.send_request(0.1, make_request("OPTIONS", branch="z9hG4bK-o"), reliable=False)
    sent = []
    while (due := table.next_deadline()) is not None:
        for effect in table.handle_timer(due):
            sent.append((round(due, 1), type(effect).__name__, effect.transaction is first))
    assert sent[:4] == [
        (0.5, "SendMessage", True),
        (0.6, "SendMessage", False),
        (1.5, "SendMessage", True),
        (1.6, "SendMessage", False),
    ]
    assert [one[1:] for one in sent if one[1] == "TimedOut"] == [("TimedOut", True), ("TimedOut", False)]
    assert len(table) == 0
    assert table.handle_timer(1e9) == []


def test_what_has_ended_is_forgotten(table, make_request, reply) -> None:
    bye = make_request("BYE", to_tag="b")
    transaction = arrived(table.receive_request(0, bye, reliable=True)).transaction
    assert table.respond(0, transaction, bye.respond(200))[-1] == Ended(transaction)
    invite = make_request(branch="z9hG4bK-i")
    client, _ = table.send_request(0, invite, reliable=True)
    assert table.receive_transport_error(client)[-1] == Ended(client)
    assert len(table) == 0


def test_a_full_table_refuses_both_ways(make_request) -> None:
    table = TransactionTable(limit=1)
    arrived(table.receive_request(0, make_request(), reliable=False))
    late = make_request(branch="z9hG4bK-b")
    assert table.receive_request(0, late, reliable=False) == [Overloaded(late)]
    assert table.receive_request(0, make_request(), reliable=False) == []  # repeats still match
    with pytest.raises(TableFull):
        table.send_request(0, late, reliable=False)


def test_a_peer_that_repeats_forever_fills_nothing(table, make_request) -> None:
    invite = make_request()
    transaction = arrived(table.receive_request(0, invite, reliable=False)).transaction
    table.respond(0, transaction, invite.respond(486, to_tag="b"))
    for _ in range(1000):
        table.receive_request(0.1, invite, reliable=False)
    assert len(table._due) < 10


class Side:
    """A table at one end of a line without delay that loses what `lost` says."""

    def __init__(self, lost: Callable[[], bool]) -> None:
        self.table = TransactionTable()
        self.lost = lost
        self.peer: Side = self
        self.now = 0.0
        self.seen: list[object] = []

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendMessage):
                if not self.lost():
                    self.peer.receive(effect.message.encode(), self.now)
            elif isinstance(effect, RequestArrived):
                self.seen.append(effect.request.method)
                refusal = effect.request.respond(486, to_tag="b")
                self.perform(self.table.respond(self.now, effect.transaction, refusal))
            elif isinstance(effect, ResponseArrived):
                self.seen.append(effect.response.status)
            elif isinstance(effect, TimedOut):
                self.seen.append("timed out")

    def receive(self, data: bytes, now: float) -> None:
        self.now = now
        message = parse_datagram(data)
        assert not isinstance(message, Rejection)
        if isinstance(message, Request):
            self.perform(self.table.receive_request(now, message, reliable=False))
        else:
            self.perform(self.table.receive_response(now, message))

    def step(self, now: float) -> None:
        self.now = now
        self.perform(self.table.handle_timer(now))


def test_a_call_over_a_line_that_loses_a_fifth_is_made_and_refused_once(make_request) -> None:
    dice = random.Random(7)
    near, far = (Side(lambda: dice.random() < 0.2) for _ in range(2))
    near.peer, far.peer = far, near
    for number in range(200):
        near.perform(
            near.table.send_request(0, make_request(branch=f"z9hG4bK-{number}", cseq=number + 1), reliable=False)[1]
        )
    while dues := [due for side in (near, far) if (due := side.table.next_deadline()) is not None]:
        for side in (near, far):
            side.step(min(dues))
    assert far.seen.count("INVITE") == near.seen.count(486) == 200
    assert "timed out" not in near.seen + far.seen
    assert len(near.table) == len(far.table) == 0
