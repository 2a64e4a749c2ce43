"""A call within its dialog, whoever began it: re-INVITE, UPDATE, BYE, INFO, OPTIONS, session timer, offers of ours.

Time is an argument and randomness comes in by `fraction`. What an INVITE needs until the dialog stands is the
subclass's: `call_machine.CalleeCall`.
"""

import contextlib
from collections.abc import Callable, Sequence

from sip.call_effects import (
    CallEffect,
    EndReason,
    InfoAnswered,
    InfoArrived,
    MediaChanged,
    Respond,
    SendAck,
    SendRequest,
)
from sip.dialog import Dialog, DialogState
from sip.dialog_base import CallSettings, DialogBase, unacceptable
from sip.errors import NotAcceptable, RemoteFault, SipSyntaxError, StateError
from sip.glare import glare_delay_s, judge_offer
from sip.inspection import inspect_request
from sip.invitation import AnswerRepeater, Repeat
from sip.media import Agreement, LocalMedia
from sip.message import Field, Request, Response
from sip.offer_answer import OfferAnswer, OfferState
from sip.parser import refuse
from sip.server_transaction import ServerTransaction
from sip.session_timer import Due


class DialogCall(DialogBase):
    """The life of a confirmed call. Each input returns effects; after CallEnded only repeats are answered."""

    def __init__(
        self, dialog: Dialog, offers: OfferAnswer, settings: CallSettings, fraction: Callable[[], float]
    ) -> None:
        """`fraction` returns a random number from 0 to 1."""
        super().__init__(dialog, settings)
        self.offers = offers
        self.owns_call_id = False
        self._fraction = fraction
        self._local: LocalMedia | None = None
        self._pending: Request | None = None
        self._info: Request | None = None
        self._retry_at: float | None = None
        self._acks: dict[int, Request] = {}

    @property
    def agreement(self) -> Agreement | None:
        """How audio flows at present."""
        return self.offers.agreement

    @property
    def takes_info(self) -> bool:
        """False where the peer has said what it takes, and INFO is not among it."""
        return self._peer_methods is None or "info" in self._peer_methods

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        if self.is_over:
            return None
        dues = [repeater.next_deadline() for _, repeater in self._repeaters]
        known = [due for due in (*dues, self._timer.next_deadline(), self._retry_at) if due is not None]
        return min(known) if known else None

    def handle_timer(self, now: float) -> list[CallEffect]:
        """Repeat answers, refresh the session, try an offer again, end what has expired."""
        effects: list[CallEffect] = []
        for transaction, repeater in tuple(self._repeaters):
            due = repeater.handle_timer(now)
            if due is Repeat.SEND:
                effects.append(Respond(transaction, repeater.response))
            elif due is Repeat.GIVE_UP:
                return [*effects, *self._bye(EndReason.NO_ACK)]
        expired = self._timer.handle_timer(now)
        if expired is Due.EXPIRED:
            return [*effects, *self._bye(EndReason.EXPIRED)]
        if expired is Due.REFRESH:
            effects += self._refresh(now)
        if self._retry_at is not None and now >= self._retry_at and self._local is not None:
            self._retry_at = None
            effects += self.offer(now, self._local)
        return effects

    # --- the peer's requests ----------------------------------------------------------------------------------------

    def receive_request(self, now: float, transaction: ServerTransaction, request: Request) -> list[CallEffect]:
        """Take a request of the dialog; ACK goes to `receive_ack`."""
        if self.is_over:
            return [Respond(transaction, self._answer(request, 481))]
        rejection = self.dialog.receive_request(request) or inspect_request(request, self._settings.abilities)
        if rejection is not None:
            return self._refused(transaction, rejection)
        if request.method == "BYE":
            return [Respond(transaction, self._answer(request, 200)), *self._end(EndReason.REMOTE_BYE, request)]
        if request.method in ("INVITE", "UPDATE"):
            return self._renegotiate(now, transaction, request)
        response = self._answer(request, 200)
        if request.method == "OPTIONS":
            self._advertise(response)
            return [Respond(transaction, response)]
        if request.method == "INFO":
            kind = request.content_type
            info = InfoArrived(kind.value.lower() if kind is not None else "", request.body)
            return [Respond(transaction, response), info]
        return [Respond(transaction, response)]

    def receive_ack(self, now: float, ack: Request) -> list[CallEffect]:
        """Take an ACK of the dialog; it may carry the answer to a delayed offer."""
        if not any(repeater.receive_ack(ack) for _, repeater in self._repeaters):
            return []
        self._repeaters = [entry for entry in self._repeaters if not entry[1].is_acknowledged]
        if self.offers.state is not OfferState.OFFERED or self._pending is not None:
            return []
        before = self.agreement
        try:
            self.offers.receive_answer(ack.sdp or b"")
        except RemoteFault as error:
            return self._bye(EndReason.NO_MEDIA, f'SIP;cause=488;text="{error.message}"')
        return self._media(before)

    def _renegotiate(self, now: float, transaction: ServerTransaction, request: Request) -> list[CallEffect]:
        """Answer a re-INVITE, or an UPDATE with or without an offer."""
        waiting = self.offers.state is OfferState.OFFERED
        collides = request.method == "INVITE" or request.sdp is not None
        collision = judge_offer(ours_under_way=waiting or self._pending is not None, theirs_unanswered=False)
        if collision is not None and collides:
            return self._refused(transaction, refuse(request, collision.status, "an offer of ours is under way"))
        rejection = self._timer.check(request)
        if rejection is not None:
            return self._refused(transaction, rejection)
        before = self.agreement
        try:
            body = self._describe(request)
        except NotAcceptable as error:
            return self._refused(transaction, unacceptable(request, error))
        self.dialog.refresh_target(request)
        self._note_methods(request)
        response = self._success(now, request, body)
        if request.method == "INVITE":
            self._repeaters.append((transaction, AnswerRepeater(response, now, self._settings.timers)))
        return [Respond(transaction, response), *self._media(before)]

    def _describe(self, request: Request) -> bytes:
        """Return the body of a 2xx: the answer to the request's offer, else an offer of ours. Raises: NotAcceptable."""
        if request.sdp is None and request.method == "UPDATE":
            return b""
        if self._local is None:
            raise StateError("no media has been decided yet")
        if request.sdp is None:
            return self.offers.make_offer(self._local)
        self.offers.receive_offer(request.sdp)
        return self.offers.make_answer(self._local)

    # --- ours -------------------------------------------------------------------------------------------------------

    def offer(self, now: float, local: LocalMedia) -> list[CallEffect]:
        """Hold, resume, or move the audio by a re-INVITE; on a collision it is tried again by itself.

        Raises: StateError while the answer is not acknowledged or another offer is open; try again after.
        """
        if self.is_over or self._pending is not None or self._repeaters:
            raise StateError("no new offer is possible now")
        body = self.offers.make_offer(local)
        self._local = local
        self._retry_at = None
        return self._ask("INVITE", body)

    def send_info(self, now: float, content_type: str, body: bytes) -> list[CallEffect]:
        """Send an INFO (RFC 6086); one at a time, so that none overtakes another. `InfoAnswered` follows.

        Raises: StateError while one is under way, and once the call is over.
        """
        if self.is_over or self._info is not None or self.dialog.state is not DialogState.CONFIRMED:
            raise StateError("no INFO is possible now")
        self._info = self.dialog.build_request("INFO")
        self._info.set_body(body, content_type)
        return [SendRequest(self._info)]

    def hang_up(self, now: float, reason: str | None = None, headers: Sequence[Field] = ()) -> list[CallEffect]:
        """End the call by BYE; `reason` is the value of a Reason header (RFC 3326)."""
        return [] if self.is_over else self._bye(EndReason.LOCAL_BYE, reason, headers=headers)

    def receive_response(self, now: float, request: Request, response: Response) -> list[CallEffect]:
        """Take a response to a request of ours; a timeout counts as 408, a transport failure as 503."""
        number = request.cseq.number
        if response.is_success and request.method == "INVITE" and number in self._acks:
            return [SendAck(self._acks[number])]  # a repeated 2xx: its ACK was lost
        if request is self._info and not response.is_provisional:
            return self._info_answered(response.status)
        if response.is_provisional or request is not self._pending:
            return []
        self._pending = None
        if not response.is_success:
            return self._failed(now, request, response)
        effects: list[CallEffect] = []
        if request.method == "INVITE":
            self._acks = {number: self.dialog.build_ack(request)}
            effects.append(SendAck(self._acks[number]))
        if self.is_over:
            return effects
        with contextlib.suppress(SipSyntaxError):  # an unreadable Contact or interval leaves the old one in force
            self.dialog.refresh_target(response)
            self._timer.receive_answer(now, response)
        if self.offers.state is not OfferState.OFFERED:
            return effects
        before = self.agreement
        try:
            self.offers.receive_answer(response.sdp or b"")
        except RemoteFault as error:
            return [*effects, *self._bye(EndReason.NO_MEDIA, f'SIP;cause=488;text="{error.message}"')]
        return [*effects, *self._media(before)]

    def _info_answered(self, status: int) -> list[CallEffect]:
        self._info = None
        if self.is_over:
            return []
        # A peer that does not answer, or knows nothing of the call, has left it (RFC 3261 §12.2.1.2).
        return self._bye(EndReason.LOST, status=status) if status in (408, 481) else [InfoAnswered(status)]

    def _failed(self, now: float, request: Request, response: Response) -> list[CallEffect]:
        """Go on after a refused re-INVITE or UPDATE: what was agreed stays in force (RFC 3261 §14.1)."""
        if self.offers.state is OfferState.OFFERED:
            self.offers.drop_offer()
        if self.is_over:
            return []
        if response.status in (408, 481):
            return self._bye(EndReason.LOST, status=response.status)
        delay_s = glare_delay_s(owns_call_id=self.owns_call_id, fraction=self._fraction())
        if response.status == 422 and self._timer.receive_too_small(response):
            return self._refresh(now)
        if response.status == 491 and request.method == "INVITE":
            self._retry_at = now + delay_s
        self._timer.refresh_failed(now, response.status, max(delay_s, 1.0))
        return []

    def _refresh(self, now: float) -> list[CallEffect]:
        """Refresh the session by UPDATE where the peer takes it, else by a re-INVITE that changes nothing."""
        if self._pending is not None or self._repeaters or self._local is None:
            self._timer.refresh_failed(now, 491, 1.0)
            return []
        updates = self._peer_methods is not None and "update" in self._peer_methods
        return self._ask("UPDATE") if updates else self._ask("INVITE", self.offers.make_offer(self._local))

    def _ask(self, method: str, body: bytes = b"") -> list[CallEffect]:
        request = self.dialog.build_request(method, body)
        self._advertise(request)
        for name, value in self._timer.request_headers():
            request.add(name, value)
        self._pending = request
        return [SendRequest(request)]

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _media(self, before: Agreement | None) -> list[CallEffect]:
        """Report the agreement if it is another than before: unchanged SDP resets no media."""
        return [] if self.agreement is None or self.agreement == before else [MediaChanged(self.agreement)]
