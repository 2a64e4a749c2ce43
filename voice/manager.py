"""The sessions of this process: who answers, how many at once, and how they end when the service stops (design §5)."""

import asyncio
from collections.abc import Mapping
from typing import Any

from voice.activity import ActivityService
from voice.agent import Agent
from voice.engines.port import EngineSettings, SessionRef
from voice.errors import CapacityError, ContractError, EngineUnavailable, KeyLimitReached
from voice.ids import Ids
from voice.metrics import Metrics
from voice.places import (
    GOING_AWAY,
    Admitted,
    AgentRuntime,
    McpService,
    Means,
    Place,
    SessionLimits,
    TranslationPlace,
)
from voice.prices import CostBook, PriceList
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.translation import TRANSLATION_MODEL, TranslationConfig, TranslationOpening, translated_anew
from voice.room import Room
from voice.session.settings import engine_settings
from voice.session.translation import check_language
from voice.turn_judge import TurnJudge


class SessionManager:
    """Admits sessions and knows them by id."""

    def __init__(
        self,
        agents: Mapping[str, AgentRuntime],
        default: str,
        activity: ActivityService,
        limits: SessionLimits,
        metrics: Metrics,
        mcp: McpService | None = None,
        judge: TurnJudge | None = None,
        costs: CostBook | None = None,
    ) -> None:
        """`default` names the agent that answers when a client names none; it must be in `agents`.

        Without `mcp`, a client that names an MCP server is refused; without `judge`, one that asks for `semantic_vad`.
        `costs` has the meters that the engines count by.
        """
        self._agents = dict(agents)
        self._default = self._agents[default]
        self._means = Means(activity, limits, metrics, costs or CostBook(PriceList({})), mcp, judge)
        self._limits = limits
        self._metrics = metrics
        self._places: set[Admitted] = set()
        self._is_draining = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @property
    def active(self) -> int:
        """Sessions admitted and not over."""
        return len(self._places)

    @property
    def ready(self) -> bool:
        """True when a caller who names no agent would be served now."""
        return self.problem is None

    @property
    def problem(self) -> str | None:
        """Why a caller would not be served now; None when all is well."""
        return "The service is stopping." if self._is_draining else self._default.problem()

    def opening_settings(self) -> list[tuple[Agent, EngineSettings]]:
        """Return what each agent's sessions begin with, so that engines can be warmed for it."""
        return [
            (runtime.agent, engine_settings(self._means.opened(runtime, "", 0, None), runtime.tools.specs()))
            for runtime in self._agents.values()
        ]

    def models(self) -> list[Agent]:
        """What `?model=` may name: agents and aliases."""
        return [runtime.agent for runtime in self._agents.values()]

    def resolve(self, model: str | None) -> Agent:
        """Return who answers. Raises: ContractError for a name that nobody has (contract 2.3)."""
        return self.runtime(model).agent

    def runtime(self, model: str | None) -> AgentRuntime:
        """Return who answers, and with what. Raises: as `resolve`."""
        if model is None:
            return self._default
        runtime = self._agents.get(model)
        if runtime is None:
            raise ContractError(
                f"The model '{model}' does not exist. GET /v1/models lists those that do.",
                code="model_not_found",
                param="model",
            )
        return runtime

    def preview(self, agent: Agent, opening: SessionUpdateBody) -> dict[str, Any]:
        """Return what a session with `agent` begins with when `opening` configures it. Raises: ContractError."""
        return self._means.opened(self._agents[agent.name], f"sess_{Ids().stem}", 0, opening).to_wire()

    def resolve_translator(self, model: str | None) -> Agent:
        """Return who translates. The contract's own model name means whoever answers, where nobody is called so.

        Raises: ContractError for a name that nobody has, or where its engine does not translate.
        """
        known = model if model != TRANSLATION_MODEL or model in self._agents else None
        runtime = self.runtime(known)
        if runtime.make_translator is None:
            message = f"The engine behind '{model or runtime.agent.name}' does not translate speech."
            raise ContractError(message, code="unsupported_model", param="model")
        return runtime.agent

    def preview_translation(self, agent: Agent, opening: TranslationOpening) -> dict[str, Any]:
        """Return what a translation session with `agent` begins with. Raises: ContractError."""
        make, session_id = self._agents[agent.name].make_translator, f"sess_{Ids().stem}"
        config = translated_anew(TranslationConfig(id=session_id, model=opening.model, expires_at=0), opening)
        check_language(
            config.audio.output.language, make(SessionRef(session_id)).languages if make is not None else None
        )
        return config.to_wire()

    def admit(
        self,
        agent: Agent,
        *,
        key_id: str | None = None,
        opening: SessionUpdateBody | None = None,
        safety_identifier: str | None = None,
    ) -> Place:
        """Reserve a place; the caller runs or releases it. `opening` configures the session from its first event on.

        `safety_identifier` is whom the client speaks for, which upstreams are told (contract 1.0).
        Raises: CapacityError, KeyLimitReached among it; EngineUnavailable.
        """
        runtime = self._agents[agent.name]
        self._check_room(runtime, key_id)
        place = Place(self._means, runtime, key_id, self._leave, opening, safety_identifier)
        self._take(place)
        return place

    def admit_translation(
        self,
        agent: Agent,
        opening: TranslationOpening,
        *,
        key_id: str | None = None,
        safety_identifier: str | None = None,
    ) -> TranslationPlace:
        """Reserve a place for a translation session; as `admit`, and it counts like any other.

        Raises: as `admit`; ContractError for a configuration that the translator refuses.
        """
        runtime = self._agents[agent.name]
        self.preview_translation(agent, opening)
        self._check_room(runtime, key_id)
        place = TranslationPlace(self._means, runtime, key_id, self._leave, opening, safety_identifier)
        self._take(place)
        return place

    def _check_room(self, runtime: AgentRuntime, key_id: str | None) -> None:
        """Raises: CapacityError, KeyLimitReached among it; EngineUnavailable."""
        if self._is_draining:
            raise CapacityError("The service is stopping; connect again in a moment.", retry_after_s=5.0)
        if len(self._places) >= self._limits.max_sessions:
            raise CapacityError(
                f"All {self._limits.max_sessions} sessions of this service are taken.", retry_after_s=5.0
            )
        self._check_key(key_id)
        problem = runtime.problem()
        if problem is not None:
            raise EngineUnavailable(problem)

    def _take(self, place: Admitted) -> None:
        self._places.add(place)
        self._is_empty.clear()
        self._metrics.sessions.set(len(self._places))

    def room(self, key_id: str | None) -> Room:
        """Return how many sessions more that key may have now: of its own limit or of all, whichever ends first."""
        limits = self._limits
        room = Room.of(limits.max_sessions, len(self._places))
        if limits.max_sessions_per_key is not None and key_id is not None:
            room = room.or_tighter(Room.of(limits.max_sessions_per_key, self._held_by(key_id)))
        return Room(room.limit, 0) if self._is_draining else room

    def _held_by(self, key_id: str) -> int:
        return sum(place.key_id == key_id for place in self._places)

    def _check_key(self, key_id: str | None) -> None:
        allowed = self._limits.max_sessions_per_key
        if allowed is None or key_id is None:
            return
        if self._held_by(key_id) >= allowed:
            raise KeyLimitReached(f"This key holds all {allowed} sessions that it may.", retry_after_s=5.0)

    async def drain(self, timeout_s: float) -> None:
        """Admit nobody any more, let sessions end by themselves for `timeout_s`, then end them (close code 1001)."""
        self._is_draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._is_empty.wait()
        except TimeoutError:
            for place in list(self._places):
                place.stop(GOING_AWAY, "The service is stopping.")
            await self._is_empty.wait()

    def _leave(self, place: Admitted, how: str) -> None:
        if place in self._places:
            self._places.discard(place)
            self._metrics.sessions.set(len(self._places))
            self._metrics.sessions_ended.labels(how).inc()
            if not self._places:
                self._is_empty.set()
