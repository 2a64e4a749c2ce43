"""A place that a session holds: from its admission over its run to its end, whatever kind of session it is.

admitted ──► run: the engine is made, the session runs, its cost is noted ──► left: ended, failed
    └──► released, or stopped before it began ──► left: unused
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from voice.activity import ActivityService
from voice.agent import Agent
from voice.beginnings import conversation_config, transcription_config
from voice.engines.port import Engine, SessionRef
from voice.engines.translator import Translator
from voice.errors import EngineError, EngineUnavailable
from voice.ids import Ids
from voice.metrics import Metrics, SessionMeter
from voice.prices import CostBook, CostMeter
from voice.protocol import server_events as wire_events
from voice.protocol.client_events import ClientEvent
from voice.protocol.session_config import SessionConfig, SessionUpdateBody
from voice.protocol.translation import TranslationConfig, TranslationOpening, translated_anew
from voice.runner import Runner
from voice.session.configuration import reconfigured
from voice.session.core import SessionTraits
from voice.session.session import Session
from voice.session.translation import TranslationSession
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
    make_engine: Callable[[SessionRef], Engine]
    """The engine is opened by the runner."""
    tools: ServiceTools
    problem: Callable[[], str | None] = lambda: None
    """Why a caller would not be served now, in a sentence with its remedy; None when all is well."""
    make_translator: Callable[[SessionRef], Translator] | None = None
    """None: this engine does not translate."""
    detects_turns: bool = False
    """Its engine finds the caller's turns itself, by their meaning where it is asked for that."""


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


@dataclass(frozen=True, slots=True)
class Means:
    """What all sessions of this process share."""

    activity: ActivityService
    limits: SessionLimits
    metrics: Metrics
    costs: CostBook
    mcp: McpService | None = None
    judge: TurnJudge | None = None

    def serves_semantic_vad(self, runtime: AgentRuntime) -> bool:
        """True where somebody can tell by its meaning that a turn is complete."""
        return self.judge is not None or runtime.detects_turns

    def opened(
        self, runtime: AgentRuntime, session_id: str, expires_at: int, opening: SessionUpdateBody | None
    ) -> SessionConfig:
        """Return what a session begins with. Raises: ContractError for what it would refuse."""
        judges = self.serves_semantic_vad(runtime)
        config = conversation_config(runtime.agent, session_id, expires_at, serves_semantic_vad=judges)
        if opening is None:
            return config
        if opening.type == "transcription":
            config = transcription_config(session_id, expires_at)
        return reconfigured(
            config, opening, voice_is_fixed=False, serves_mcp=self.mcp is not None, serves_semantic_vad=judges
        )

    def note_cost(self, session_id: str, cost: CostMeter) -> None:
        """A session is over: what it cost goes into the metrics."""
        self.costs.close(session_id)
        for model, dollars in cost.by_model.items():
            self.metrics.cost_usd.labels(model).inc(float(dollars))


class _Running(Protocol):
    """A runner, of whichever kind of session."""

    async def run(self) -> None: ...

    def stop(self, code: int = 1000, reason: str = "") -> None: ...


Leave = Callable[["Admitted", str], None]
"""Gives a place back; takes how its session ended: `ended`, `failed`, `unused`."""


class Admitted:
    """What a place is, whatever is held in it."""

    def __init__(
        self, means: Means, runtime: AgentRuntime, key_id: str | None, leave: Leave, safety_identifier: str | None
    ) -> None:
        """`key_id` is whose place it is; `safety_identifier` whom that client speaks for."""
        self._means = means
        self._leave = leave
        self._runtime = runtime
        self.key_id = key_id
        self._runner: _Running | None = None
        self._stopped: tuple[int, str] | None = None
        self._ids = Ids()
        self.session_id = f"sess_{self._ids.stem}"
        self._ref = SessionRef(self.session_id, safety_identifier)

    def stop(self, code: int, reason: str) -> None:
        """End the session; one that has not begun closes as soon as it does."""
        self._stopped = (code, reason)
        if self._runner is not None:
            self._runner.stop(code, reason)
        else:
            self.release()

    def release(self) -> None:
        """Give the place back unused."""
        self._leave(self, "unused")

    async def _hold(self, transport: Transport | TranslationTransport, make_runner: Callable[[], _Running]) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only."""
        if self._stopped is not None:
            await transport.aclose(*self._stopped)
            return
        with structlog.contextvars.bound_contextvars(session=self.session_id):
            await self._run(transport, make_runner)

    async def _run(self, transport: Transport | TranslationTransport, make_runner: Callable[[], _Running]) -> None:
        log = _log.bind(agent=self._runtime.agent.name, key=self.key_id)
        how, started_s = "failed", time.monotonic()
        cost = self._means.costs.open(self.session_id)
        try:
            self._runner = make_runner()
            log.info("session started")
            await self._runner.run()
            how = "ended"
        except EngineError as error:
            log.warning("engine not available", error=error.message)
            await self._refuse(transport, error)
        except Exception:
            log.exception("session failed")
            await transport.aclose(INTERNAL_ERROR, "The server had an error.")
        finally:
            self._leave(self, how)
            self._means.note_cost(self.session_id, cost)
            log.info("session ended", how=how, duration_s=round(time.monotonic() - started_s, 1), **cost.summary())

    async def _refuse(self, transport: Transport | TranslationTransport, error: EngineError) -> None:
        body = wire_events.ErrorBody(type="server_error", code=error.code, message=error.message)
        transport.send_event(wire_events.ErrorEvent(event_id=self._ids.mint("event"), error=body))
        await transport.aclose(TRY_AGAIN_LATER, error.message[:100])


class TranslationPlace(Admitted):
    """One admitted translation session."""

    def __init__(
        self,
        means: Means,
        runtime: AgentRuntime,
        key_id: str | None,
        leave: Leave,
        opening: TranslationOpening,
        safety_identifier: str | None = None,
    ) -> None:
        super().__init__(means, runtime, key_id, leave, safety_identifier)
        self._opening = opening

    async def run(self, transport: TranslationTransport) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only."""
        await self._hold(transport, lambda: self._make_runner(transport))

    def _make_runner(self, transport: TranslationTransport) -> TranslationRunner:
        make, max_duration_s = self._runtime.make_translator, self._means.limits.max_duration_s
        if make is None:
            raise EngineUnavailable("The engine behind this model does not translate speech.")
        translator = make(self._ref)
        expires_at = int(time.time() + max_duration_s)
        config = TranslationConfig(id=self.session_id, model=self._opening.model, expires_at=expires_at)
        session = TranslationSession(
            translated_anew(config, self._opening),
            self._ids,
            languages=translator.languages,
            max_duration_s=max_duration_s,
        )
        return TranslationRunner(session, translator, transport)


class Place(Admitted):
    """One admitted conversation or transcription."""

    def __init__(
        self,
        means: Means,
        runtime: AgentRuntime,
        key_id: str | None,
        leave: Leave,
        opening: SessionUpdateBody | None,
        safety_identifier: str | None = None,
    ) -> None:
        super().__init__(means, runtime, key_id, leave, safety_identifier)
        self._opening = opening
        self._session: Session | None = None

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Run the session to its end; the transport is closed then. An error ends this session only.

        `phone` is what its tools learn of a phone call.
        """
        await self._hold(transport, lambda: self._make_runner(transport, phone))
        if self._session is not None and self._session.dropped_input_ms:
            _log.warning("input audio lost", session=self.session_id, lost_ms=self._session.dropped_input_ms)

    async def receive(self, event: ClientEvent) -> None:
        """Take an event of a sideband (contract 2.1); dropped where no session runs."""
        if isinstance(self._runner, Runner):
            await self._runner.receive(event)

    def _make_runner(self, transport: Transport, phone: PhoneCall | None) -> Runner:
        agent, limits, mcp = self._runtime.agent, self._means.limits, self._means.mcp
        engine = self._runtime.make_engine(self._ref)
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
            serves_semantic_vad=self._means.serves_semantic_vad(self._runtime),
            mcp_auto_continue=mcp is not None and mcp.auto_continue,
        )
        expires_at = int(time.time() + limits.max_duration_s)
        config = self._means.opened(self._runtime, self.session_id, expires_at, self._opening)
        self._session = Session(config, traits, self._ids)
        return Runner(
            self._session,
            engine,
            transport,
            self._means.activity,
            self._runtime.tools,
            SessionMeter(self._means.metrics),
            agent_name=agent.name,
            remote=mcp.open(self.session_id) if mcp is not None else None,
            judge=self._means.judge,
            phone=phone,
        )
