"""What a call within a dialog is made of, and the messages that it says: answers to requests, BYE, the end.

`DialogCall` decides what is said when; nothing here looks at the time or at the media.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sip.call_effects import CallEffect, CallEnded, EndReason, Respond, SendRequest
from sip.dialog import Dialog
from sip.errors import NotAcceptable
from sip.inspection import ABILITIES, Abilities
from sip.invitation import AnswerRepeater
from sip.message import Field, Rejection, Request, Response
from sip.parser import refuse
from sip.server_transaction import ServerTransaction
from sip.session_timer import SessionTimer, TimerPolicy
from sip.timers import TIMERS, Timers


@dataclass(frozen=True, slots=True)
class CallSettings:
    """What all calls of an element share."""

    contact: str
    """Header value: where the peer's requests within the dialog come to."""
    server_name: str = ""
    """For the Server header; empty tells scanners nothing."""
    timers: Timers = TIMERS
    session_timer: TimerPolicy = field(default_factory=TimerPolicy)
    abilities: Abilities = ABILITIES


class DialogBase:
    """A dialog, its session timer, and whether it is over."""

    def __init__(self, dialog: Dialog, settings: CallSettings) -> None:
        self.dialog = dialog
        self.is_over = False
        self._settings = settings
        self._timer = SessionTimer(settings.session_timer)
        self._repeaters: list[tuple[ServerTransaction, AnswerRepeater]] = []
        """Our 2xx that have no ACK yet."""
        self._peer_methods: frozenset[str] | None = None

    def _note_methods(self, message: Request | Response) -> None:
        """Note what the peer takes; a message without Allow says nothing about it (RFC 3261 §20.5)."""
        if "allow" in message.index:
            self._peer_methods = frozenset(message.tokens("allow"))

    def _bye(
        self, reason: EndReason, detail: str | None = None, *, status: int = 0, headers: Sequence[Field] = ()
    ) -> list[CallEffect]:
        bye = self.dialog.build_request("BYE")
        for name, value in (*headers, *([("Reason", detail)] if detail else ())):
            bye.add(name, value)
        return [SendRequest(bye), *self._end(reason, status=status, detail=detail or "")]

    def _end(
        self, reason: EndReason, request: Request | None = None, *, status: int = 0, detail: str = ""
    ) -> list[CallEffect]:
        self.is_over = True
        self.dialog.terminate()
        self._timer.stop()
        self._repeaters.clear()
        if request is not None:
            detail = request.get("reason") or ""
        return [CallEnded(reason, status, detail)]

    def _answer(self, request: Request, status: int, reason: str | None = None) -> Response:
        response = request.respond(status, reason, to_tag=self.dialog.local_tag)
        if self._settings.server_name and status != 100:
            response.add("Server", self._settings.server_name)
        return response

    def _success(self, now: float, request: Request, body: bytes) -> Response:
        """Return the 2xx to an INVITE or UPDATE, with everything that it must carry."""
        response = self.dialog.dress(request, self._answer(request, 200))
        self._advertise(response)
        for name, value in self._timer.accept(now, request):
            response.add(name, value)
        response.set_body(body)
        return response

    def _advertise(self, message: Request | Response) -> None:
        abilities = self._settings.abilities
        message.set("Allow", ", ".join(abilities.methods))
        message.set("Supported", ", ".join(abilities.extensions))
        if isinstance(message, Response):
            message.set("Accept", "application/sdp")

    def _refused(self, transaction: ServerTransaction, rejection: Rejection) -> list[CallEffect]:
        response = rejection.response(self.dialog.local_tag)
        return [] if response is None else [Respond(transaction, response)]


def unacceptable(request: Request, error: NotAcceptable) -> Rejection:
    """Describe the refusal of an offer, with the Warning that says why (RFC 3261 §20.43)."""
    text = error.message.replace("\\", "").replace('"', "'")
    return refuse(request, error.status, error.message, ("Warning", f'{error.warning} sip "{text}"'))
