"""The configuration: one tree, its defaults in code, read by `voice.config_file.load`.

Every field can be set in three places, the later one winning: here, in config.yaml, and in the environment as
`VOICE__SECTION__FIELD` (`VOICE__SERVER__PORT=9000`; lists and objects as JSON).
"""

from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from voice.config_engines import CascadeConfig, EngineConfig, ReplaceableConfig, ScriptedConfig
from voice.config_sip import SipConfig
from voice.config_types import ExistingFile, ExistingFolder, ModelName, Secret, Section, TlsConfig
from voice.config_webrtc import WebRtcConfig
from voice.protocol.session_fields import MAX_TURN_MS

ENGINE_TYPES = ("cascade", "scripted")

LANES = ("speech-to-text", "language-model", "text-to-speech")
"""The parts of a cascade."""

VOICE_ACTIVITY_MODEL = "silero-vad"
"""Listens in every session, whatever its engine; without it webrtcvad does alone."""

TURN_COMPLETION_MODEL = "smart-turn-v3.2"
"""Ends the turns of sessions that ask for `semantic_vad`, whatever their engine; without it they are refused."""

REALTIME_ALIASES = (
    "gpt-realtime",
    "gpt-realtime-2025-08-28",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-2.1",
    "gpt-realtime-2.1-mini",
    "gpt-realtime-mini",
    "gpt-realtime-mini-2025-10-06",
    "gpt-realtime-mini-2025-12-15",
    "gpt-4o-realtime-preview",
    "gpt-4o-mini-realtime-preview",
)
"""The model names that official clients come with (contract 1.9); each is a bare session of an engine of ours."""


API_MODELS = (
    *("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "tts-1", "tts-1-hd", "gpt-4o-mini-tts"),
    *("gpt-4o", "gpt-4o-mini"),
)
"""The model names that official clients ask for outside sessions."""


class ApiKey(Section):
    """A key that clients may come with."""

    id: str = Field(min_length=1)
    """Names the key in logs and metrics."""
    secret: Secret


def _name_keys(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return [{"id": f"key-{n}", "secret": key} if isinstance(key, str) else key for n, key in enumerate(value, 1)]


class ServerConfig(Section):
    """Where the service listens, whom it lets in, and how much it takes."""

    host: str = "127.0.0.1"
    """An address of this machine. Any but a loopback address needs `keys`."""
    port: int = Field(8080, ge=0, le=65535)
    """0 takes any free port."""
    tls: TlsConfig | None = None
    """None: http and ws, as behind a proxy that speaks TLS."""
    keys: Annotated[tuple[ApiKey, ...], BeforeValidator(_name_keys)] = ()
    """Either strings or `{id, secret}`. Without keys everyone who reaches the port is let in."""
    max_sessions: int = Field(200, ge=1)
    """One more is answered with 503, and when to try again."""
    max_sessions_per_key: int | None = Field(None, ge=1)
    """One more with the same key is answered with 429; null: as many as the service takes."""
    session_max_minutes: float = Field(60, gt=0)
    outbox_bytes: int = Field(4 * 1024 * 1024, ge=65536)
    """What may wait for a client that reads slowly; past that its session is closed."""
    max_event_bytes: int = Field(24 * 1024 * 1024, ge=65536)
    """The longest event a client may send; the contract allows 15 MiB of audio, which is 20 MiB of base64."""
    drain_s: float = Field(20, ge=0)
    """How long sessions may go on when the service is told to stop."""
    beta_clients: Literal["refuse", "translate"] = "refuse"
    """Clients that speak the beta of 2024: told to change, as the live service does, or served in their own words."""

    @property
    def is_loopback(self) -> bool:
        """True when only this machine reaches the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class ModelsConfig(Section):
    """The embedded models, shared by all sessions. `voice models list` shows the names."""

    stt: Annotated[str, ModelName("speech-to-text")] = "moonshine-tiny-en"
    """Speech to text."""
    stt_folder: ExistingFolder | None = None
    """A folder with a Moonshine export of your own, instead of `stt`."""
    llm: Annotated[str, ModelName("language-model")] = "qwen2.5-coder-0.5b"
    """The language model; `qwen2.5-coder-1.5b` is better and slower."""
    llm_file: ExistingFile | None = None
    """A GGUF file of your own, instead of `llm`."""
    llm_threads: int = Field(0, ge=0)
    """0: one for each core, at most 8."""
    tts: Annotated[str, ModelName("text-to-speech")] = "hibari"
    """Text to speech."""
    voice: str = "heart"
    """The voice that speaks where a session asks for one that text-to-speech does not have."""
    slots: int = Field(4, ge=1)
    """How many conversations keep their prompt in the language model's cache, and generate, at a time."""
    context_tokens: int = Field(4096, ge=512)
    """Of each slot: instructions, tools, the conversation and the answer. What is more is cut as `truncation` says."""


class SilenceTurns(Section):
    """The caller's turn ends with a silence (contract 3.6). What is not set is the service's default."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(0.5, ge=0, le=1)
    prefix_padding_ms: int = Field(300, ge=0, le=MAX_TURN_MS)
    silence_duration_ms: int = Field(200, ge=0, le=MAX_TURN_MS)
    idle_timeout_ms: int | None = Field(None, ge=5000, le=30000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticTurns(Section):
    """The caller's turn ends when what was said is complete (contract 3.6); takes the turn-completion model."""

    type: Literal["semantic_vad"]
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """How long a caller who has not finished may be silent: 8, 4, 2 or again 4 seconds."""
    create_response: bool = True
    interrupt_response: bool = True


def _kind_of_turns(value: Any) -> str:
    kind = value.get("type", "server_vad") if isinstance(value, dict) else getattr(value, "type", "server_vad")
    return str(kind)


TurnDetection = Annotated[
    Annotated[SilenceTurns, Tag("server_vad")] | Annotated[SemanticTurns, Tag("semantic_vad")],
    Discriminator(_kind_of_turns),
]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class AgentConfig(Section):
    """Who answers when a client asks for `?model=<name>`."""

    description: str = ""
    instructions: str = ""
    instructions_files: Annotated[tuple[ExistingFile, ...], BeforeValidator(_as_list)] = ()
    """Appended to `instructions` in this order: a page of facts, for example. One name or a list."""
    greeting: str | None = None
    """The agent's first words; without one it waits for the caller."""
    voice: str = Field("alloy", min_length=1)
    engine: str = "cascade"
    """A name under `engines`."""
    tools: tuple[str, ...] = ()
    """Import paths, `package.module:function`; the folder of the configuration file is searched first."""
    turn_detection: TurnDetection | None = None


class ToolsConfig(Section):
    """Bounds over all tools; a deadline and a size of its own each tool states in its `@tool`."""

    max_concurrent_per_session: int = Field(8, ge=1)
    """Calls of one session under way at a time; one more fails at once."""
    cancel_grace_s: float = Field(1.0, gt=0)
    """What a cancelled tool has to clean up in before it is given up."""
    threads: int = Field(16, ge=1)
    """For tools that are not `async`, over all sessions."""


class McpConfig(Section):
    """MCP servers that clients name in their sessions (contract 4.11)."""

    enabled: bool = True
    """False: a session that names one is refused; saves 63 MiB and half a second at the start."""
    auto_continue: bool = False
    """True: the agent answers by itself once a call is over; else the client asks for the answer."""
    private_addresses: bool = False
    """True: servers on this machine and its network may be named, too. Only where every client is trusted."""
    list_timeout_s: float = Field(10.0, gt=0)
    """To connect and list the tools, all in all."""
    call_timeout_s: float = Field(30.0, gt=0)


class ApiConfig(Section):
    """The calls beside sessions: `/v1/audio`, `/v1/chat/completions`, `/v1/responses`."""

    enabled: bool = True
    max_requests: int = Field(8, ge=1)
    """Answered at a time; sessions share the models with them."""
    models: dict[str, str] = Field(default_factory=dict)
    """Model names for these calls, each for an agent or an alias, which may be named themselves as well. The names that
    official clients come with (`whisper-1`, `tts-1`, `gpt-4o-mini`, …) stand for the first alias."""


class ConsoleConfig(Section):
    """The page to talk on, at `/`."""

    enabled: bool = True
    key: Secret | None = None
    """What its users type where `server.keys` are set: opens the page's calls, and nothing else. The keys of the server
    open them, too; without any, nobody is asked."""


class LogConfig(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
    """`auto`: console on a terminal, JSON lines elsewhere."""


def _default_engines() -> dict[str, EngineConfig]:
    return {"cascade": CascadeConfig(type="cascade"), "scripted": ScriptedConfig(type="scripted")}


class Config(Section):
    """The whole tree."""

    server: ServerConfig = ServerConfig()
    models: ModelsConfig = ModelsConfig()
    engines: dict[str, EngineConfig] = Field(default_factory=_default_engines)
    """What thinks; `cascade` and `scripted` are there even when the file names others."""
    agents: dict[str, AgentConfig] = Field(default_factory=dict)
    aliases: dict[str, str] = Field(default_factory=lambda: dict.fromkeys(REALTIME_ALIASES, "cascade"))
    """Model names that give a bare session of an engine, which the client configures itself."""
    default_agent: str | None = None
    """Who answers when a client names no model: an agent or an alias. Else the first agent, else the first alias."""
    tools: ToolsConfig = ToolsConfig()
    mcp: McpConfig = McpConfig()
    api: ApiConfig = ApiConfig()
    console: ConsoleConfig = ConsoleConfig()
    sip: SipConfig = SipConfig()
    webrtc: WebRtcConfig = WebRtcConfig()
    log: LogConfig = LogConfig()
    prices: ExistingFile | None = None
    """What models cost you; null: the list that comes with the service (`voice/prices.yaml`)."""

    @property
    def engines_used(self) -> tuple[str, ...]:
        """The engines that agents and aliases name, and those that these fall back to."""
        names = dict.fromkeys([*(agent.engine for agent in self.agents.values()), *self.aliases.values()])
        for name in list(names):
            engine = self.engines.get(name)
            if isinstance(engine, ReplaceableConfig):
                names |= dict.fromkeys(engine.fallback)
        return tuple(names)

    @property
    def lanes_used(self) -> tuple[str, ...]:
        """The embedded models that agents and aliases need; an engine that nobody names needs nothing."""
        engines = [self.engines.get(name) for name in self.engines_used]
        lanes = {lane for engine in engines if isinstance(engine, CascadeConfig) for lane in engine.lanes}
        return tuple(lane for lane in LANES if lane in lanes)

    @property
    def thinks_with_models(self) -> bool:
        """Whether sessions need any embedded model beside those that find turns."""
        return bool(self.lanes_used)

    @property
    def models_used(self) -> tuple[str, ...]:
        """The models of the manifest that sessions need: those that find turns for all, the others for the cascade."""
        turns = (VOICE_ACTIVITY_MODEL, TURN_COMPLETION_MODEL)
        models = self.models
        names = {
            "speech-to-text": None if models.stt_folder else models.stt,
            "language-model": None if models.llm_file else models.llm,
            "text-to-speech": models.tts,
        }
        return (*turns, *(name for lane in self.lanes_used if (name := names[lane]) is not None))

    @property
    def answering(self) -> str:
        """The agent or alias that answers when a client names no model."""
        return self.default_agent or next(iter(self.agents), next(iter(self.aliases), ""))
