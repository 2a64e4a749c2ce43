"""A call of ours in the hands of an application: `IncomingCall`'s counterpart."""

from typing import Protocol

from sip.call import CallHost, CallListener
from sip.caller_machine import CallerCall, CallerState
from sip.media import Agreement, LocalMedia


class CallerListener(CallListener, Protocol):
    """Takes what happens to a call of ours."""

    def ringing(self, status: int) -> None:
        """The other side has said 180, 183 or the like."""


class OutgoingCall:
    """One call that we make. Made by `UserAgent.call`."""

    def __init__(self, host: CallHost, machine: CallerCall, listener: CallerListener) -> None:
        """Made by the endpoint."""
        self._host = host
        self.machine = machine
        """The endpoint's; an application uses the methods below."""
        self.listener = listener

    @property
    def state(self) -> CallerState:
        """CALLING, RINGING, CONFIRMED or OVER."""
        return self.machine.state

    @property
    def agreement(self) -> Agreement | None:
        """How audio flows at present."""
        return self.machine.agreement

    def offer(self, local: LocalMedia) -> None:
        """Hold, resume or move the audio by a re-INVITE of ours. Raises: StateError while that is not possible."""
        self._host.perform(self, self.machine.offer(self._host.now(), local))

    def send_info(self, content_type: str, body: bytes) -> None:
        """Send an INFO: a key by `application/dtmf-relay`, say. Raises: StateError until the last one is answered."""
        self._host.perform(self, self.machine.send_info(self._host.now(), content_type, body))

    def hang_up(self, reason: str | None = None) -> None:
        """End the call: CANCEL before the answer, BYE after. Idempotent."""
        self._host.perform(self, self.machine.hang_up(self._host.now(), reason))
