"""From the session's own words to the wire's and back (contract 3.9, 4.2).

Content vocabulary differs by place: items say `output_text` and `output_audio`, parts under way say `text` and `audio`.
"""

import base64
from collections.abc import Iterable
from typing import Literal

from voice.engines.port import RateLimitLeft, TokenUsage
from voice.errors import ContractError
from voice.protocol.items import (
    ContentPart,
    ConversationItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallError,
    McpCallItem,
    McpListedTool,
    McpListToolsItem,
    MessageItem,
)
from voice.protocol.server_events import (
    CachedTokensDetails,
    InputTokenDetails,
    OutputTokenDetails,
    RateLimit,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseObject,
    StatusDetails,
    Usage,
)
from voice.protocol.session_config import AudioConfig
from voice.protocol.session_fields import AlawFormat, AudioFormat, PcmFormat, UlawFormat
from voice.session.effects import WireFormat
from voice.session.item_audio import pcm_of, wire_audio
from voice.session.items import (
    AnyItem,
    ApprovalRequest,
    ApprovalResponse,
    AudioPart,
    ImagePart,
    Item,
    McpItem,
    Message,
    Part,
    Role,
    TextPart,
    ToolCall,
    ToolOutput,
    pcm_duration_ms,
)

_FORMATS: dict[WireFormat, AudioFormat] = {
    # Every field is given: on the wire stands what was set, not what is a default.
    "audio/pcm": PcmFormat(type="audio/pcm", rate=24000),
    "audio/pcmu": UlawFormat(type="audio/pcmu"),
    "audio/pcma": AlawFormat(type="audio/pcma"),
}


def item_to_wire(
    item: AnyItem, *, with_audio: AudioConfig | None = None, with_transcript: bool = True
) -> ConversationItem:
    """Show an item. Audio goes out only in `conversation.item.retrieved`, in the formats of `with_audio`.

    `with_transcript=False` hides what the caller said: the client asked for no transcription (contract 3.5).
    """
    if isinstance(item, ToolCall):
        return _call_to_wire(item)
    if isinstance(item, ToolOutput):
        return FunctionCallOutputItem(id=item.id, call_id=item.call_id, output=item.output, status=item.status)
    if isinstance(item, McpItem):
        return _mcp_to_wire(item)
    content = [_part_to_wire(part, item.role, with_audio, with_transcript) for part in item.parts]
    return MessageItem(id=item.id, role=item.role, status=item.status, content=content)


def _call_to_wire(item: ToolCall) -> FunctionCallItem | McpCallItem:
    if item.server_label is None:
        return FunctionCallItem(
            id=item.id, call_id=item.call_id, name=item.name, arguments=item.arguments, status=item.status
        )
    error = None
    if item.error is not None:
        error = McpCallError(type=item.error_kind, message=item.error, code=item.error_code)
    return McpCallItem(
        id=item.id,
        server_label=item.server_label,
        name=item.remote_name or item.name,
        arguments=item.arguments,
        approval_request_id=item.approval_request_id,
        output=item.output,
        error=error,
    )


def _mcp_to_wire(item: McpItem) -> ConversationItem:
    if isinstance(item, ApprovalRequest):
        return McpApprovalRequestItem(
            id=item.id, server_label=item.server_label, name=item.name, arguments=item.arguments
        )
    if isinstance(item, ApprovalResponse):
        return McpApprovalResponseItem(
            id=item.id, approval_request_id=item.approval_request_id, approve=item.approve, reason=item.reason
        )
    tools = [
        McpListedTool(
            name=tool.name, description=tool.description, input_schema=tool.input_schema, annotations=tool.annotations
        )
        for tool in item.tools
    ]
    return McpListToolsItem(id=item.id, server_label=item.server_label, tools=tools)


def _part_to_wire(part: Part, role: Role, with_audio: AudioConfig | None, with_transcript: bool) -> ContentPart:
    if isinstance(part, TextPart):
        return ContentPart(type="output_text" if role == "assistant" else "input_text", text=part.text)
    if isinstance(part, ImagePart):
        return ContentPart(type="input_image", image_url=part.image_url, detail=_detail(part.detail))
    audio = None
    if with_audio is not None:
        audio_format = (with_audio.output if role == "assistant" else with_audio.input).format
        audio = base64.b64encode(wire_audio(part.pcm, audio_format.type)).decode()
    if role == "assistant":
        return ContentPart(type="output_audio", transcript=part.transcript, audio=audio)
    transcript = part.transcript if with_transcript else None
    return ContentPart(type="input_audio", transcript=transcript, audio=audio)


def _detail(detail: str) -> Literal["auto", "low", "high"]:
    return "low" if detail == "low" else "high" if detail == "high" else "auto"


def item_from_wire(
    item: ConversationItem, item_id: str, *, audio_format: WireFormat, path: str
) -> Item | ApprovalResponse:
    """Take an item that a client created, at `path` of its event, with audio in the session's input format.

    Raises: ContractError for kinds that a client cannot create here, and for half a sample.
    """
    if isinstance(item, MessageItem):
        parts = tuple(
            _part_from_wire(part, audio_format, f"{path}.content[{index}]") for index, part in enumerate(item.content)
        )
        # `status` has no effect when a client sends it (contract 3.9).
        return Message(item_id, item.role, parts)
    if isinstance(item, FunctionCallItem):
        return ToolCall(item_id, item.call_id or item_id, item.name, item.arguments)
    if isinstance(item, FunctionCallOutputItem):
        return ToolOutput(item_id, item.call_id, item.output)
    if isinstance(item, McpApprovalResponseItem):
        return ApprovalResponse(item_id, item.approval_request_id, item.approve, item.reason)
    raise ContractError(f"An item of type '{item.type}' cannot be created by a client.", param=f"{path}.type")


def _part_from_wire(part: ContentPart, audio_format: WireFormat, path: str) -> Part:
    if part.type == "input_image":
        return ImagePart(part.image_url or "", part.detail or "auto")
    if part.type == "input_audio":
        try:
            pcm = pcm_of(base64.b64decode(part.audio or ""), audio_format)
        except ValueError as error:
            raise ContractError(f"Invalid '{path}.audio': {error}.", param=f"{path}.audio") from None
        return AudioPart(pcm, pcm_duration_ms(len(pcm)), part.transcript)
    return TextPart(part.text or "")


def format_to_wire(wire_format: WireFormat) -> AudioFormat:
    """Return the format as an object."""
    return _FORMATS[wire_format]


def limits_to_wire(limits: Iterable[RateLimitLeft]) -> list[RateLimit]:
    """Show what is left of an engine's limits."""
    return [
        RateLimit(name=left.name, limit=left.limit, remaining=left.remaining, reset_seconds=left.reset_s)
        for left in limits
    ]


def usage_to_wire(usage: TokenUsage) -> Usage:
    """Add up (contract 4.3: total = input + output; input = text + audio + image; cached is a subset)."""
    input_tokens = usage.input_text + usage.input_audio + usage.input_image
    output_tokens = usage.output_text + usage.output_audio
    return Usage(
        total_tokens=input_tokens + output_tokens,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        input_token_details=InputTokenDetails(
            text_tokens=usage.input_text,
            audio_tokens=usage.input_audio,
            image_tokens=usage.input_image,
            cached_tokens=usage.cached_text + usage.cached_audio + usage.cached_image,
            cached_tokens_details=CachedTokensDetails(
                text_tokens=usage.cached_text, audio_tokens=usage.cached_audio, image_tokens=usage.cached_image
            ),
        ),
        output_token_details=OutputTokenDetails(text_tokens=usage.output_text, audio_tokens=usage.output_audio),
    )


def response_to_wire(
    *,
    id: str,
    status: Literal["in_progress", "completed", "cancelled", "incomplete", "failed"],
    status_details: StatusDetails | None,
    output: list[ConversationItem],
    conversation_id: str | None,
    modality: Literal["audio", "text"],
    wire_format: WireFormat,
    voice: str,
    max_output_tokens: int | Literal["inf"],
    usage: TokenUsage | None,
    metadata: dict[str, str] | None,
) -> ResponseObject:
    """Show a response as it stands, every field of contract 4.2 present."""
    return ResponseObject(
        id=id,
        status=status,
        status_details=status_details,
        output=output,
        conversation_id=conversation_id,
        output_modalities=[modality],
        max_output_tokens=max_output_tokens,
        audio=ResponseAudio(output=ResponseAudioOutput(format=format_to_wire(wire_format), voice=voice)),
        usage=None if usage is None else usage_to_wire(usage),
        metadata=metadata,
    )
