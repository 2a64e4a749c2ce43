"""Collects the effects of one input, in the order in which they were decided."""

from voice.ids import Ids
from voice.protocol.server_events import ServerEvent
from voice.session.effects import Effect, SendEvent


class Outbox:
    """Where the parts of a session put what they want done; `take` hands it over."""

    def __init__(self, ids: Ids) -> None:
        """`ids` are the session's own."""
        self.ids = ids
        self._effects: list[Effect] = []

    def event_id(self) -> str:
        """Return the id of the next server event."""
        return self.ids.mint("event")

    def send(self, event: ServerEvent) -> None:
        """Put an event on the wire."""
        self._effects.append(SendEvent(event))

    def add(self, effect: Effect) -> None:
        """Ask for anything else."""
        self._effects.append(effect)

    def take(self) -> list[Effect]:
        """Return what was collected and start anew."""
        effects, self._effects = self._effects, []
        return effects
