"""What the parts of a session share."""

from dataclasses import dataclass, field

from voice.engines.port import Capabilities, EngineSettings
from voice.protocol.response_params import ResponseParams
from voice.protocol.session_config import SessionConfig
from voice.session.conversation import Conversation
from voice.session.idle import IdleTimer
from voice.session.mcp import McpImports
from voice.session.outbox import Outbox
from voice.session.settings import chosen_tools, engine_settings
from voice.session.usage import UsageMeter
from voice.tooling import ToolSpec


@dataclass(frozen=True, slots=True)
class SessionTraits:
    """What a session is born with and keeps."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    """Of the engine that the session begins with."""
    server_plays: bool = False
    """The transport plays in real time and knows what was heard (WebRTC, SIP, microphone); see `voice.transport`."""
    service_tools: tuple[ToolSpec, ...] = ()
    """The agent's own tools, each with its server label."""
    greeting: str | None = None
    """Spoken first, word for word."""
    max_duration_s: float = 3600.0
    """Contract 2.5."""
    audio_retention_s: float = 600.0
    """Audio of items kept for `conversation.item.retrieve`."""
    input_capacity_s: float = 900.0
    """Audio that may wait for a commit; beyond it the oldest is dropped."""
    serves_mcp: bool = True
    """Clients may name MCP servers."""
    serves_semantic_vad: bool = True
    """The turn-completion model is there."""
    mcp_auto_continue: bool = False
    """The agent answers by itself when a tool of a client's MCP server is through. By default the client asks for
    that, as the official examples do (contract 4.11); the agent's own tools are always answered."""


@dataclass(slots=True)
class Core:
    """The session's state that more than one part works on."""

    out: Outbox
    conversation: Conversation
    config: SessionConfig
    traits: SessionTraits
    meter: UsageMeter = field(default_factory=UsageMeter)
    agent_has_spoken: bool = False
    """From then on the voice is fixed (contract 3.2)."""
    now_s: float = 0.0
    """What the clock last showed, see `Session.advance`."""
    capabilities: Capabilities = field(init=False)
    """Of the engine that thinks now."""
    imports: McpImports = field(init=False)
    idle: IdleTimer = field(init=False)

    def __post_init__(self) -> None:
        """Make the parts that work on the others."""
        self.capabilities = self.traits.capabilities
        self.imports = McpImports(self.out, self.conversation)
        self.idle = IdleTimer(server_plays=self.traits.server_plays)

    def engine_settings(self, params: ResponseParams | None = None) -> EngineSettings:
        """Return what an engine is to work by now, or for one response."""
        remote_tools = self.imports.specs(chosen_tools(self.config, params))
        return engine_settings(self.config, self.traits.service_tools, params, remote_tools)
