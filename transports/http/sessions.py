"""The port to the sessions behind the HTTP surface; `voice.manager.SessionManager` is its implementation."""

from collections.abc import Sequence
from typing import Any, Protocol

from transports.port import Transport
from voice.agent import Agent
from voice.protocol.client_events import ClientEvent
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.translation import TranslationOpening
from voice.room import Room
from voice.tooling import PhoneCall
from voice.translation_runner import TranslationTransport


class Place(Protocol):
    """A place for one session, taken. It must be run or released."""

    @property
    def session_id(self) -> str:
        """Names the session, in its events and in the log."""
        ...

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Hold the session over `transport`; return when it has ended and the transport is closed.

        `phone` is for tools, where the session is a phone call.
        """
        ...

    async def receive(self, event: ClientEvent) -> None:
        """Take an event of a sideband; dropped where no session runs."""
        ...

    def stop(self, code: int, reason: str) -> None:
        """End the session; `run` returns soon."""
        ...

    def release(self) -> None:
        """Give the place back without a session."""
        ...


class Sessions(Protocol):
    """The live sessions of this process."""

    @property
    def problem(self) -> str | None:
        """Why a caller who names nobody would not be served now: models loading, draining. None: they would be."""
        ...

    @property
    def active(self) -> int:
        """How many places are taken."""
        ...

    def resolve(self, model: str | None) -> Agent:
        """Return who answers to `?model=`; the default agent for None.

        Raises: ContractError with code `model_not_found`, or another code where None names nobody.
        """
        ...

    def models(self) -> Sequence[Agent]:
        """Return everyone that `?model=` may name."""
        ...

    def preview(self, agent: Agent, opening: SessionUpdateBody) -> dict[str, Any]:
        """Return the `session` that one with `agent` would begin with, as no session has yet: `expires_at` is 0.

        Raises: ContractError for what a session would refuse.
        """
        ...

    def room(self, key_id: str | None) -> Room:
        """Return how many sessions more that key may have now; None is everyone where no key is required."""
        ...

    def admit(
        self,
        agent: Agent,
        *,
        key_id: str | None,
        opening: SessionUpdateBody | None = None,
        safety_identifier: str | None = None,
    ) -> Place:
        """Take a place for a session with `agent`, configured by `opening` from its first event on.

        `safety_identifier` is whom the client speaks for, which upstreams are told (contract 1.0).
        Raises: CapacityError when all are taken or the service is stopping, EngineUnavailable when that agent's
        engine is not there; another's may be.
        """
        ...


class TranslationPlace(Protocol):
    """A place for one translation session, taken. It must be run or released."""

    @property
    def session_id(self) -> str:
        """Names the session, in its events and in the log."""
        ...

    async def run(self, transport: TranslationTransport) -> None:
        """Hold the session over `transport`; return when it has ended and the transport is closed."""
        ...

    def release(self) -> None:
        """Give the place back without a session."""
        ...


class TranslationSessions(Protocol):
    """The translation sessions of this process: `voice.manager.SessionManager` again."""

    def resolve_translator(self, model: str | None) -> Agent:
        """Return who translates for `?model=`. Raises: ContractError where nobody of that name does."""
        ...

    def preview_translation(self, agent: Agent, opening: TranslationOpening) -> dict[str, Any]:
        """Return the `session` that one with `agent` would begin with. Raises: ContractError."""
        ...

    def room(self, key_id: str | None) -> Room:
        """As `Sessions.room`: of the same places."""
        ...

    def admit_translation(
        self,
        agent: Agent,
        opening: TranslationOpening,
        *,
        key_id: str | None = None,
        safety_identifier: str | None = None,
    ) -> TranslationPlace:
        """Take a place. Raises: as `Sessions.admit`, and ContractError for what a session would refuse."""
        ...
