"""The two client transactions (RFC 3261 §17.1 with RFC 6026 §8.4), time as an argument.

INVITE                                             anything else
  CALLING     A repeats, B gives up                  TRYING      E repeats, F gives up
  PROCEEDING  after 1xx; no timer: the user waits    PROCEEDING  after 1xx; E at T2, F gives up
  ACCEPTED    after 2xx, every 2xx passes, M         COMPLETED   after a final response, K
  COMPLETED   after 300-699, answers with ACK, D     TERMINATED
  TERMINATED

A repeats at T1, 2·T1, 4·T1 … without a ceiling; E doubles up to T2. Over a reliable transport nothing repeats and D
and K are zero. ACK to a 2xx is the dialog's, not ours.
"""

from enum import Enum, auto
from typing import Any

from sip.effects import Effect, Ended, ResponseArrived, SendMessage, TimedOut, TransportFailed
from sip.errors import StateError
from sip.message import Request, Response
from sip.timers import TIMERS, Timers


class ClientState(Enum):
    """Both machines; CALLING and ACCEPTED are of INVITE only, TRYING is not."""

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    TERMINATED = auto()


class ClientTransaction:
    """One request of ours and its responses.

    The request must carry its final Via: repeats, ACK and CANCEL reuse it.
    """

    def __init__(self, request: Request, *, reliable: bool, timers: Timers = TIMERS, flow: Any = None) -> None:
        """`flow` is whatever the caller sends by (an address, a connection); it is kept, not looked at."""
        if request.method == "ACK":
            raise StateError("ACK has no transaction")
        self.request = request
        self.reliable = reliable
        self.flow = flow
        self.is_invite = request.method == "INVITE"
        self.state = ClientState.CALLING if self.is_invite else ClientState.TRYING
        self.key = (request.via.branch, request.cseq.method)
        self._timers = timers
        self._repeat_at: float | None = None
        self._interval_s = timers.t1_s
        self._ends_at: float | None = None
        self.scheduled_at: float | None = None
        """The date that the table has noted; the table's own."""
        self._ack: Request | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether there is no final response yet."""
        return self.state in (ClientState.CALLING, ClientState.TRYING, ClientState.PROCEEDING)

    @property
    def can_cancel(self) -> bool:
        """Whether a CANCEL may be sent: after a 1xx and before the final response (§9.1). Until then, wait."""
        return self.is_invite and self.state is ClientState.PROCEEDING

    def start(self, now: float) -> list[Effect]:
        """Send the request for the first time."""
        self._ends_at = now + self._timers.give_up_s
        if not self.reliable:
            self._repeat_at = now + self._interval_s
        return [SendMessage(self, self.request)]

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        due = [at for at in (self._repeat_at, self._ends_at) if at is not None]
        return min(due) if due else None

    def handle_timer(self, now: float) -> list[Effect]:
        """Repeat what is due, end what is over."""
        if self._ends_at is not None and now >= self._ends_at:
            return [TimedOut(self), *self._terminate()] if self.is_waiting else self._terminate()
        if self._repeat_at is None or now < self._repeat_at:
            return []
        self._interval_s *= 2
        if not self.is_invite:
            proceeding = self.state is ClientState.PROCEEDING
            self._interval_s = self._timers.t2_s if proceeding else min(self._interval_s, self._timers.t2_s)
        self._repeat_at = now + self._interval_s  # from now: a stalled process must not send a burst
        return [SendMessage(self, self.request)]

    def receive_response(self, now: float, response: Response) -> list[Effect]:
        """Take a response that matches `key`."""
        if self.state is ClientState.TERMINATED:
            return []
        return self._invite(now, response) if self.is_invite else self._non_invite(now, response)

    def receive_transport_error(self) -> list[Effect]:
        """Take word that the request, or the ACK, could not be sent (§17.1.4, §8.1.3.1)."""
        if self.state is ClientState.TERMINATED:
            return []
        return [TransportFailed(self), *self._terminate()]

    def _invite(self, now: float, response: Response) -> list[Effect]:
        waiting = self.state in (ClientState.CALLING, ClientState.PROCEEDING)
        if response.is_provisional:
            if not waiting:
                return []
            self.state = ClientState.PROCEEDING
            self._repeat_at = self._ends_at = None
            return [ResponseArrived(self, response)]
        if response.is_success:
            if waiting:
                self.state = ClientState.ACCEPTED
                self._repeat_at, self._ends_at = None, now + self._timers.give_up_s  # M
            # Repeats and 2xx of other branches pass too: the core answers each with its ACK (RFC 6026 §7.2).
            return [ResponseArrived(self, response)] if self.state is ClientState.ACCEPTED else []
        if waiting:
            self.state = ClientState.COMPLETED
            self._repeat_at = None
            self._ack = build_ack(self.request, response)
            effects: list[Effect] = [SendMessage(self, self._ack), ResponseArrived(self, response)]
            if self.reliable:
                return [*effects, *self._terminate()]
            self._ends_at = now + self._timers.absorb_s  # D
            return effects
        if self.state is ClientState.COMPLETED and self._ack is not None:
            return [SendMessage(self, self._ack)]
        return []

    def _non_invite(self, now: float, response: Response) -> list[Effect]:
        if self.state is ClientState.COMPLETED:
            return []
        if response.is_provisional:
            self.state = ClientState.PROCEEDING
            return [ResponseArrived(self, response)]
        self.state = ClientState.COMPLETED
        self._repeat_at = None
        if self.reliable:
            return [ResponseArrived(self, response), *self._terminate()]
        self._ends_at = now + self._timers.t4_s  # K
        return [ResponseArrived(self, response)]

    def _terminate(self) -> list[Effect]:
        self.state = ClientState.TERMINATED
        self._repeat_at = self._ends_at = None
        return [Ended(self)]


def build_ack(invite: Request, response: Response) -> Request:
    """Return the ACK for a 300-699 response (§17.1.1.3): same branch, the response's To, no body."""
    ack = _same_hop(invite, "ACK")
    ack.set("To", response.index["to"][0])
    return ack


def build_cancel(invite: Request, reason: str | None = None) -> Request:
    """Return the CANCEL for an INVITE of ours (§9.1). Send it only after a 1xx has come.

    `reason` is the value of a Reason header (RFC 3326).
    """
    cancel = _same_hop(invite, "CANCEL")
    if reason is not None:
        cancel.add("Reason", reason)
    return cancel


def _same_hop(invite: Request, method: str) -> Request:
    """Copy what ACK and CANCEL share with their INVITE, so that they take the same way and match."""
    made = Request(method, invite.uri_text)
    made.add("Via", str(invite.via))
    for name in ("Route", "From", "To", "Call-ID"):
        for value in invite.get_all(name):
            made.add(name, value)
    made.add("CSeq", f"{invite.cseq.number} {method}")
    made.add("Max-Forwards", 70)
    return made
