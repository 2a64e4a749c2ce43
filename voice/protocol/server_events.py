"""Server events, one class each, named after the type (contract 4.2); by what they are about.

Those of the conversation stand in `conversation_events`, those of a response in `response_events`; all are to be
imported from here.
"""

from typing import Any, Final, Literal

from voice.protocol import conversation_events, response_events
from voice.protocol.base import ServerEvent, WireModel
from voice.protocol.conversation_events import (
    Conversation,
    ConversationCreated,
    ConversationItemAdded,
    ConversationItemCreated,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemInputAudioTranscriptionSegment,
    ConversationItemRetrieved,
    ConversationItemTruncated,
    LogProb,
    TranscriptionError,
    TranscriptionInputTokenDetails,
    TranscriptionLanguage,
    TranscriptionUsageDuration,
    TranscriptionUsageTokens,
)
from voice.protocol.response_events import (
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseMcpCallArgumentsDelta,
    ResponseMcpCallArgumentsDone,
    ResponseMcpCallCompleted,
    ResponseMcpCallFailed,
    ResponseMcpCallInProgress,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
)
from voice.protocol.response_object import (
    CachedTokensDetails,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseObject,
    StatusDetails,
    StatusError,
    Usage,
)


class SessionCreated(ServerEvent):
    """The first event of a session, with its whole configuration (`SessionConfig.to_wire`)."""

    type: Literal["session.created"] = "session.created"
    session: dict[str, Any]


class SessionUpdated(ServerEvent):
    """A `session.update` was taken; the whole configuration again."""

    type: Literal["session.updated"] = "session.updated"
    session: dict[str, Any]


class InputAudioBufferCommitted(ServerEvent):
    """The buffer became the user item `item_id`."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    previous_item_id: str | None = None
    item_id: str

    def model_post_init(self, context: Any) -> None:
        """Send `previous_item_id` always."""
        super().model_post_init(context)
        self.__pydantic_fields_set__.add("previous_item_id")


class InputAudioBufferCleared(ServerEvent):
    """The buffer is empty."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class InputAudioBufferSpeechStarted(ServerEvent):
    """The user speaks. Milliseconds since the start of all audio of the session, less the prefix padding."""

    type: Literal["input_audio_buffer.speech_started"] = "input_audio_buffer.speech_started"
    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(ServerEvent):
    """The user has spoken. The end includes the silence that it took to tell."""

    type: Literal["input_audio_buffer.speech_stopped"] = "input_audio_buffer.speech_stopped"
    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(ServerEvent):
    """Nobody spoke for `idle_timeout_ms`."""

    type: Literal["input_audio_buffer.timeout_triggered"] = "input_audio_buffer.timeout_triggered"
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class InputAudioBufferDtmfEventReceived(ServerEvent):
    """A key was pressed (SIP). The one event that need not have an id (contract 4)."""

    type: Literal["input_audio_buffer.dtmf_event_received"] = "input_audio_buffer.dtmf_event_received"
    event_id: str = ""
    event: str
    """`0` to `9`, `*`, `#`, `A` to `D`."""
    received_at: int
    """Unix seconds."""


class _OfOutputBuffer(ServerEvent):
    """An event of the server's own playout (WebRTC, SIP)."""

    response_id: str


class OutputAudioBufferStarted(_OfOutputBuffer):
    """The first audio of a response leaves."""

    type: Literal["output_audio_buffer.started"] = "output_audio_buffer.started"


class OutputAudioBufferStopped(_OfOutputBuffer):
    """The last audio of a response has left."""

    type: Literal["output_audio_buffer.stopped"] = "output_audio_buffer.stopped"


class OutputAudioBufferCleared(_OfOutputBuffer):
    """What was still to be played was dropped; in place of `stopped`."""

    type: Literal["output_audio_buffer.cleared"] = "output_audio_buffer.cleared"


class _OfMcpList(ServerEvent):
    """An event about the import of a server's tools."""

    item_id: str


class McpListToolsInProgress(_OfMcpList):
    """The tools are being listed."""

    type: Literal["mcp_list_tools.in_progress"] = "mcp_list_tools.in_progress"


class McpListToolsCompleted(_OfMcpList):
    """The tools are known."""

    type: Literal["mcp_list_tools.completed"] = "mcp_list_tools.completed"


class McpListToolsFailed(_OfMcpList):
    """The tools could not be listed."""

    type: Literal["mcp_list_tools.failed"] = "mcp_list_tools.failed"


class RateLimit(WireModel):
    """What is left of one limit."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(ServerEvent):
    """What is left; once per response, after its end."""

    type: Literal["rate_limits.updated"] = "rate_limits.updated"
    rate_limits: list[RateLimit]


class ErrorBody(WireModel):
    """What was wrong. All of it is sent, nulls included (contract 4.15)."""

    type: str = "invalid_request_error"
    code: str | None = None
    message: str
    param: str | None = None
    event_id: str | None = None
    """The client's, of the event that caused it."""

    def model_post_init(self, context: Any) -> None:
        """Send every field."""
        super().model_post_init(context)
        self.__pydantic_fields_set__.update(type(self).model_fields)


class ErrorEvent(ServerEvent):
    """Something is wrong; the session goes on."""

    type: Literal["error"] = "error"
    error: ErrorBody


def _by_type() -> dict[str, type[ServerEvent]]:
    named = [*globals().values(), *vars(conversation_events).values(), *vars(response_events).values()]
    classes = [value for value in named if isinstance(value, type) and issubclass(value, ServerEvent)]
    return {cls.model_fields["type"].default: cls for cls in classes if "type" in cls.constants}


SERVER_EVENTS: Final = _by_type()
"""Every server event class by its type."""

__all__ = [
    "SERVER_EVENTS",
    "CachedTokensDetails",
    "Conversation",
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreated",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieved",
    "ConversationItemTruncated",
    "ErrorBody",
    "ErrorEvent",
    "InputAudioBufferCleared",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "InputTokenDetails",
    "LogProb",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
    "OutputTokenDetails",
    "RateLimit",
    "RateLimitsUpdated",
    "ResponseAudio",
    "ResponseAudioOutput",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
    "ResponseObject",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdated",
    "StatusDetails",
    "StatusError",
    "TranscriptionError",
    "TranscriptionInputTokenDetails",
    "TranscriptionLanguage",
    "TranscriptionUsageDuration",
    "TranscriptionUsageTokens",
    "Usage",
]
