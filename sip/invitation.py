"""What an INVITE leaves behind: on the callee's side a 2xx to repeat until the ACK, on the caller's side forks.

Both are the user agent core's work, not the transactions' (RFC 3261 §13.2.2.4, §13.3.1.4, RFC 6026).
"""

from dataclasses import dataclass
from enum import Enum, auto

from sip.dialog import Dialog, DialogState
from sip.errors import StateError
from sip.message import Request, Response
from sip.timers import TIMERS, Timers


class Repeat(Enum):
    """What `AnswerRepeater.handle_timer` asks for."""

    NOTHING = auto()
    SEND = auto()
    """Send the 2xx once more."""
    GIVE_UP = auto()
    """No ACK in 64·T1: the dialog is confirmed, end it with BYE (§13.3.1.4)."""


class AnswerRepeater:
    """Repeats the 2xx to an INVITE at T1, 2·T1 … T2, over every transport, until its ACK comes."""

    def __init__(self, response: Response, now: float, timers: Timers = TIMERS) -> None:
        """The response has just been sent for the first time."""
        self.response = response
        self._timers = timers
        self._interval_s = timers.t1_s
        self._repeat_at: float | None = now + timers.t1_s
        self._ends_at = now + timers.give_up_s

    @property
    def is_acknowledged(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self._repeat_at is None

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        return None if self._repeat_at is None else min(self._repeat_at, self._ends_at)

    def handle_timer(self, now: float) -> Repeat:
        """Say whether to repeat or to give up."""
        if self._repeat_at is None:
            return Repeat.NOTHING
        if now >= self._ends_at:
            self._repeat_at = None
            return Repeat.GIVE_UP
        if now < self._repeat_at:
            return Repeat.NOTHING
        self._interval_s = min(2 * self._interval_s, self._timers.t2_s)
        self._repeat_at = now + self._interval_s
        return Repeat.SEND

    def receive_ack(self, ack: Request) -> bool:
        """Take an ACK of the dialog; return whether it was the first for this response."""
        if self._repeat_at is None or ack.cseq.number != self.response.cseq.number:
            return False
        self._repeat_at = None
        return True


class ForkEvent(Enum):
    """What a response to a forked INVITE means."""

    IGNORED = auto()
    """100, an untagged 1xx, or beyond the limit of branches."""
    EARLY = auto()
    """A provisional response of a branch; its dialog may carry early media."""
    ANSWERED = auto()
    """The first 2xx: this dialog is the call. Send its ACK (`acknowledge`)."""
    REPEATED = auto()
    """A repeated 2xx: send the same ACK again."""
    SURPLUS = auto()
    """Another branch answered too: ACK it, then BYE (§13.2.2.4)."""


@dataclass(frozen=True, slots=True)
class Fork:
    """One response placed."""

    event: ForkEvent
    dialog: Dialog | None = None
    ack: Request | None = None
    """With REPEATED: the ACK that was sent before, None while none has been built."""


class Forks:
    """The dialogs that one INVITE of ours may make: one for each tag that answers."""

    def __init__(self, invite: Request, contact: str, *, limit: int = 16) -> None:
        """`limit` bounds the branches of a hostile or mad proxy."""
        self._invite = invite
        self._contact = contact
        self._limit = limit
        self._dialogs: dict[str, Dialog] = {}
        self._acks: dict[str, Request] = {}
        self.answered: Dialog | None = None
        """The dialog of the first 2xx."""

    @property
    def early(self) -> tuple[Dialog, ...]:
        """The branches that have not answered."""
        return tuple(dialog for dialog in self._dialogs.values() if dialog.state is DialogState.EARLY)

    def receive_response(self, response: Response) -> Fork:
        """Place a 1xx or 2xx. Raises: SipSyntaxError from a Contact or Record-Route that cannot be read."""
        tag = response.to.tag
        if response.status == 100 or (response.is_provisional and not tag) or response.status >= 300:
            return Fork(ForkEvent.IGNORED)
        dialog = self._dialogs.get(tag)
        if dialog is not None and dialog.state is not DialogState.EARLY:
            # Its own 1xx may arrive late, and a 2xx whose ACK was lost even after the call.
            return Fork(ForkEvent.REPEATED, dialog, self._acks.get(tag)) if response.is_success else _NOTHING
        if dialog is None:
            if len(self._dialogs) >= self._limit and not (response.is_success and self.answered is None):
                return _NOTHING
            dialog = Dialog.from_response(self._invite, response, self._contact)
            self._dialogs[tag] = dialog
        if response.is_provisional:
            return Fork(ForkEvent.EARLY, dialog)
        dialog.confirm(response)
        if self.answered is None:
            self.answered = dialog
            return Fork(ForkEvent.ANSWERED, dialog)
        return Fork(ForkEvent.SURPLUS, dialog)

    def acknowledge(self, dialog: Dialog, body: bytes = b"") -> Request:
        """Return the ACK for a dialog's 2xx and keep it for repeats. `body` answers a delayed offer."""
        if dialog.state is not DialogState.CONFIRMED:
            raise StateError("only a 2xx is acknowledged by the dialog")
        ack = dialog.build_ack(self._invite, body)
        self._acks[dialog.remote_tag] = ack
        return ack


_NOTHING = Fork(ForkEvent.IGNORED)
