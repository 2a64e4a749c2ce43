"""The composition root: builds the service from its configuration and runs it.

Besides `voice/cli.py` the only module of `voice` that imports the other packages.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from tools.dispatch import Dispatcher, DispatchLimits
from tools.errors import ToolLoadError
from tools.registry import load_tools
from tools.threads import ThreadPool
from transports.http.app import ConsoleSettings, build_app
from transports.http.auth import KeyRing
from transports.http.calls import Calls
from transports.http.tls import Certificate
from transports.outbox import OutboxLimits
from transports.phone import Phone
from transports.phone_metrics import PhoneMetrics
from transports.sip_line import PhoneLine, phone_settings, route_of
from transports.webrtc.settings import settings_of
from transports.websocket import WebSocketLimits
from voice.activity import ActivityService
from voice.agent import Agent
from voice.audio.vad import SileroModel, VoiceActivityDetector, WebrtcGate
from voice.config import API_MODELS, TURN_COMPLETION_MODEL, VOICE_ACTIVITY_MODEL, AgentConfig, Config
from voice.config_engines import CascadeConfig, ScriptedConfig
from voice.config_file import Loaded
from voice.config_types import TlsConfig
from voice.embedded import EmbeddedModels
from voice.engine_sources import EngineSource, EngineSources, try_upstreams
from voice.engines.prompt import prefix as prompt_prefix
from voice.engines.script import Script
from voice.errors import ConfigError, ConfigProblems, ModelError
from voice.logs import configure_logs
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.models import manifest
from voice.models.settings import HostSettings
from voice.places import AgentRuntime, McpService, SessionLimits
from voice.prices import CostBook, PriceList
from voice.remote.api import Pool
from voice.rest.service import SingleRequests
from voice.serving import Announcer, Served, serve
from voice.turn_judge import TurnJudge

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """The parts, put together and not yet running."""

    application: web.Application
    sessions: SessionManager
    models: EmbeddedModels | None
    """None where nobody thinks with them."""
    phone: Phone | None = None
    """Takes the calls of the phone line; None where there is none."""
    certificate: Certificate | None = None
    """None where TLS is not served."""


def check(loaded: Loaded) -> None:
    """Import every tool, read every script and certificate, and build nothing. Raises: ConfigProblems."""
    _Builder(loaded)


def compose(loaded: Loaded) -> Service:
    """Build the service. Raises: ConfigProblems, ConfigError."""
    return _Builder(loaded).build()


def run(loaded: Loaded, announcer: Announcer) -> None:
    """Serve until a signal asks for the end. Raises: ConfigProblems, ListenError."""
    configure_logs(loaded.config.log.level, loaded.config.log.format)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(loaded, announcer))


async def _run(loaded: Loaded, announcer: Announcer) -> None:
    service = compose(loaded)
    line = PhoneLine(loaded.config.sip, service.phone) if service.phone is not None else None
    served = Served(
        service.application,
        service.sessions,
        announcer,
        service.models,
        service.certificate,
        line,
        lambda: try_upstreams(loaded.config),
    )
    await serve(served, loaded.config.server)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None  # not made for Windows; asyncio's own loop does as well, 4 to 27 % slower (measured)
    return uvloop.new_event_loop


class _Builder:
    """Goes through the configuration once; what is wrong in it is collected with its places."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._config: Config = loaded.config
        self._problems: list[ConfigError] = []
        self._threads = ThreadPool(self._config.tools.threads)
        self._scripts = self._read_scripts()
        self._prices = self._read_prices()
        self._agents = [self._read_agent(name, agent) for name, agent in self._config.agents.items()]
        self._tools = {name: self._load_tools(name, agent) for name, agent in self._config.agents.items()}
        self._certificate = self._read_certificate("server", self._config.server.tls)
        if self._config.sip.enabled:
            self._read_certificate("sip", self._config.sip.tls)  # the phone line reads it again, for both directions
        if self._problems:
            raise ConfigProblems(self._problems)

    def build(self) -> Service:
        models = EmbeddedModels(host_settings(self._config)) if self._config.thinks_with_models else None
        pool = Pool()
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        sessions = self._sessions(models, pool, Metrics(registry))
        if models is not None:
            models.prompts = self._prompts(sessions)
        calls = Calls()
        application = self._application(sessions, calls, registry)

        async def close_pool(_: web.Application) -> None:
            await pool.aclose()

        application.on_cleanup.append(close_pool)
        return Service(application, sessions, models, self._phone(sessions, calls, registry), self._certificate)

    def _sessions(self, models: EmbeddedModels | None, pool: Pool, metrics: Metrics) -> SessionManager:
        costs = CostBook(self._prices)
        sources = EngineSources(
            self._config,
            self._scripts,
            models,
            pool,
            costs,
            lambda engine, what: metrics.engine_incidents.labels(engine, what).inc(),
        )
        engines = {name: sources.source(name) for name in self._config.engines_used}
        return SessionManager(
            self._runtimes(engines),
            self._config.answering,
            ActivityService(_voice_activity_model()),
            self._session_limits(),
            metrics,
            mcp=self._mcp_service(),
            costs=costs,
            judge=_turn_judge(),
        )

    def _application(self, sessions: SessionManager, calls: Calls, registry: CollectorRegistry) -> web.Application:
        return build_app(
            sessions,
            KeyRing({key.id: key.secret.get_secret_value() for key in self._config.server.keys}),
            registry=registry,
            limits=self._wire_limits(),
            single_requests=self._single_requests(sessions),
            webrtc=settings_of(self._config.webrtc) if self._config.webrtc.enabled else None,
            calls=calls,
            console=self._console(),
            translations=sessions,
            translates_beta=self._config.server.beta_clients == "translate",
        )

    def _phone(self, sessions: SessionManager, calls: Calls, registry: CollectorRegistry) -> Phone | None:
        sip = self._config.sip
        if not sip.enabled:
            return None
        return Phone(sessions, calls, route_of(sip), phone_settings(sip), PhoneMetrics(registry))

    def _console(self) -> ConsoleSettings | None:
        configured = self._config.console
        if not configured.enabled:
            return None
        return ConsoleSettings(configured.key.get_secret_value() if configured.key else None)

    # --- agents ---------------------------------------------------------------------------------------------

    def _runtimes(self, engines: Mapping[str, EngineSource]) -> dict[str, AgentRuntime]:
        none = Dispatcher(())
        agents = [(agent, self._tools[agent.name]) for agent in self._agents]
        aliases = [(Agent(name, engine, bare=True), none) for name, engine in self._config.aliases.items()]
        return {
            agent.name: AgentRuntime(
                agent, source.make, tools, source.problem, source.make_translator, source.detects_turns
            )
            for agent, tools in (*agents, *aliases)
            for source in (engines[agent.engine],)
        }

    def _read_agent(self, name: str, agent: AgentConfig) -> Agent:
        try:
            return agent_of(name, agent)
        except (OSError, UnicodeDecodeError) as error:
            place = ("agents", name, "instructions_files")
            self._problems.append(self._loaded.places.error(place, f"instructions_files: cannot be read: {error}"))
            return Agent(name, agent.engine)

    def _load_tools(self, name: str, agent: AgentConfig) -> Dispatcher:
        limits = DispatchLimits(
            max_concurrent_per_session=self._config.tools.max_concurrent_per_session,
            cancel_grace_s=self._config.tools.cancel_grace_s,
        )
        try:
            tools = load_tools(agent.tools, folder=self._loaded.folder)
        except ToolLoadError as error:
            place = ("agents", name, "tools", agent.tools.index(error.import_path))
            self._problems.append(self._loaded.places.error(place, error.message))
            tools = ()
        return Dispatcher(tools, server_label=name, limits=limits, threads=self._threads)

    # --- engines --------------------------------------------------------------------------------------------

    def _read_scripts(self) -> dict[str, Script]:
        scripts = {}
        for name, engine in self._config.engines.items():
            if isinstance(engine, ScriptedConfig):
                path = engine.script
                try:
                    scripts[name] = Script.from_yaml(path, _shown(path)) if path else Script()
                except ConfigError as error:
                    self._problems.extend(error.problems)  # their places are lines of the script
        return scripts

    def _read_certificate(self, section: str, files: TlsConfig | None) -> Certificate | None:
        if files is None:
            return None
        try:
            return Certificate(files.certificate, files.key)
        except (OSError, ssl.SSLError) as error:
            message = f"{files.certificate} and {files.key} are no certificate and its key in PEM: {error}"
            self._problems.append(self._loaded.places.error((section, "tls"), message))
            return None

    def _read_prices(self) -> PriceList:
        path = self._config.prices
        try:
            return PriceList.read(path)
        except (OSError, ValueError) as error:
            self._problems.append(self._loaded.places.error(("prices",), f"{path} is no price list: {error}"))
            return PriceList({})

    def _prompts(self, sessions: SessionManager) -> list[str]:
        """Return the prompts that sessions with the embedded models begin with; an alias's session brings its own."""
        return [
            prompt_prefix(settings)
            for agent, settings in sessions.opening_settings()
            if not agent.bare and self._is_prompted(agent.engine)
        ]

    def _is_prompted(self, engine: str) -> bool:
        config = self._config.engines[engine]
        return isinstance(config, CascadeConfig) and config.llm is None

    def _mcp_service(self) -> McpService | None:
        config = self._config.mcp
        if not config.enabled:
            return None
        from tools.mcp import McpLimits, McpServers  # only here: it takes half a second and 63 MiB

        limits = McpLimits(
            list_timeout_s=config.list_timeout_s,
            call_timeout_s=config.call_timeout_s,
            private_addresses=config.private_addresses,
        )
        return McpService(lambda session_id: McpServers(limits, session_id=session_id), config.auto_continue)

    def _single_requests(self, sessions: SessionManager) -> SingleRequests | None:
        config = self._config.api
        if not config.enabled:
            return None
        bare = next(iter(self._config.aliases), self._config.answering)
        names = dict.fromkeys(API_MODELS, bare) | config.models
        return SingleRequests(
            sessions.runtime,
            _detector,
            names,
            voices=(self._config.models.voice,),
            max_requests=config.max_requests,
        )

    # --- limits ---------------------------------------------------------------------------------------------

    def _session_limits(self) -> SessionLimits:
        server = self._config.server
        return SessionLimits(
            max_sessions=server.max_sessions,
            max_sessions_per_key=server.max_sessions_per_key,
            max_duration_s=server.session_max_minutes * 60,
        )

    def _wire_limits(self) -> WebSocketLimits:
        server = self._config.server
        outbox = OutboxLimits(limit_bytes=server.outbox_bytes)
        return WebSocketLimits(max_message_bytes=server.max_event_bytes, outbox=outbox)


def _shown(path: Path) -> str:
    """Return a file's name as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def agent_of(name: str, config: AgentConfig) -> Agent:
    """Return an agent as the sessions know it, the files of its instructions read."""
    texts = [config.instructions, *(path.read_text(encoding="utf-8") for path in config.instructions_files)]
    turn_detection = config.turn_detection
    return Agent(
        name=name,
        engine=config.engine,
        instructions="\n\n".join(text.strip() for text in texts if text.strip()),
        greeting=config.greeting,
        voice=config.voice,
        tools=config.tools,
        turn_detection=turn_detection.model_dump(exclude_unset=True) | {"type": turn_detection.type}
        if turn_detection
        else None,
        description=config.description,
    )


def host_settings(config: Config) -> HostSettings:
    """Return what the model host is told; a file of the operator's own goes before a name."""
    models = config.models
    return HostSettings(
        speech_to_text=str(models.stt_folder or models.stt),
        language_model=str(models.llm_file or models.llm),
        voice=models.voice,
        threads=models.llm_threads,
        slots=models.slots,
        context_tokens=models.context_tokens,
        lanes=config.lanes_used,
        prompt_store=str(manifest.cache_dir() / "prompts"),
    )


@cache
def _detector() -> VoiceActivityDetector[Any]:
    """Return what finds speech in files; used in threads, where the sessions' own must not be."""
    path = _voice_activity_model()
    return SileroModel(path) if path is not None else WebrtcGate()


def _voice_activity_model() -> Path | None:
    try:
        return manifest.find(VOICE_ACTIVITY_MODEL)
    except ModelError as error:
        _log.warning("voice_activity_by_gate_only", reason=str(error), command=error.command)
        return None


def _turn_judge() -> TurnJudge | None:
    try:
        return TurnJudge.load(manifest.find(TURN_COMPLETION_MODEL))
    except ModelError as error:
        _log.warning("semantic_vad_is_refused", reason=str(error), command=error.command)
        return None
