"""The user agent core: from messages and the time to transactions, dialogs, calls, and back (RFC 3261 §8, §12).

  request    in a dialog ──► its call          CANCEL ──► the call of its INVITE           ACK of a 2xx ──► its call
             INVITE ──► inspected, admitted, `Application.call_arrived`
             OPTIONS ──► 200, or 503 while draining
             anything else ──► 405, 420, 481, 501 … by `inspection`
             from strangers, whom only a password could let in: INVITE ──► 401 without a trace, others ──► nothing
  response   ──► the call that asked; a timeout counts as 408, a failure to send as 503

There is no socket and no task here: `endpoint` owns them, and the clock comes in by the constructor. Sending is
synchronous (`Flow.send`), so what was decided first leaves first.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sip.admission import Admission, CallLimits, Refused
from sip.auth import DigestServer
from sip.call import NOBODY, Application, Arrival, IncomingCall
from sip.call_effects import CallEffect
from sip.call_machine import CalleeCall
from sip.call_table import CallTable, Record
from sip.caller import CallerListener, OutgoingCall
from sip.caller_machine import CallerCall
from sip.dialog import Dialog, dialog_id_of
from sip.dialog_base import CallSettings
from sip.effects import AckArrived, Effect, RequestArrived
from sip.errors import SipSyntaxError
from sip.flow import Address, Flow, Network, contact_of, is_near, is_reliable, reply_port, uri_host
from sip.gate import Gate
from sip.headers import NameAddr
from sip.inspection import ABILITIES, Abilities, inspect_request, inspect_response
from sip.media import LocalMedia
from sip.message import Rejection, Request, Response
from sip.performing import Performer
from sip.server_transaction import ServerTransaction
from sip.session_timer import TimerPolicy
from sip.strangers import Strangers
from sip.timers import TIMERS, Timers

logger = logging.getLogger("sip")


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What all calls of an endpoint share."""

    public_address: str | None = None
    """What peers outside our own network reach us at; None: the address of the socket."""
    server_name: str = ""
    """For the Server header; empty tells scanners nothing."""
    realm: str = "voice"
    algorithms: tuple[str, ...] = ("MD5", "SHA-256")
    """Of the challenges, in their order. RFC 8760 §2.4 wants the better one first, but much of what rings here takes
    the first and fails when it does not know it; whoever looks at all of them takes SHA-256."""
    nonce_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """Signs the challenges; the same on every node that a caller may come to."""
    limits: CallLimits = field(default_factory=CallLimits)
    scanners: tuple[str, ...] = ()
    """Parts of a User-Agent, in lower case, that ban a source at once unless a trunk names its address."""
    timers: Timers = TIMERS
    session_timer: TimerPolicy = field(default_factory=TimerPolicy)
    abilities: Abilities = ABILITIES

    def for_call(self, flow: Flow, address: str, *, secure: bool = False) -> CallSettings:
        """Return what a call is told that comes by `flow`, where we are `address`."""
        return CallSettings(
            contact=contact_of(flow, address, secure=secure),
            server_name=self.server_name,
            timers=self.timers,
            session_timer=self.session_timer,
            abilities=self.abilities,
        )

    def address_for(self, flow: Flow, of_trunk: str | None) -> str:
        """Return our address as the peer reaches it: the trunk's word, else the public one for peers out there."""
        if of_trunk is not None:
            return of_trunk
        return flow.local[0] if self.public_address is None or is_near(flow.remote[0]) else self.public_address


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two times that are needed."""

    monotonic: Callable[[], float]
    """Timers run by it."""
    time_of_day: Callable[[], float]
    """Nonces are made of it."""


class UserAgent:
    """Everything of an endpoint but its sockets. Call `handle_timer` when `next_deadline` has come."""

    def __init__(
        self,
        settings: AgentSettings,
        gate: Gate,
        application: Application,
        network: Network,
        clocks: Clocks,
        *,
        deadline_moved: Callable[[], None] = lambda: None,
    ) -> None:
        """`deadline_moved` is called when the application has done something: look at `next_deadline` again."""
        self.now = clocks.monotonic
        digest = DigestServer(settings.realm, settings.nonce_secret, algorithms=settings.algorithms)
        self.admission = Admission(settings.limits, digest, clocks.time_of_day, new_tag)
        self.calls = CallTable()
        self._settings = settings
        self._gate = gate
        self._strangers = Strangers(gate, self.admission, settings.scanners)
        self._application = application
        self._performer = Performer(self.calls, network, clocks.monotonic, settings.timers, self._arrived, self._ended)
        self._deadline_moved = deadline_moved

    # --- inputs -----------------------------------------------------------------------------------------------------

    def receive(self, message: Request | Response | Rejection, flow: Flow) -> None:
        """Take one message, as the parser made it, and the flow that it came by."""
        if isinstance(message, Rejection):
            self._receive_junk(message, flow)
        elif isinstance(message, Response):
            wrong = inspect_response(message)
            if wrong is None:
                self._performer.receive_response(message)
            else:
                self._note(flow.remote, str(message.status), 0, wrong)
        else:
            self._receive_request(message, flow)

    def flow_failed(self, flow: Flow) -> None:
        """Take word that a connection is gone, or never came about."""
        self._performer.flow_failed(flow)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        known = [due for due in (self._performer.table.next_deadline(), self.calls.next_deadline()) if due is not None]
        return min(known, default=None)

    def handle_timer(self) -> None:
        """Do what has become due."""
        self._performer.handle_timer()

    # --- calls ------------------------------------------------------------------------------------------------------

    def perform(self, call: object, effects: list[CallEffect]) -> None:
        """Do what a call's machine has decided upon its application's word."""
        record = self.calls.of(call)
        if record is not None:
            self._performer.perform(record, effects)
            self._deadline_moved()

    def call(
        self,
        make: Callable[[CallSettings], CallerCall],
        local: LocalMedia,
        listener: CallerListener,
        flow: Flow,
    ) -> OutgoingCall:
        """Call somebody by `flow`. `make` returns the machine for the settings that are given."""
        address = self._settings.address_for(flow, None)
        local = local if local.address else replace(local, address=address)
        machine = make(self._settings.for_call(flow, address))
        call = OutgoingCall(self, machine, listener)
        record = Record(call, flow, address)
        self.calls.add(record)
        self._performer.perform(record, machine.start(self.now(), local))
        self._deadline_moved()
        return call

    def probe(self, uri: str, flow: Flow, answered: Callable[[int], None]) -> None:
        """Ask by OPTIONS whether somebody is there; `answered` takes the final status, 408 or 503 where none comes."""
        address = self._settings.address_for(flow, None)
        us, contact = NameAddr(f"sip:{uri_host(address)}"), contact_of(flow, address)
        dialog = Dialog(f"{secrets.token_hex(12)}@{address}", new_tag(), "", us, NameAddr(uri), uri, contact)
        options = dialog.build_request("OPTIONS")
        options.set("Contact", contact)  # what some peers know us by
        self._performer.ask(options, flow, address, answered)
        self._deadline_moved()

    def hang_up_all(self, reason: str) -> None:
        """End every call: the service stops. `reason` is a Reason header's value."""
        for record in self.calls:
            self._performer.perform(record, record.call.machine.hang_up(self.now(), reason))
        self._deadline_moved()

    # --- requests ---------------------------------------------------------------------------------------------------

    def _receive_junk(self, rejection: Rejection, flow: Flow) -> None:
        """Answer what can be answered, without a transaction; strangers get nothing."""
        what = "junk" if rejection.request is None else rejection.request.method
        named = self._gate.is_named(flow.remote[0])
        response = None
        if named and rejection.request is not None:
            try:
                rejection.request.stamp_source(*flow.remote)
                response = rejection.response(new_tag())
            except SipSyntaxError:  # a Via that cannot be read names no way back
                response = None
        self._gate.blame(self.now(), flow.remote[0])
        self._note(flow.remote, what, 0 if response is None else response.status, rejection.reason)
        if response is not None:
            flow.send(response.encode())

    def _receive_request(self, request: Request, flow: Flow) -> None:
        request.stamp_source(*flow.remote)
        reply = flow if is_reliable(flow) else flow.toward(reply_port(request.via, flow.remote))
        is_stranger = not request.to.tag and not self._gate.is_named(flow.remote[0])
        if is_stranger and self._strangers.meet(self.now(), request, flow, reply):
            return
        if not self._performer.receive_request(request, reply):
            self._note(flow.remote, request.method, 503, "too many transactions")
            reply.send(self.admission.retry_later(request).encode())

    def _arrived(self, effect: Effect) -> None:
        """Take what transactions hand up from the peer's requests."""
        if isinstance(effect, AckArrived):
            record = self.calls.by_dialog(dialog_id_of(effect.request))
            if record is not None:
                self._performer.perform(record, record.call.machine.receive_ack(self.now(), effect.request))
        elif isinstance(effect, RequestArrived):
            self._dispatch(effect.transaction, effect.request, merged=effect.merged)

    def _dispatch(self, transaction: ServerTransaction, request: Request, *, merged: bool) -> None:
        now = self.now()
        if merged:
            self._refuse(transaction, request.respond(482, to_tag=new_tag()), "the same request came another way")
        elif request.method == "CANCEL":
            self._cancelled(transaction, request)
        elif request.to.tag:
            record = self.calls.by_dialog(dialog_id_of(request))
            if record is None:
                self._refuse(transaction, request.respond(481), "no such dialog")
                return
            record.heard_from(request, transaction)
            self._performer.perform(record, record.call.machine.receive_request(now, transaction, request))
        elif request.method == "INVITE":
            self._invited(transaction, request)
        else:
            self._asked_outside(transaction, request)

    def _cancelled(self, transaction: ServerTransaction, cancel: Request) -> None:
        invite = self._performer.table.find_cancelled(cancel)
        record = None if invite is None else self.calls.by_invite(invite)
        if invite is None:
            self._refuse(transaction, cancel.respond(481, to_tag=new_tag()), "nothing to cancel")
        elif record is None or not isinstance(record.call, IncomingCall):
            # Answered already, or a re-INVITE: there is nothing left to stop (§9.2).
            self._performer.respond(transaction, cancel.respond(200, to_tag=new_tag()))
        else:
            self._performer.perform(record, record.call.machine.receive_cancel(self.now(), transaction, cancel))

    def _asked_outside(self, transaction: ServerTransaction, request: Request) -> None:
        """Answer a request without a dialog that is no INVITE."""
        rejection = inspect_request(request, self._settings.abilities)
        if rejection is not None:
            self._reject(transaction, rejection)
        elif request.method != "OPTIONS":
            self._refuse(transaction, request.respond(481, to_tag=new_tag()), "no such dialog")
        elif self.admission.is_draining:
            self._performer.respond(transaction, self.admission.retry_later(request))
        else:
            abilities = self._settings.abilities
            response = request.respond(200, to_tag=new_tag())
            response.add("Allow", ", ".join(abilities.methods))
            response.add("Accept", "application/sdp")
            response.add("Supported", ", ".join(abilities.extensions))
            self._performer.respond(transaction, response)

    # --- new calls --------------------------------------------------------------------------------------------------

    def _invited(self, transaction: ServerTransaction, invite: Request) -> None:
        rejection = inspect_request(invite, self._settings.abilities)
        if rejection is not None:
            self._reject(transaction, rejection)
            return
        flow: Flow = transaction.flow
        host = flow.remote[0]
        admitted = self.admission.admit(self.now(), invite, self._gate.trunks.find(host), flow.transport, host)
        if isinstance(admitted, Refused):
            if admitted.is_failure:
                self._gate.blame(self.now(), host)
            self._refuse(transaction, admitted.response, admitted.reason)
            return
        address = self._settings.address_for(flow, admitted.trunk.public_address)
        settings = self._settings.for_call(flow, address, secure=invite.uri_text[:5].lower() == "sips:")
        session_id = str(secrets.randbelow(2**62))
        try:
            machine = CalleeCall(self.now(), invite, transaction, settings, local_tag=new_tag(), session_id=session_id)
        except SipSyntaxError as error:
            self.admission.release(admitted.trunk)
            self._refuse(transaction, invite.respond(error.status, to_tag=new_tag()), error.message)
            return
        arrival = Arrival(admitted.trunk, flow.transport, *flow.remote, address, admitted.username)
        self._begin(IncomingCall(self, machine, arrival), transaction, flow)

    def _begin(self, call: IncomingCall, transaction: ServerTransaction, flow: Flow) -> None:
        record = Record(call, flow, call.arrival.address, call.arrival.trunk)
        record.invite, record.via = transaction, call.invite.via
        record.is_direct = len(call.invite.vias) == 1
        self.calls.add(record)
        self.calls.bind(record, call.machine.dialog.id)
        self._performer.perform(record, call.machine.start(self.now()))
        if call.machine.is_over:
            return
        try:
            self._application.call_arrived(call)
        except Exception:
            logger.exception("the application failed on a call; it is refused")
        if call.listener is NOBODY and not call.machine.is_over:
            self._performer.perform(record, call.machine.reject(self.now(), 500))

    def _ended(self, record: Record) -> None:
        self.calls.remove(record)
        if record.trunk is not None:
            self.admission.release(record.trunk)

    # --- refusals ---------------------------------------------------------------------------------------------------

    def _reject(self, transaction: ServerTransaction, rejection: Rejection) -> None:
        response = rejection.response(new_tag())
        if response is not None:
            self._refuse(transaction, response, rejection.reason)

    def _refuse(self, transaction: ServerTransaction, response: Response, reason: str) -> None:
        self._performer.respond(transaction, response)
        if reason != "challenged":
            self._note(transaction.flow.remote, transaction.request.method, response.status, reason)

    def _note(self, source: Address, what: str, status: int, reason: str) -> None:
        self._gate.log.note(self.now(), source, what, status, reason)


def new_tag() -> str:
    """Return a tag that nobody can guess (RFC 3261 §19.3)."""
    return secrets.token_hex(8)
