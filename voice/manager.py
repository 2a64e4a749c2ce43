"""The sessions of this process: who answers, how many at once, and how they end when the service stops (design §5)."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from voice.activity import ActivityService
from voice.agent import Agent
from voice.beginnings import conversation_config, transcription_config
from voice.engines.port import Engine, EngineSettings
from voice.engines.translator import Translator
from voice.errors import CapacityError, ContractError, EngineError, EngineUnavailable, KeyLimitReached
from voice.ids import Ids
from voice.metrics import Metrics, SessionMeter
from voice.prices import CostBook, CostMeter, PriceList
from voice.protocol import server_events as wire_events
from voice.protocol.client_events import ClientEvent
from voice.protocol.session_config import SessionConfig, SessionUpdateBody
from voice.protocol.translation import TRANSLATION_MODEL, TranslationConfig, TranslationOpening, translated_anew
from voice.room import Room
from voice.runner import Runner
from voice.session.configuration import reconfigured
from voice.session.core import SessionTraits
from voice.session.session import Session
from voice.session.settings import engine_settings
from voice.session.translation import TranslationSession, check_language
from voice.tooling import PhoneCall, RemoteTools, ServiceTools
from voice.translation_runner import TranslationRunner, TranslationTransport
from voice.transport import Transport
from voice.turn_judge import TurnJudge

_log = structlog.get_logger(__name__)

GOING_AWAY = 1001
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013
"""WebSocket close codes (contract 2.6)."""


@dataclass(frozen=True, slots=True)
class AgentRuntime:
    """An agent with what it needs to serve a session."""

    agent: Agent
    make_engine: Callable[[str], Engine]
    """Takes the session's id; the engine is opened by the runner."""
    tools: ServiceTools
    problem: Callable[[], str | None] = lambda: None
    """Why a caller would not be served now, in a sentence with its remedy; None when all is well."""
    make_translator: Callable[[str], Translator] | None = None
    """Takes the session's id; None: this engine does not translate."""


@dataclass(frozen=True, slots=True)
class McpService:
    """Lets clients name MCP servers in their sessions (contract 4.11)."""

    open: Callable[[str], RemoteTools]
    """Takes the session's id; the runner closes what it returns."""
    auto_continue: bool = False
    """See `SessionTraits.mcp_auto_continue`."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Bounds, of the service and of each session."""

    max_sessions: int = 200
    max_sessions_per_key: int | None = None
    max_duration_s: float = 3600.0
    audio_retention_s: float = 600.0
    input_capacity_s: float = 900.0


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
        self._activity = activity
        self._limits = limits
        self._metrics = metrics
        self._mcp = mcp
        self._judge = judge
        self._costs = costs or CostBook(PriceList({}))
        self._places: set[_Admitted] = set()
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
            (runtime.agent, engine_settings(self._opened(runtime.agent, "", 0, None), runtime.tools.specs()))
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
        return self._opened(agent, f"sess_{Ids().stem}", 0, opening).to_wire()

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
        check_language(config.audio.output.language, make(session_id).languages if make is not None else None)
        return config.to_wire()

    def _opened(
        self, agent: Agent, session_id: str, expires_at: int, opening: SessionUpdateBody | None
    ) -> SessionConfig:
        judges = self._judge is not None
        config = conversation_config(agent, session_id, expires_at, serves_semantic_vad=judges)
        if opening is None:
            return config
        if opening.type == "transcription":
            config = transcription_config(session_id, expires_at)
        return reconfigured(
            config, opening, voice_is_fixed=False, serves_mcp=self._mcp is not None, serves_semantic_vad=judges
        )

    def admit(self, agent: Agent, *, key_id: str | None = None, opening: SessionUpdateBody | None = None) -> "Place":
        """Reserve a place; the caller runs or releases it. `opening` configures the session from its first event on.

        Raises: CapacityError, KeyLimitReached among it; EngineUnavailable.
        """
        runtime = self._agents[agent.name]
        self._check_room(runtime, key_id)
        place = Place(self, runtime, key_id, opening)
        self._take(place)
        return place

    def admit_translation(
        self, agent: Agent, opening: TranslationOpening, *, key_id: str | None = None
    ) -> "TranslationPlace":
        """Reserve a place for a translation session; as `admit`, and it counts like any other.

        Raises: as `admit`; ContractError for a configuration that the translator refuses.
        """
        runtime = self._agents[agent.name]
        self.preview_translation(agent, opening)
        self._check_room(runtime, key_id)
        place = TranslationPlace(self, runtime, key_id, opening)
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

    def _take(self, place: "_Admitted") -> None:
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

    def _note_cost(self, session_id: str, cost: CostMeter) -> None:
        self._costs.close(session_id)
        for model, dollars in cost.by_model.items():
            self._metrics.cost_usd.labels(model).inc(float(dollars))

    def _leave(self, place: "_Admitted", how: str) -> None:
        if place in self._places:
            self._places.discard(place)
            self._metrics.sessions.set(len(self._places))
            self._metrics.sessions_ended.labels(how).inc()
            if not self._places:
                self._is_empty.set()


class _Running(Protocol):
    """A runner, of whichever kind of session."""

    async def run(self) -> None: ...

    def stop(self, code: int = 1000, reason: str = "") -> None: ...


class _Admitted:
    """What a place is, whatever is held in it."""

    def __init__(self, manager: SessionManager, runtime: AgentRuntime, key_id: str | None) -> None:
        self._manager = manager
        self._runtime = runtime
        self.key_id = key_id
        self._runner: _Running | None = None
        self._stopped: tuple[int, str] | None = None
        self._ids = Ids()
        self.session_id = f"sess_{self._ids.stem}"

    def stop(self, code: int, reason: str) -> None:
        """End the session; one that has not begun closes as soon as it does."""
        self._stopped = (code, reason)
        if self._runner is not None:
            self._runner.stop(code, reason)
        else:
            self.release()

    def release(self) -> None:
        """Give the place back unused."""
        self._manager._leave(self, "unused")

    async def _hold(self, transport: Transport | TranslationTransport, make_runner: Callable[[], _Running]) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only."""
        if self._stopped is not None:
            await transport.aclose(*self._stopped)
            return
        log = _log.bind(session=self.session_id, agent=self._runtime.agent.name, key=self.key_id)
        how, started_s = "failed", time.monotonic()
        cost = self._manager._costs.open(self.session_id)
        try:
            self._runner = make_runner()
            log.info("session started")
            with structlog.contextvars.bound_contextvars(session=self.session_id):
                await self._runner.run()
            how = "ended"
        except EngineError as error:
            log.warning("engine not available", error=error.message)
            await self._refuse(transport, error)
        except Exception:
            log.exception("session failed")
            await transport.aclose(INTERNAL_ERROR, "The server had an error.")
        finally:
            self._manager._leave(self, how)
            self._manager._note_cost(self.session_id, cost)
            log.info("session ended", how=how, duration_s=round(time.monotonic() - started_s, 1), **cost.summary())

    async def _refuse(self, transport: Transport | TranslationTransport, error: EngineError) -> None:
        body = wire_events.ErrorBody(type="server_error", code=error.code, message=error.message)
        transport.send_event(wire_events.ErrorEvent(event_id=self._ids.mint("event"), error=body))
        await transport.aclose(TRY_AGAIN_LATER, error.message[:100])


class TranslationPlace(_Admitted):
    """One admitted translation session."""

    def __init__(
        self, manager: SessionManager, runtime: AgentRuntime, key_id: str | None, opening: TranslationOpening
    ) -> None:
        super().__init__(manager, runtime, key_id)
        self._opening = opening

    async def run(self, transport: TranslationTransport) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only."""
        await self._hold(transport, lambda: self._make_runner(transport))

    def _make_runner(self, transport: TranslationTransport) -> TranslationRunner:
        make, max_duration_s = self._runtime.make_translator, self._manager._limits.max_duration_s
        if make is None:
            raise EngineUnavailable("The engine behind this model does not translate speech.")
        translator = make(self.session_id)
        expires_at = int(time.time() + max_duration_s)
        config = TranslationConfig(id=self.session_id, model=self._opening.model, expires_at=expires_at)
        session = TranslationSession(
            translated_anew(config, self._opening),
            self._ids,
            languages=translator.languages,
            max_duration_s=max_duration_s,
        )
        return TranslationRunner(session, translator, transport)


class Place(_Admitted):
    """One admitted conversation or transcription."""

    def __init__(
        self, manager: SessionManager, runtime: AgentRuntime, key_id: str | None, opening: SessionUpdateBody | None
    ) -> None:
        super().__init__(manager, runtime, key_id)
        self._opening = opening

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only.

        `phone` is what its tools learn of a phone call.
        """
        await self._hold(transport, lambda: self._make_runner(transport, phone))

    async def receive(self, event: ClientEvent) -> None:
        """Take an event of a sideband (contract 2.1); dropped where no session runs."""
        if isinstance(self._runner, Runner):
            await self._runner.receive(event)

    def _make_runner(self, transport: Transport, phone: PhoneCall | None) -> Runner:
        agent, limits, mcp = self._runtime.agent, self._manager._limits, self._manager._mcp
        engine = self._runtime.make_engine(self.session_id)
        answers = self._opening is None or self._opening.type == "realtime"
        if not answers and not engine.capabilities.transcribes:
            raise EngineUnavailable("The engine behind this model cannot write down what it hears.")
        traits = SessionTraits(
            capabilities=engine.capabilities,
            server_plays=transport.plays_in_real_time,
            service_tools=tuple(self._runtime.tools.specs()) if answers else (),
            greeting=agent.greeting if answers else None,
            max_duration_s=limits.max_duration_s,
            audio_retention_s=limits.audio_retention_s,
            input_capacity_s=limits.input_capacity_s,
            serves_mcp=mcp is not None,
            serves_semantic_vad=self._manager._judge is not None or engine.capabilities.detects_turns,
            mcp_auto_continue=mcp is not None and mcp.auto_continue,
        )
        expires_at = int(time.time() + limits.max_duration_s)
        config = self._manager._opened(agent, self.session_id, expires_at, self._opening)
        session = Session(config, traits, self._ids)
        return Runner(
            session,
            engine,
            transport,
            self._manager._activity,
            self._runtime.tools,
            SessionMeter(self._manager._metrics),
            agent_name=agent.name,
            remote=mcp.open(self.session_id) if mcp is not None else None,
            judge=self._manager._judge,
            phone=phone,
        )
