"""The words of the Realtime contract, as the kit knows them: its own list, apart from what this service's code says.

Two server events are legacy and not to be sent; four come only from a leg whose audio the server plays (WebRTC, SIP).
"""

CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "output_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
)

SERVER_EVENTS = (
    "session.created",
    "session.updated",
    "conversation.created",
    "conversation.item.added",
    "conversation.item.done",
    "conversation.item.created",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
    "conversation.item.input_audio_transcription.segment",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.delta",
    "response.output_audio_transcript.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "mcp_list_tools.in_progress",
    "mcp_list_tools.completed",
    "mcp_list_tools.failed",
    "response.done",
    "rate_limits.updated",
    "error",
)

LEGACY = frozenset({"conversation.created", "conversation.item.created"})
"""Of the beta; the GA service does not send them (contract 4.2)."""

PLAYING_LEG_ONLY = frozenset(
    {
        "input_audio_buffer.dtmf_event_received",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
        "output_audio_buffer.cleared",
    }
)
"""Not on a WebSocket (contract 4.2, 4.7, 4.12)."""

# --- What belongs together ------------------------------------------------------------------------------------------

ITEM = ("conversation.item.added", "conversation.item.done")

RESPONSE = (
    "response.created",
    "response.output_item.added",
    *ITEM,
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
)

TEXT_PART = (
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
)

AUDIO_PART = (
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
)

TEXT_RESPONSE = (*RESPONSE, *TEXT_PART)
AUDIO_RESPONSE = (*RESPONSE, *AUDIO_PART)

SPEECH = ("input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed")

FUNCTION_CALL = ("response.function_call_arguments.delta", "response.function_call_arguments.done")

TRANSCRIPTION = (
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
)

MCP_LIST = ("mcp_list_tools.in_progress", "mcp_list_tools.completed")

MCP_CALL = (
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.in_progress",
    "response.mcp_call.completed",
)
