"""An outgoing call, from its INVITE to its end: the user agent client core of RFC 3261 §13.2, sans-IO.

  CALLING     INVITE sent; 401, 407 and 422 are answered by another INVITE, once each
  RINGING     a 1xx has come: hang_up may send CANCEL from here; before, it waits for the 1xx (§9.1)
  CONFIRMED   first 2xx, acknowledged: all of `DialogCall`. Another fork's 2xx: ACK, then BYE (§13.2.2.4)
  OVER        refused, cancelled, BYE of either side

The race: a 2xx that comes after our CANCEL is acknowledged and ended with BYE; nothing else would end it.
Descriptions in provisional responses are not looked at: the audio starts with the 2xx.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from sip.auth import DigestClient
from sip.call_effects import CallEffect, CallEnded, Confirmed, EndReason, MediaChanged, Ringing, SendAck, SendRequest
from sip.client_transaction import build_cancel
from sip.dialog import Dialog
from sip.dialog_base import CallSettings
from sip.dialog_call import DialogCall
from sip.errors import RemoteFault, SipSyntaxError, StateError
from sip.headers import NameAddr
from sip.invitation import Fork, ForkEvent, Forks
from sip.media import LocalMedia
from sip.message import Field, Request, Response
from sip.offer_answer import OfferAnswer


class CallerState(Enum):
    """Where an outgoing call stands."""

    CALLING = auto()
    RINGING = auto()
    CONFIRMED = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class Destination:
    """Whom to call, and as whom."""

    uri: str
    """The Request-URI."""
    caller: NameAddr
    """From, without a tag."""
    headers: tuple[Field, ...] = ()
    """Of the application: X-…, P-Preferred-Identity …"""


class CallerCall(DialogCall):
    """One outgoing call."""

    def __init__(
        self,
        destination: Destination,
        settings: CallSettings,
        *,
        call_id: str,
        local_tag: str,
        session_id: str,
        digest: DigestClient | None = None,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        """`call_id`, `local_tag` and `session_id` (a number as text) are random and unique."""
        caller = NameAddr(destination.caller.uri_text, destination.caller.display_name, {"tag": local_tag})
        to = NameAddr(destination.uri)
        dialog = Dialog(call_id, local_tag, "", caller, to, destination.uri, settings.contact)
        super().__init__(dialog, OfferAnswer(session_id), settings, fraction)
        self.owns_call_id = True
        self._destination = destination
        self._digest = digest
        self._state = CallerState.CALLING
        self._invite: Request | None = None
        self._forks: Forks | None = None
        self._cancels = False
        self._reason: str | None = None

    @property
    def state(self) -> CallerState:
        """Where the call stands."""
        return CallerState.OVER if self.is_over else self._state

    def start(self, now: float, local: LocalMedia) -> list[CallEffect]:
        """Send the INVITE with our offer."""
        if self._invite is not None:
            raise StateError("the call has been started")
        self._local = local
        invite = self.dialog.build_request("INVITE", self.offers.make_offer(local))
        self._advertise(invite)
        for name, value in (*self._timer.request_headers(), *self._destination.headers):
            invite.add(name, value)
        return self._invites(invite)

    def receive_response(self, now: float, request: Request, response: Response) -> list[CallEffect]:
        """Take a response to a request of ours; a timeout counts as 408, a transport failure as 503."""
        if request.method == "CANCEL":
            return []
        if request is not self._invite or self._forks is None:
            return super().receive_response(now, request, response)
        if response.status == 100:
            return self._ring(None)
        if response.status >= 300:
            return self._refused_by_peer(now, request, response)
        try:
            fork = self._forks.receive_response(response)
        except SipSyntaxError as error:
            return [] if response.is_provisional else self._over(EndReason.LOST, 0, error.message)
        return self._forked(now, fork, response)

    def hang_up(self, now: float, reason: str | None = None, headers: Sequence[Field] = ()) -> list[CallEffect]:
        """End the call: CANCEL before the answer, as soon as a 1xx allows it; BYE after."""
        if self.is_over or self._state is CallerState.CONFIRMED:
            return super().hang_up(now, reason, headers)
        if self._cancels:
            return []
        self._cancels, self._reason = True, reason
        return self._cancel() if self._state is CallerState.RINGING else []

    # --- the INVITE -------------------------------------------------------------------------------------------------

    def _invites(self, invite: Request) -> list[CallEffect]:
        self._invite, self._forks = invite, Forks(invite, self._settings.contact)
        self._state = CallerState.CALLING
        return [SendRequest(invite)]

    def _ring(self, status: int | None) -> list[CallEffect]:
        """Note that the other side is at work; a CANCEL that waited goes out now."""
        first = self._state is CallerState.CALLING
        if first:
            self._state = CallerState.RINGING
        effects: list[CallEffect] = [] if status is None or self._cancels else [Ringing(status)]
        return effects + (self._cancel() if first and self._cancels else [])

    def _cancel(self) -> list[CallEffect]:
        return [] if self._invite is None else [SendRequest(build_cancel(self._invite, self._reason))]

    def _forked(self, now: float, fork: Fork, response: Response) -> list[CallEffect]:
        """Act on a 1xx or 2xx."""
        if fork.event is ForkEvent.EARLY or response.is_provisional:
            return self._ring(response.status) if not self.is_over else []
        if fork.dialog is None or self._forks is None:
            return []
        if fork.event is ForkEvent.REPEATED:
            return [] if fork.ack is None else [SendAck(fork.ack)]
        ack = SendAck(self._forks.acknowledge(fork.dialog))
        if fork.event is ForkEvent.SURPLUS or self.is_over:
            return [ack, SendRequest(fork.dialog.build_request("BYE"))]
        return [ack, *self._answered(now, fork.dialog, response)]

    def _answered(self, now: float, dialog: Dialog, response: Response) -> list[CallEffect]:
        """The first 2xx: the dialog is this call from now."""
        self.dialog = dialog
        self._state = CallerState.CONFIRMED
        self._note_methods(response)
        if self._cancels:
            return [Confirmed(), *self._bye(EndReason.LOCAL_BYE, self._reason)]
        try:
            self._timer.receive_answer(now, response)
            agreement = self.offers.receive_answer(response.sdp or b"")
        except RemoteFault as error:
            reason = f'SIP;cause=488;text="{error.message}"'
            return [Confirmed(), *self._bye(EndReason.NO_MEDIA, reason)]
        return [MediaChanged(agreement), Confirmed()]

    def _refused_by_peer(self, now: float, request: Request, response: Response) -> list[CallEffect]:
        """Try again with credentials or a longer interval, else give up."""
        if self.is_over or self._state is CallerState.CONFIRMED:
            return []
        again: Request | None = None
        if response.status in (401, 407) and self._digest is not None and not self._cancels:
            try:
                again = self._digest.answer(request, response)
            except SipSyntaxError as error:
                return self._over(EndReason.REJECTED, response.status, error.message)
        elif response.status == 422 and not self._cancels and self._timer.receive_too_small(response):
            again = Request(request.method, request.uri_text, request.fields, request.body)
            for name, value in self._timer.request_headers():
                again.set(name, value)
            again.set("CSeq", f"{request.cseq.number + 1} INVITE")
        if again is not None:
            again.remove("Via")
            self.dialog.local_seq = again.cseq.number
            return self._invites(again)
        reason = EndReason.CANCELLED if self._cancels and response.status == 487 else EndReason.REJECTED
        return self._over(reason, response.status, response.reason)

    def _over(self, reason: EndReason, status: int, detail: str) -> list[CallEffect]:
        self.is_over = True
        self._timer.stop()
        return [CallEnded(reason, status, detail)]
