"""Server events of a response: its life, its items, parts and deltas (contract 4.2 to 4.11)."""

from typing import Literal

from voice.protocol.base import PaddedDelta, ServerEvent
from voice.protocol.items import AnyItem, ResponsePart
from voice.protocol.response_object import ResponseObject


class ResponseCreated(ServerEvent):
    """A response begins: status in_progress, no output, no usage."""

    type: Literal["response.created"] = "response.created"
    response: ResponseObject


class ResponseDone(ServerEvent):
    """A response has ended, whatever the outcome; exactly one follows each `response.created`."""

    type: Literal["response.done"] = "response.done"
    response: ResponseObject


class _OfItem(ServerEvent):
    """An event about an item of a response."""

    response_id: str
    item_id: str
    output_index: int


class _OfPart(_OfItem):
    """An event about a content part of an item of a response."""

    content_index: int


class ResponseOutputItemAdded(ServerEvent):
    """An item begins: in_progress, a message without content, a call without arguments."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    response_id: str
    output_index: int
    item: AnyItem


class ResponseOutputItemDone(ServerEvent):
    """An item is final: completed or incomplete."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    response_id: str
    output_index: int
    item: AnyItem


class ResponseContentPartAdded(_OfPart):
    """A part begins; its `part` is `{type: text, text: ""}` or `{type: audio, transcript: ""}`."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: ResponsePart


class ResponseContentPartDone(_OfPart):
    """A part is final, or cut where the response was."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: ResponsePart


class ResponseOutputTextDelta(PaddedDelta, _OfPart):
    """More written text."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"


class ResponseOutputTextDone(_OfPart):
    """The whole text: the concatenation of its deltas."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str


class ResponseOutputAudioDelta(_OfPart):
    """More speech, base64 of whole samples. The hot path writes it by `codec.encode_audio_delta`."""

    type: Literal["response.output_audio.delta"] = "response.output_audio.delta"
    delta: str


class ResponseOutputAudioDone(_OfPart):
    """No more speech of that part."""

    type: Literal["response.output_audio.done"] = "response.output_audio.done"


class ResponseOutputAudioTranscriptDelta(PaddedDelta, _OfPart):
    """More of the words that are spoken."""

    type: Literal["response.output_audio_transcript.delta"] = "response.output_audio_transcript.delta"


class ResponseOutputAudioTranscriptDone(_OfPart):
    """All words that are spoken: the concatenation of the deltas."""

    type: Literal["response.output_audio_transcript.done"] = "response.output_audio_transcript.done"
    transcript: str


class ResponseFunctionCallArgumentsDelta(PaddedDelta, _OfItem):
    """More of the arguments' JSON text."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    call_id: str


class ResponseFunctionCallArgumentsDone(_OfItem):
    """The whole call."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    call_id: str
    name: str
    arguments: str


class ResponseMcpCallArgumentsDelta(PaddedDelta, _OfItem):
    """More of the arguments' JSON text."""

    type: Literal["response.mcp_call_arguments.delta"] = "response.mcp_call_arguments.delta"


class ResponseMcpCallArgumentsDone(_OfItem):
    """The whole arguments; once a call, before any approval."""

    type: Literal["response.mcp_call_arguments.done"] = "response.mcp_call_arguments.done"
    arguments: str


class _OfMcpCall(ServerEvent):
    """An event about the run of an MCP call; it has no response id."""

    item_id: str
    output_index: int


class ResponseMcpCallInProgress(_OfMcpCall):
    """The call is being made."""

    type: Literal["response.mcp_call.in_progress"] = "response.mcp_call.in_progress"


class ResponseMcpCallCompleted(_OfMcpCall):
    """The call has an output."""

    type: Literal["response.mcp_call.completed"] = "response.mcp_call.completed"


class ResponseMcpCallFailed(_OfMcpCall):
    """The call has an error."""

    type: Literal["response.mcp_call.failed"] = "response.mcp_call.failed"
