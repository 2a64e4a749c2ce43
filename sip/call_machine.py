"""An incoming call, from its INVITE to its end: the user agent server core of RFC 3261 §13.3, sans-IO.

  INCOMING    ring, progress, answer, reject         CANCEL, BYE, Expires → 487, over
  ANSWERED    200 repeated until ACK                 no ACK in 64·T1 → BYE, over; hang_up waits for the ACK (§15)
  CONFIRMED   all of `DialogCall`                    BYE of either side, session expired → over

The races: a CANCEL that comes after the 200 gets its 200 and changes nothing, the caller will ACK and BYE; one that
comes before gets 200, and the INVITE 487. An answer after a CANCEL is refused with StateError.
"""

import random
from collections.abc import Callable, Sequence
from enum import Enum, auto

from sip.call_effects import CallEffect, Confirmed, EndReason, Respond
from sip.dialog import Dialog
from sip.dialog_base import CallSettings, unacceptable
from sip.dialog_call import DialogCall
from sip.errors import NotAcceptable, SipSyntaxError, StateError
from sip.grammar import parse_number
from sip.invitation import AnswerRepeater
from sip.media import LocalMedia
from sip.message import Field, Request
from sip.offer_answer import OfferAnswer
from sip.server_transaction import ServerTransaction

RING_AGAIN_S = 60.0
"""Provisional responses keep proxies from cancelling (§13.3.1.1)."""


class CallState(Enum):
    """Where an incoming call stands."""

    INCOMING = auto()
    ANSWERED = auto()
    CONFIRMED = auto()
    OVER = auto()


class CalleeCall(DialogCall):
    """One incoming call. Give it the INVITE that `inspection.inspect_request` has passed."""

    def __init__(
        self,
        now: float,
        invite: Request,
        transaction: ServerTransaction,
        settings: CallSettings,
        *,
        local_tag: str,
        session_id: str,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        """`local_tag` and `session_id` (a number as text) are random and unique.

        Raises: SipSyntaxError when no dialog can be made (no Contact): answer 400.
        """
        dialog = Dialog.from_request(invite, local_tag, settings.contact)
        super().__init__(dialog, OfferAnswer(session_id), settings, fraction)
        self.invite = invite
        self._transaction = transaction
        self._state = CallState.INCOMING
        self._body: bytes | None = None
        self._ring_at: float | None = None
        self._hanging_up: tuple[str | None, tuple[Field, ...]] | None = None
        self._expires_at = _expires_at(now, invite)
        self._note_methods(invite)

    @property
    def state(self) -> CallState:
        """Where the call stands."""
        return CallState.OVER if self.is_over else self._state

    def start(self, now: float) -> list[CallEffect]:
        """Say 100 at once; refuse with 422 when the session interval is too small."""
        rejection = self._timer.check(self.invite)
        if rejection is not None:
            return self._reject(rejection.status, None, rejection.extra)
        return [Respond(self._transaction, self._answer(self.invite, 100))]

    # --- decisions of the application -------------------------------------------------------------------------------

    def ring(self, now: float) -> list[CallEffect]:
        """Say 180, and again every minute. Raises: StateError once it has been answered."""
        self._must_be_incoming()
        self._ring_at = now + RING_AGAIN_S
        response = self.dialog.dress(self.invite, self._answer(self.invite, 180))
        return [Respond(self._transaction, response)]

    def progress(self, now: float, local: LocalMedia) -> list[CallEffect]:
        """Say 183 with our description: early media. The 200 carries the same one. Raises: StateError.

        An offer that cannot be met is refused with 488.
        """
        self._must_be_incoming()
        if self.invite.sdp is None:
            raise StateError("a delayed offer has no early media without 100rel")
        effects = self._negotiate(local)
        if self.is_over:
            return effects
        self._ring_at = now + RING_AGAIN_S
        response = self.dialog.dress(self.invite, self._answer(self.invite, 183))
        response.set_body(self._body or b"")
        return [Respond(self._transaction, response), *effects]

    def answer(self, now: float, local: LocalMedia, headers: Sequence[Field] = ()) -> list[CallEffect]:
        """Take the call: 200 with the answer, or with our offer when the INVITE brought none, and `headers`.

        An offer that cannot be met is refused with 488 and a Warning. Raises: StateError when it was cancelled.
        """
        self._must_be_incoming()
        effects = self._negotiate(local)
        if self.is_over:
            return effects
        self._state, self._ring_at, self._expires_at = CallState.ANSWERED, None, None
        self.dialog.confirm()
        response = self._success(now, self.invite, self._body or b"")
        for name, value in headers:
            response.add(name, value)
        self._repeaters.append((self._transaction, AnswerRepeater(response, now, self._settings.timers)))
        return [Respond(self._transaction, response), *effects]

    def reject(self, now: float, status: int, reason: str | None = None, *extra: Field) -> list[CallEffect]:
        """Refuse the call with a 3xx to 6xx. Raises: StateError once it has been answered."""
        self._must_be_incoming()
        return self._reject(status, reason, extra)

    def hang_up(self, now: float, reason: str | None = None, headers: Sequence[Field] = ()) -> list[CallEffect]:
        """End the call: 480 before the answer, BYE after; between 200 and ACK the BYE waits for the ACK (§15)."""
        if self.is_over:
            return []
        if self._state is CallState.INCOMING:
            return self._reject(480, None, ())
        if self._state is CallState.ANSWERED:
            self._hanging_up = reason, tuple(headers)
            return []
        return super().hang_up(now, reason, headers)

    # --- the caller -------------------------------------------------------------------------------------------------

    def receive_cancel(self, now: float, transaction: ServerTransaction, cancel: Request) -> list[CallEffect]:
        """Take the CANCEL of the INVITE (§9.2): always 200, and 487 when there is no final response yet."""
        effects: list[CallEffect] = [Respond(transaction, self._answer(cancel, 200))]
        if self.is_over or self._state is not CallState.INCOMING:
            return effects
        ended = self._end(EndReason.CANCELLED, cancel)
        return [*effects, Respond(self._transaction, self._answer(self.invite, 487)), *ended]

    def receive_request(self, now: float, transaction: ServerTransaction, request: Request) -> list[CallEffect]:
        """Take a request of the dialog. A BYE before the answer ends the INVITE with 487 (§15.1.2)."""
        if self._state is CallState.INCOMING and not self.is_over:
            if request.method == "INVITE" or (request.method == "UPDATE" and request.sdp is not None):
                # A second offer before the first has its answer (§14.2, RFC 3311 §5.2).
                response = self._answer(request, 500)
                response.add("Retry-After", int(10 * self._fraction()))
                return [Respond(transaction, response)]
            effects = super().receive_request(now, transaction, request)
            if self.is_over:
                effects.insert(1, Respond(self._transaction, self._answer(self.invite, 487)))
            return effects
        return super().receive_request(now, transaction, request)

    def receive_ack(self, now: float, ack: Request) -> list[CallEffect]:
        """Take an ACK: the first one confirms the call."""
        if self.is_over:
            return []
        effects = super().receive_ack(now, ack)
        if self.is_over or self._state is not CallState.ANSWERED or self._repeaters:
            return effects
        self._state = CallState.CONFIRMED
        effects.insert(0, Confirmed())
        if self._hanging_up is not None:
            effects += super().hang_up(now, *self._hanging_up)
        return effects

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        if self.is_over:
            return None
        known = [due for due in (super().next_deadline(), self._ring_at, self._expires_at) if due is not None]
        return min(known) if known else None

    def handle_timer(self, now: float) -> list[CallEffect]:
        """Ring again, let an INVITE expire, and all that a dialog needs."""
        if self.is_over:
            return []
        if self._expires_at is not None and now >= self._expires_at:
            ended = self._end(EndReason.EXPIRED, status=487)
            return [Respond(self._transaction, self._answer(self.invite, 487)), *ended]
        if self._ring_at is not None and now >= self._ring_at and self._transaction.last_response is not None:
            self._ring_at = now + RING_AGAIN_S
            return [Respond(self._transaction, self._transaction.last_response)]
        return super().handle_timer(now)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def _must_be_incoming(self) -> None:
        if self.is_over or self._state is not CallState.INCOMING:
            raise StateError("the call has been answered or is over")

    def _negotiate(self, local: LocalMedia) -> list[CallEffect]:
        """Decide upon the media once; leaves the body for our responses."""
        if self._body is not None:
            return []
        self._local = local
        try:
            self._body = self._describe(self.invite)
        except NotAcceptable as error:
            rejection = unacceptable(self.invite, error)
            return self._reject(rejection.status, None, rejection.extra)
        return self._media(None)

    def _reject(self, status: int, reason: str | None, extra: tuple[Field, ...]) -> list[CallEffect]:
        response = self._answer(self.invite, status, reason)
        for name, value in extra:
            response.add(name, value)
        return [Respond(self._transaction, response), *self._end(EndReason.REJECTED, status=status)]


def _expires_at(now: float, invite: Request) -> float | None:
    """Return when the INVITE is void by its Expires; one that cannot be read is ignored."""
    value = invite.get("expires")
    try:
        return None if value is None else now + parse_number(value, 2**32, "Expires")
    except SipSyntaxError:
        return None
