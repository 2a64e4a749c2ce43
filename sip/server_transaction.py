"""The two server transactions (RFC 3261 §17.2 with RFC 6026 §8.5), time as an argument.

INVITE                                             anything else
  PROCEEDING  100 by itself after 200 ms             TRYING      no response yet
  ACCEPTED    after 2xx: repeats of the INVITE are   PROCEEDING  after 1xx, repeated on demand
              absorbed, the core repeats the 2xx, L  COMPLETED   after a final response, repeated on demand, J
  COMPLETED   after 300-699: G repeats, H gives up   TERMINATED
  CONFIRMED   after ACK: absorbs more ACKs, I
  TERMINATED
"""

from enum import Enum, auto
from typing import Any

from sip.effects import AckArrived, Effect, Ended, SendMessage, TimedOut, TransportFailed
from sip.errors import StateError
from sip.message import Request, Response
from sip.timers import TIMERS, Timers


class ServerState(Enum):
    """Both machines; TRYING is not of INVITE, ACCEPTED and CONFIRMED are of INVITE only."""

    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


_FINAL = (ServerState.ACCEPTED, ServerState.COMPLETED, ServerState.CONFIRMED)


class ServerTransaction:
    """One request of the peer and our responses."""

    def __init__(
        self, request: Request, now: float, *, reliable: bool, timers: Timers = TIMERS, flow: Any = None
    ) -> None:
        """`flow` is where the request came from; it is kept, not looked at."""
        if request.method == "ACK":
            raise StateError("ACK has no transaction")
        self.request = request
        self.reliable = reliable
        self.flow = flow
        self.is_invite = request.method == "INVITE"
        self.state = ServerState.PROCEEDING if self.is_invite else ServerState.TRYING
        self.last_response: Response | None = None
        self._timers = timers
        self._trying_at = now + timers.trying_s if self.is_invite else None
        self._repeat_at: float | None = None
        self._interval_s = timers.t1_s
        self._ends_at: float | None = None
        self.scheduled_at: float | None = None
        """The date that the table has noted; the table's own."""

    @property
    def is_answered(self) -> bool:
        """Whether a final response has been given."""
        return self.state in (*_FINAL, ServerState.TERMINATED)

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        due = [at for at in (self._trying_at, self._repeat_at, self._ends_at) if at is not None]
        return min(due) if due else None

    def handle_timer(self, now: float) -> list[Effect]:
        """Say 100, repeat what is due, end what is over."""
        if self._ends_at is not None and now >= self._ends_at:
            lost = self.state is ServerState.COMPLETED and self.is_invite  # H: the ACK never came
            return [TimedOut(self), *self._terminate()] if lost else self._terminate()
        if self._trying_at is not None and now >= self._trying_at:
            self._trying_at = None
            return self._send(self.request.respond(100))
        if self._repeat_at is None or now < self._repeat_at or self.last_response is None:
            return []
        self._interval_s = min(2 * self._interval_s, self._timers.t2_s)
        self._repeat_at = now + self._interval_s
        return [SendMessage(self, self.last_response)]

    def receive_request(self, now: float, request: Request) -> list[Effect]:
        """Take a repeat of the request, or the ACK of an INVITE."""
        if request.method == "ACK":
            return self._acknowledge(now, request)
        # In ACCEPTED the core repeats its 2xx by itself until the ACK comes (RFC 6026 §7.1).
        if self.last_response is None or self.state in (
            ServerState.ACCEPTED,
            ServerState.CONFIRMED,
            ServerState.TERMINATED,
        ):
            return []
        return [SendMessage(self, self.last_response)]

    def respond(self, now: float, response: Response) -> list[Effect]:
        """Send a response of the core. In ACCEPTED further 2xx pass: the core repeats them.

        Raises: StateError when a final response has already been given.
        """
        if self.state is ServerState.ACCEPTED and response.is_success:
            return [SendMessage(self, response)]
        if self.is_answered:
            raise StateError(f"{self.request.method} has already been answered")
        self._trying_at = None
        if response.is_provisional:
            self.state = ServerState.PROCEEDING
        elif self.is_invite:
            self._finish_invite(now, response)
        else:
            self.state = ServerState.COMPLETED
            if self.reliable:
                return [*self._send(response), *self._terminate()]
            self._ends_at = now + self._timers.give_up_s  # J
        return self._send(response)

    def receive_transport_error(self) -> list[Effect]:
        """Take word that a response could not be sent (§17.2.4)."""
        if self.state is ServerState.TERMINATED:
            return []
        if self.state is ServerState.ACCEPTED:  # the core goes on repeating (RFC 6026 §7.1)
            return [TransportFailed(self)]
        return [TransportFailed(self), *self._terminate()]

    def _finish_invite(self, now: float, response: Response) -> None:
        """Enter ACCEPTED or COMPLETED."""
        self._ends_at = now + self._timers.give_up_s  # L or H
        if response.is_success:
            self.state = ServerState.ACCEPTED
            return
        self.state = ServerState.COMPLETED
        if not self.reliable:
            self._repeat_at = now + self._interval_s  # G

    def _acknowledge(self, now: float, ack: Request) -> list[Effect]:
        """Stop repeating a refusal; hand the ACK of a 2xx to the core."""
        if self.state is ServerState.ACCEPTED:
            return [AckArrived(ack)]
        if self.state is not ServerState.COMPLETED or not self.is_invite:
            return []
        self.state = ServerState.CONFIRMED
        self._repeat_at = None
        if self.reliable:
            return self._terminate()
        self._ends_at = now + self._timers.t4_s  # I
        return []

    def _send(self, response: Response) -> list[Effect]:
        self.last_response = response
        return [SendMessage(self, response)]

    def _terminate(self) -> list[Effect]:
        self.state = ServerState.TERMINATED
        self._trying_at = self._repeat_at = self._ends_at = None
        return [Ended(self)]
