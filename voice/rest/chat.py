"""`POST /v1/chat/completions`: its request as a conversation of ours, an engine's events as its answer. Pure.

first chunk: role ──► content … ──► tool_calls (id, name) … (arguments) … ──► finish_reason ──► usage ──► [DONE]
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from voice.engines.port import (
    EngineDone,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallStarted,
)
from voice.errors import ContractError
from voice.ids import Ids
from voice.protocol.session_fields import JsonObject
from voice.protocol.validation import ARRAY, TEXT, one_of, tag
from voice.rest.audio import ApiModel, parse_json
from voice.rest.dialogue import DecodeAudio, Dialogue, image, settings_of, tool_spec
from voice.session.items import Part, TextPart
from voice.session.usage import UsageMeter

MAX_MESSAGES: Final = 2000


class _Text(ApiModel):
    type: Literal["text"]
    text: str


class _Refusal(ApiModel):
    type: Literal["refusal"]
    refusal: str


class _AudioFile(ApiModel):
    data: str
    """Base64 of a file."""
    format: str = "wav"


class _InputAudio(ApiModel):
    type: Literal["input_audio"]
    input_audio: _AudioFile


class _ImageUrl(ApiModel):
    url: str = Field(min_length=1)
    detail: str | None = None


class _Image(ApiModel):
    type: Literal["image_url"]
    image_url: _ImageUrl


_ContentPart = Annotated[
    Annotated[_Text, tag("text")]
    | Annotated[_Refusal, tag("refusal")]
    | Annotated[_InputAudio, tag("input_audio")]
    | Annotated[_Image, tag("image_url")],
    one_of("text", "refusal", "input_audio", "image_url"),
]
_Content = Annotated[Annotated[str, tag(TEXT)] | Annotated[list[_ContentPart], tag(ARRAY)], one_of(TEXT, ARRAY)]


class _Function(ApiModel):
    name: str = Field(min_length=1)
    arguments: str


class _ToolCall(ApiModel):
    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: _Function


class _Message(ApiModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: _Content | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _FunctionSpec(ApiModel):
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: JsonObject | None = None


class _Tool(ApiModel):
    type: Literal["function"]
    function: _FunctionSpec


class _NamedFunction(ApiModel):
    name: str


class _NamedTool(ApiModel):
    type: Literal["function"]
    function: _NamedFunction


class _ResponseFormat(ApiModel):
    type: Literal["text"]


class _StreamOptions(ApiModel):
    include_usage: bool = False


class ChatRequest(ApiModel):
    """The body. Sampling parameters are let pass: the engine's own settings decide."""

    model: str = Field(min_length=1)
    messages: list[_Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    tools: list[_Tool] | None = None
    tool_choice: (
        Annotated[
            Annotated[Literal["auto", "none", "required"], tag(TEXT)] | Annotated[_NamedTool, tag("function")],
            one_of(TEXT, "function"),
        ]
        | None
    ) = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    response_format: _ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    logprobs: Literal[False] | None = None
    stop: None = None
    """Not served: an answer ends where the model ends it."""

    @classmethod
    def from_json(cls, body: bytes) -> "ChatRequest":
        """Return the request. Raises: ContractError with the path of the first thing that is wrong."""
        return parse_json(cls, body)

    @property
    def shows_usage(self) -> bool:
        """Whether a stream ends with a chunk of the usage."""
        return self.stream_options is not None and self.stream_options.include_usage

    def response_request(self, decode_audio: DecodeAudio) -> ResponseRequest:
        """Return what to ask the engine. Raises: ContractError."""
        dialogue = Dialogue(decode_audio)
        for number, message in enumerate(self.messages):
            _add(dialogue, message, f"messages[{number}]")
        tools = [
            tool_spec(tool.function.name, tool.function.description, tool.function.parameters)
            for tool in self.tools or []
        ]
        choice = self.tool_choice
        name = choice.function.name if isinstance(choice, _NamedTool) else choice or "auto"
        limit = self.max_completion_tokens or self.max_tokens
        settings = settings_of(dialogue, tools, name, limit)
        return ResponseRequest(dialogue.ids.mint("resp"), tuple(dialogue.items), settings, in_conversation=False)


def _add(dialogue: Dialogue, message: _Message, place: str) -> None:
    if message.role == "tool":
        if message.tool_call_id is None:
            name = f"{place}.tool_call_id"
            raise ContractError(f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
        text = " ".join(part.text for part in _parts(dialogue, message, place) if isinstance(part, TextPart))
        dialogue.add_output(message.tool_call_id, text, f"{place}.tool_call_id")
        return
    parts = _parts(dialogue, message, place)
    if parts or message.role == "user":
        dialogue.add_message(message.role, parts)
    for call in message.tool_calls or []:
        dialogue.add_call(call.id, call.function.name, call.function.arguments)


def _parts(dialogue: Dialogue, message: _Message, place: str) -> list[Part]:
    content = message.content
    if content is None or isinstance(content, str):
        return [TextPart(content)] if content else []
    parts: list[Part] = []
    for number, part in enumerate(content):
        if isinstance(part, _Text):
            parts.append(TextPart(part.text))
        elif isinstance(part, _Refusal):
            parts.append(TextPart(part.refusal))
        elif isinstance(part, _Image):
            parts.append(image(part.image_url.url, part.image_url.detail))
        else:
            parts.append(dialogue.audio(part.input_audio.data, f"{place}.content[{number}].input_audio.data"))
    return parts


# --- The answer ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class ChatAnswer:
    """Grows with an engine's events: `feed` gives the chunks of a stream, `to_wire` the whole at the end."""

    request: ResponseRequest
    model: str
    created: int
    """Unix seconds."""
    id: str = field(default_factory=lambda: f"chatcmpl-{Ids().stem}")
    text: str = ""
    _calls: list[_Call] = field(default_factory=list)
    _counted: TokenUsage | None = None
    _reason: str | None = None

    def begin(self) -> dict[str, Any]:
        """Return the first chunk."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def feed(self, event: ResponseEvent) -> Iterator[dict[str, Any]]:
        """Take an event; yield the chunks that it makes."""
        match event:
            case TextDelta(text):
                self.text += text
                yield self._chunk({"content": text})
            case ToolCallStarted(call_id, name):
                self._calls.append(_Call(call_id, name))
                head = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
                yield self._chunk({"tool_calls": [{"index": len(self._calls) - 1, **head}]})
            case ToolCallDelta(call_id, delta):
                index = next(number for number, call in enumerate(self._calls) if call.id == call_id)
                self._calls[index].arguments += delta
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": delta}}]})
            case TokenUsage():
                self._counted = event
            case EngineDone(reason):
                self._reason = self._finish_reason(reason)
                yield self._chunk({}, self._reason)

    def usage_chunk(self) -> dict[str, Any]:
        """Return the last chunk of a stream that shows its usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": self.usage()}

    def to_wire(self) -> dict[str, Any]:
        """Return the whole answer."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text or None,
            "refusal": None,
            "annotations": [],
        }
        if self._calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self._calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._reason or "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def usage(self) -> dict[str, Any]:
        """Return the tokens: the engine's own count, or the service's rates."""
        written = self.text + "".join(call.name + call.arguments for call in self._calls)
        counted = UsageMeter().count(self.request, self._counted, written, 0)
        entire = counted.input_text + counted.input_audio + counted.input_image
        return {
            "prompt_tokens": entire,
            "completion_tokens": counted.output_text,
            "total_tokens": entire + counted.output_text,
            "prompt_tokens_details": {"cached_tokens": counted.cached_text, "audio_tokens": counted.input_audio},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    def _finish_reason(self, reason: str) -> str:
        if reason == "max_output_tokens":
            return "length"
        if reason == "content_filter":
            return reason
        return "tool_calls" if self._calls else "stop"

    def _chunk(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}
