"""What a conversation is made of. Items are frozen: a change is a new item under the same id.

These are the session's own words, not the wire's; `voice.session.wire` turns one into the other.
"""

from dataclasses import dataclass
from typing import Literal

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.tooling import FailureKind, RemoteTool

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Written text."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Speech: of the user, or spoken by the agent."""

    pcm: bytes = b""
    """24 kHz; empty once it has been let go to bound memory."""
    duration_ms: int = 0
    """Length, kept when the bytes are let go."""
    transcript: str | None = None
    """What was said. None: not transcribed, or deleted by a truncation (contract 4.7)."""
    heard: str | None = None
    """Agent speech that was cut: the words that the caller did hear. This, not what was meant, is context."""
    truncated: bool = False
    is_silence: bool = False
    """The caller said nothing for so long (contract 4.12); no bytes are kept of it."""
    clauses: tuple[tuple[str, int], ...] = ()
    """Agent speech: words and the 24 kHz sample at which they start; see `voice.session.playback`."""

    @property
    def words(self) -> str:
        """What an engine that reads may take as said."""
        return (self.heard if self.truncated else self.transcript) or ""


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture the user showed."""

    image_url: str
    """A `data:` URI of PNG or JPEG."""
    detail: str = "auto"


Part = TextPart | AudioPart | ImagePart


@dataclass(frozen=True, slots=True)
class Message:
    """Something said or written."""

    id: str
    role: Role
    parts: tuple[Part, ...]
    status: Status = "completed"

    @property
    def text(self) -> str:
        """All words of the message, written or spoken (and heard)."""
        said = [
            part.text if isinstance(part, TextPart) else part.words
            for part in self.parts
            if not isinstance(part, ImagePart)
        ]
        return " ".join(words for words in said if words)

    @property
    def is_silence(self) -> bool:
        """True for the turn of a caller who has said nothing for long."""
        return any(isinstance(part, AudioPart) and part.is_silence for part in self.parts)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent asks for a tool. `server_label` is set when the service runs it (design §4, contract 4.11)."""

    id: str
    call_id: str
    name: str
    arguments: str
    """JSON text as generated; may be cut short when the item is incomplete."""
    status: Status = "completed"
    server_label: str | None = None
    output: str | None = None
    """Of a service tool: what it returned; None while it runs."""
    error: str | None = None
    """Of a service tool: why it failed, in words that the agent may speak about."""
    error_kind: FailureKind = "tool_execution_error"
    error_code: int | None = None
    remote_name: str | None = None
    """What its MCP server calls it, where the engine knows it by another name."""
    approval_request_id: str | None = None
    """The `mcp_approval_request` by which the client was asked."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a client's tool returned."""

    id: str
    call_id: str
    output: str
    status: Status = "completed"


Item = Message | ToolCall | ToolOutput
"""What was said and done: an engine's context is made of it."""


@dataclass(frozen=True, slots=True)
class ToolList:
    """The tools of an MCP server (contract 4.11); none while they are being asked for."""

    id: str
    server_label: str
    tools: tuple[RemoteTool, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The client is asked whether a tool call may be made."""

    id: str
    server_label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ApprovalResponse:
    """The client's answer to that."""

    id: str
    approval_request_id: str
    approve: bool
    reason: str | None = None


McpItem = ToolList | ApprovalRequest | ApprovalResponse
"""How client and service arrange for tools: part of the conversation, and of no engine's context."""

AnyItem = Item | McpItem


def pcm_duration_ms(pcm_bytes: int) -> int:
    """Milliseconds of that many bytes of 24 kHz PCM, rounded down."""
    return pcm_bytes // SAMPLE_BYTES * 1000 // CORE_RATE_HZ
