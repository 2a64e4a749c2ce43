"""An answer that is begun before the caller's turn is over, and of which nothing has happened until it is taken.

silence begins ─► begin ─┬─ speaks on, or the context changes ─► drop: cancelled, never audible, in no conversation
                         └─ the turn ends ─► take: its events so far are replayed, in order

What has grown too long to be sent at once is dropped, too: a pause of seconds is enough for an engine that is fast.
"""

from dataclasses import dataclass, field

from voice.engines.port import AudioDelta, ResponseEvent, ResponseRequest
from voice.errors import ContextTooLong
from voice.session.core import Core
from voice.session.effects import CancelResponse, StartResponse
from voice.session.items import Message
from voice.session.requests import fit, make_request

LONGEST_MS = 30_000
"""Of speech that is kept: replayed, it is half of what the outbox of a WebSocket holds by default."""


@dataclass(slots=True)
class Guess:
    """What was asked, and what came so far."""

    request: ResponseRequest
    revision: int
    """Of the conversation when it began."""
    events: list[ResponseEvent] = field(default_factory=list)
    spoken_ms: float = 0.0


class Speculation:
    """At most one at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._guess: Guess | None = None

    def begin(self, turn: Message) -> None:
        """Ask about the conversation with `turn` at its end, as if that were all; none may be under way."""
        core = self._core
        try:
            request = fit(core, make_request(core, (*core.conversation.items, turn), speculative=True))
        except ContextTooLong:
            return  # the turn's end says so, if it comes
        self._guess = Guess(request, core.conversation.revision)
        core.out.add(StartResponse(request))

    def drop(self) -> None:
        """Nothing of it happened."""
        if self._guess is not None:
            self._core.out.add(CancelResponse(self._guess.request.response_id))
            self._guess = None

    def take(self) -> Guess | None:
        """Return it where nothing but the turn was added since, and the settings are the same; it is over here then."""
        guess, core = self._guess, self._core
        if guess is None or guess.revision + 1 != core.conversation.revision:
            return None
        if guess.request.settings != core.engine_settings():
            return None
        self._guess = None
        return guess

    def receive(self, response_id: str, event: ResponseEvent) -> bool:
        """Keep an event for later; False where it is not the guess's."""
        if self._guess is None or self._guess.request.response_id != response_id:
            return False
        self._guess.events.append(event)
        if isinstance(event, AudioDelta):
            self._guess.spoken_ms += event.frame.duration_ms
            if self._guess.spoken_ms > LONGEST_MS:
                self.drop()
        return True

    def receive_failure(self, response_id: str) -> None:
        """The engine gave up on it: forgotten, for the turn's end asks again."""
        if self._guess is not None and self._guess.request.response_id == response_id:
            self._guess = None
