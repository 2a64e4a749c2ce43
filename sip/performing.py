"""Performs what transactions and calls have decided: sends, opens transactions, tells listeners. In order, at once.

Effects of calls wait in one queue: a listener that acts upon its call while it is being told is served after what was
decided before it. Effects of transactions are performed where they arise: what is to be sent leaves first.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable

from sip.call_effects import (
    CallEffect,
    CallEnded,
    Confirmed,
    InfoAnswered,
    InfoArrived,
    MediaChanged,
    Respond,
    Ringing,
    SendAck,
    SendRequest,
)
from sip.call_table import Asked, CallTable, Record
from sip.caller import OutgoingCall
from sip.client_transaction import ClientTransaction
from sip.effects import Effect, Ended, Overloaded, ResponseArrived, SendMessage, TimedOut, Transaction, TransportFailed
from sip.errors import BuildError, StateError, TableFull
from sip.flow import Flow, Hop, Network, hop_of, is_reliable, is_sender, uri_host
from sip.headers import Via
from sip.message import Request, Response
from sip.server_transaction import ServerTransaction
from sip.status import OWN_WORDS
from sip.timers import Timers
from sip.transaction import TransactionTable

logger = logging.getLogger("sip")

LONG_REQUEST_BYTES = 1_300
"""A longer one goes over TCP: as fragments it would be lost where NATs and firewalls drop them (RFC 3261 §18.1.1)."""


class Performer:
    """Carries effects out."""

    def __init__(
        self,
        calls: CallTable,
        network: Network,
        now: Callable[[], float],
        timers: Timers,
        arrived: Callable[[Effect], None],
        ended: Callable[[Record], None],
    ) -> None:
        """`arrived` takes RequestArrived and AckArrived; `ended` a call that is over."""
        self.table = TransactionTable(timers)
        self._calls = calls
        self._network = network
        self._now = now
        self._arrived = arrived
        self._ended = ended
        self._queue: deque[tuple[Record, CallEffect]] = deque()
        self._is_busy = False
        self._outside: dict[ClientTransaction, Callable[[int], None]] = {}

    # --- inputs -----------------------------------------------------------------------------------------------------

    def receive_request(self, request: Request, reply: Flow) -> bool:
        """Match a request with its transaction; `reply` is where responses go. False: there is no room for one."""
        effects = self.table.receive_request(self._now(), request, reliable=is_reliable(reply), flow=reply)
        if effects and isinstance(effects[0], Overloaded):
            return False
        self._run(effects)
        return True

    def receive_response(self, response: Response) -> None:
        """Match a response."""
        self._run(self.table.receive_response(self._now(), response))

    def handle_timer(self) -> None:
        """Let transactions and calls do what is due."""
        self._run(self.table.handle_timer(self._now()))
        for record in self._calls.take_due(self._now()):
            self.perform(record, record.call.machine.handle_timer(self._now()))

    def flow_failed(self, flow: Flow) -> None:
        """Fail the requests of ours that wait on a flow that is gone: over UDP, all to that address."""
        for transaction in [one for one in (*self._calls.asked, *self._outside) if _is_same(one.flow, flow)]:
            self._run(self.table.receive_transport_error(transaction))

    def ask(self, request: Request, flow: Flow, address: str, answered: Callable[[int], None]) -> None:
        """Send a request outside of any call; `answered` takes its final status, 408 and 503 where none comes."""
        request.add_first("Via", _via(address, flow))
        try:
            transaction, effects = self.table.send_request(self._now(), request, reliable=is_reliable(flow), flow=flow)
        except TableFull:
            answered(503)
            return
        self._outside[transaction] = answered
        self._run(effects)

    def respond(self, transaction: ServerTransaction, response: Response) -> None:
        """Answer a request."""
        try:
            self._run(self.table.respond(self._now(), transaction, response))
        except StateError as error:
            logger.debug("late response dropped: %s", error)

    def perform(self, record: Record, effects: list[CallEffect]) -> None:
        """Carry out what a call's machine has decided."""
        self._queue.extend((record, effect) for effect in effects)
        if not self._is_busy:
            self._is_busy = True
            try:
                while self._queue:
                    self._perform(*self._queue.popleft())
            finally:
                self._is_busy = False
        self._calls.note(record)

    # --- transactions -----------------------------------------------------------------------------------------------

    def _run(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SendMessage):
                self._transmit(effect)
            elif isinstance(effect, ResponseArrived):
                self._answered(effect.transaction, effect.response)
            elif isinstance(effect, TimedOut | TransportFailed):
                self._unanswered(effect.transaction, 408 if isinstance(effect, TimedOut) else 503)
            elif isinstance(effect, Ended):
                if isinstance(effect.transaction, ClientTransaction):
                    self._calls.asked.pop(effect.transaction, None)
            else:
                self._arrived(effect)

    def _transmit(self, effect: SendMessage) -> None:
        flow = effect.transaction.flow
        if not flow.is_open and isinstance(effect.message, Response):
            # The connection is gone: a response may open another one to where the request came from (§18.2.2).
            port = effect.message.via.port or (5061 if flow.transport == "TLS" else 5060)
            flow = self._network.open(Hop(flow.transport, flow.remote[0], port))
        if not flow.send(effect.message.encode()):
            self._run(self.table.receive_transport_error(effect.transaction))

    def _answered(self, transaction: ClientTransaction, response: Response) -> None:
        if not response.is_provisional and (answered := self._outside.pop(transaction, None)) is not None:
            answered(response.status)
            return
        asked = self._calls.asked.get(transaction)
        if asked is not None:
            machine = asked.record.call.machine
            self.perform(asked.record, machine.receive_response(self._now(), asked.request, response))

    def _unanswered(self, transaction: Transaction, status: int) -> None:
        """Fail a request of ours, or try it the second way."""
        if not isinstance(transaction, ClientTransaction):
            return
        if (answered := self._outside.pop(transaction, None)) is not None:
            answered(status)
        asked = self._calls.asked.pop(transaction, None)
        if asked is None:
            return
        if status == 503 and asked.second_way is not None:
            asked.request.remove("Via")
            self._open(asked.record, asked.request, asked.second_way)
            return
        self._fail(asked.record, asked.request, status)

    def _fail(self, record: Record, request: Request, status: int) -> None:
        machine = record.call.machine
        response = request.respond(status, OWN_WORDS.get(status))
        self.perform(record, machine.receive_response(self._now(), request, response))

    # --- calls ------------------------------------------------------------------------------------------------------

    def _perform(self, record: Record, effect: CallEffect) -> None:
        if isinstance(effect, Respond):
            self.respond(effect.transaction, effect.response)
        elif isinstance(effect, SendRequest):
            self._send(record, effect.request)
        elif isinstance(effect, SendAck):
            self._acknowledge(record, effect.request)
        elif isinstance(effect, CallEnded):
            self._ended(record)
            self._tell(record, lambda: record.call.listener.ended(effect))
        else:
            if isinstance(effect, Confirmed) and isinstance(record.call, OutgoingCall):
                self._calls.bind(record, record.call.machine.dialog.id)
            self._tell(record, lambda: _tell(record, effect))

    def _tell(self, record: Record, tell: Callable[[], None]) -> None:
        """Tell the application; its fault must not cost other calls theirs."""
        try:
            tell()
        except Exception:
            logger.exception("the listener of a call failed; the call is ended")
            machine = record.call.machine
            self._queue.extend((record, effect) for effect in machine.hang_up(self._now(), "SIP;cause=500"))

    # --- requests of ours -------------------------------------------------------------------------------------------

    def _send(self, record: Record, request: Request) -> None:
        """Open a transaction for a request; a long one tries TCP first."""
        way = self._way(record, request)
        try:
            size = len(request.encode())
        except BuildError as error:  # made of the peer's words: a target or a route with a blank in it
            logger.warning("%s cannot be sent: %s", request.method, error)
            self._fail(record, request, 503)
            return
        if request.method != "CANCEL" and not is_reliable(way) and size > LONG_REQUEST_BYTES:
            self._open(record, request, self._network.open(Hop("TCP", *way.remote)), second_way=way)
        else:
            self._open(record, request, way)

    def _open(self, record: Record, request: Request, flow: Flow, second_way: Flow | None = None) -> None:
        if request.method != "CANCEL":  # that has its INVITE's
            request.add_first("Via", _via(record.address, flow))
        if request.method == "INVITE" and not record.call.machine.dialog.remote_tag:
            record.flow = flow  # a CANCEL must take the same way
        try:
            transaction, effects = self.table.send_request(self._now(), request, reliable=is_reliable(flow), flow=flow)
        except TableFull:
            self._fail(record, request, 503)
            return
        self._calls.asked[transaction] = Asked(record, request, second_way)
        self._run(effects)

    def _acknowledge(self, record: Record, ack: Request) -> None:
        flow = self._way(record, ack)
        if "via" not in ack.index:
            ack.add_first("Via", _via(record.address, flow))
        try:
            flow.send(ack.encode())
        except BuildError as error:
            logger.warning("ACK cannot be sent: %s", error)

    def _way(self, record: Record, request: Request) -> Flow:
        """Return the flow for a request: back to whom we hear where nothing else was said, else by route or target."""
        dialog = record.call.machine.dialog
        if request.method == "CANCEL" or not (dialog.remote_tag or request.to.tag):
            return record.flow
        if not dialog.route_set and record.is_direct and record.flow.is_open:
            return record.flow
        # The BYE to a surplus fork is of another dialog than the call's.
        own = request.to.tag == dialog.remote_tag
        routes = [] if own else request.routes
        hop = hop_of(dialog.next_hop if own else routes[0].uri_text if routes else request.uri_text)
        if hop is None or (record.flow.is_open and is_sender(hop, record.via, record.flow)):
            return record.flow
        return self._network.open(hop)


def _tell(record: Record, effect: CallEffect) -> None:
    call = record.call
    if isinstance(effect, MediaChanged):
        call.listener.media_changed(effect.agreement)
    elif isinstance(effect, Confirmed):
        call.listener.confirmed()
    elif isinstance(effect, InfoArrived):
        call.listener.info_arrived(effect.content_type, effect.body)
    elif isinstance(effect, InfoAnswered):
        call.listener.info_answered(effect.status)
    elif isinstance(effect, Ringing) and isinstance(call, OutgoingCall):
        call.listener.ringing(effect.status)


def _is_same(flow: object, other: Flow) -> bool:
    if flow is other:
        return True
    is_udp = getattr(flow, "transport", None) == other.transport == "UDP"
    return is_udp and getattr(flow, "remote", None) == other.remote


def _via(address: str, flow: Flow) -> Via:
    """Return a Via with a branch of its own; `address` is ours as the peer reaches it."""
    params: dict[str, str | None] = {"branch": "z9hG4bK" + secrets.token_hex(10), "rport": None}
    if is_reliable(flow):
        params["alias"] = None  # the connection may be used for requests to us (RFC 5923)
    return Via(flow.transport, uri_host(address), flow.local[1], params)
