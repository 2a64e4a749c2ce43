"""What the parts of a session share."""

from dataclasses import dataclass, field

from voice.engines.port import Capabilities
from voice.protocol.session_config import SessionConfig
from voice.session.conversation import Conversation
from voice.session.outbox import Outbox
from voice.session.usage import UsageMeter
from voice.tooling import ToolSpec


@dataclass(frozen=True, slots=True)
class SessionTraits:
    """What a session is born with and keeps."""

    capabilities: Capabilities = field(default_factory=Capabilities)
    """Of the engine."""
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
