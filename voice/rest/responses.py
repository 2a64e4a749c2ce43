"""`POST /v1/responses`: its request as a conversation of ours, an engine's events as its typed events. Pure.

created ─ in_progress ─┬─ output_item.added ─ content_part.added ─ output_text.delta … ─ dones ─┬─ completed
                       └─ output_item.added ─ function_call_arguments.delta … ─ dones ──────────┘  incomplete
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field

from voice.engines.port import (
    EngineDone,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
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

MAX_ITEMS: Final = 2000

_T = TypeVar("_T")


class _InputText(ApiModel):
    type: Literal["input_text"]
    text: str


class _OutputText(ApiModel):
    type: Literal["output_text"]
    text: str


class _InputImage(ApiModel):
    type: Literal["input_image"]
    image_url: str = Field(min_length=1)
    detail: str | None = None


_Part = Annotated[
    Annotated[_InputText, tag("input_text")]
    | Annotated[_OutputText, tag("output_text")]
    | Annotated[_InputImage, tag("input_image")],
    one_of("input_text", "output_text", "input_image"),
]
_Content = Annotated[Annotated[str, tag(TEXT)] | Annotated[list[_Part], tag(ARRAY)], one_of(TEXT, ARRAY)]


class _Item(ApiModel):
    """A message (the type may be left out), a function call or its output."""

    type: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: _Content | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: _Content | None = None


_Input = Annotated[Annotated[str, tag(TEXT)] | Annotated[list[_Item], tag(ARRAY)], one_of(TEXT, ARRAY)]


class _Tool(ApiModel):
    type: Literal["function"]
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: JsonObject | None = None


class _NamedTool(ApiModel):
    type: Literal["function"]
    name: str


class _TextFormat(ApiModel):
    type: Literal["text"] = "text"


class _TextConfig(ApiModel):
    format: _TextFormat | None = None


class ResponsesRequest(ApiModel):
    """The body. Sampling parameters are let pass; nothing is stored, so there is nothing earlier to refer to."""

    model: str = Field(min_length=1)
    input: _Input
    instructions: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: (
        Annotated[
            Annotated[Literal["auto", "none", "required"], tag(TEXT)] | Annotated[_NamedTool, tag("function")],
            one_of(TEXT, "function"),
        ]
        | None
    ) = None
    max_output_tokens: int | None = Field(None, ge=1)
    stream: bool | None = None
    text: _TextConfig | None = None
    background: Literal[False] | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    metadata: dict[str, str] | None = None

    @classmethod
    def from_json(cls, body: bytes) -> "ResponsesRequest":
        """Return the request. Raises: ContractError with the path of the first thing that is wrong."""
        request = parse_json(cls, body)
        for name in ("previous_response_id", "conversation"):
            if getattr(request, name) is not None:
                message = f"Unsupported parameter: '{name}'. Responses are not stored here: send the items themselves."
                raise ContractError(message, code="unsupported_parameter", param=name)
        return request

    def response_request(self, decode_audio: DecodeAudio) -> ResponseRequest:
        """Return what to ask the engine. Raises: ContractError."""
        dialogue = Dialogue(decode_audio)
        if self.instructions:
            dialogue.instructions.append(self.instructions)
        if isinstance(self.input, str):
            dialogue.add_message("user", [TextPart(self.input)])
        else:
            if not 0 < len(self.input) <= MAX_ITEMS:
                raise ContractError(f"Invalid 'input': expected 1 to {MAX_ITEMS} items.", param="input")
            for number, item in enumerate(self.input):
                _add(dialogue, item, f"input[{number}]")
        tools = [tool_spec(tool.name, tool.description, tool.parameters) for tool in self.tools or []]
        choice = self.tool_choice
        name = choice.name if isinstance(choice, _NamedTool) else choice or "auto"
        settings = settings_of(dialogue, tools, name, self.max_output_tokens)
        return ResponseRequest(dialogue.ids.mint("resp"), tuple(dialogue.items), settings, in_conversation=False)


def _add(dialogue: Dialogue, item: _Item, place: str) -> None:
    if item.type == "message":
        role, content = _given(item.role, f"{place}.role"), _given(item.content, f"{place}.content")
        dialogue.add_message(role, _parts(content))
    elif item.type == "function_call":
        call_id, name = _given(item.call_id, f"{place}.call_id"), _given(item.name, f"{place}.name")
        dialogue.add_call(call_id, name, _given(item.arguments, f"{place}.arguments"))
    else:
        output = _given(item.output, f"{place}.output")
        text = " ".join(part.text for part in _parts(output) if isinstance(part, TextPart))
        dialogue.add_output(_given(item.call_id, f"{place}.call_id"), text, f"{place}.call_id")


def _given(value: _T | None, param: str) -> _T:
    if value is None:
        message = f"Missing required parameter: '{param}'."
        raise ContractError(message, code="missing_required_parameter", param=param)
    return value


def _parts(content: str | Sequence[str | _InputText | _OutputText | _InputImage]) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    return [
        image(part.image_url, part.detail) if isinstance(part, _InputImage) else TextPart(part.text)
        for part in content
        if not isinstance(part, str)
    ]


# --- The answer ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """The output item under way."""

    index: int
    item: dict[str, Any]
    text: str = ""


@dataclass(slots=True)
class ResponsesAnswer:
    """Grows with an engine's events: `begin`, `feed` and `finish` give a stream's events, `to_wire` the whole."""

    asked: ResponsesRequest
    request: ResponseRequest
    created_at: int
    """Unix seconds."""
    id: str = field(default_factory=lambda: f"resp_{Ids().stem}")
    status: str = "in_progress"
    _output: list[dict[str, Any]] = field(default_factory=list)
    _open: _Open | None = None
    _counted: TokenUsage | None = None
    _reason: str | None = None
    _sequence: int = 0

    def begin(self) -> Iterator[dict[str, Any]]:
        """Yield the first events."""
        yield self._event("response.created", response=self.to_wire())
        yield self._event("response.in_progress", response=self.to_wire())

    def feed(self, event: ResponseEvent) -> Iterator[dict[str, Any]]:
        """Take an event; yield the events that it makes."""
        match event:
            case TextDelta(text):
                yield from self._write(text)
            case ToolCallStarted(call_id, name):
                yield from self._close_item()
                item = {"id": self._new_id("fc"), "type": "function_call", "status": "in_progress"}
                yield self._open_item({**item, "call_id": call_id, "name": name, "arguments": ""})
            case ToolCallDelta(_, delta) if self._open is not None:
                self._open.item["arguments"] += delta
                yield self._in_item("response.function_call_arguments.delta", delta=delta)
            case ToolCallDone():
                yield from self._close_item()
            case TokenUsage():
                self._counted = event
            case EngineDone(reason):
                self._reason = None if reason == "completed" else reason
                yield from self._close_item("incomplete" if self._reason else "completed")
                self.status = "incomplete" if self._reason else "completed"
                yield self._event(f"response.{self.status}", response=self.to_wire())

    def fail(self, code: str, message: str) -> Iterator[dict[str, Any]]:
        """Yield the end of a stream whose engine failed."""
        self.status = "failed"
        yield self._event("response.failed", response={**self.to_wire(), "error": {"code": code, "message": message}})

    def to_wire(self) -> dict[str, Any]:
        """Return the response as it stands."""
        settings = self.request.settings
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created_at,
            "status": self.status,
            "error": None,
            "incomplete_details": {"reason": self._reason} if self._reason else None,
            "instructions": self.asked.instructions,
            "max_output_tokens": self.asked.max_output_tokens,
            "metadata": self.asked.metadata or {},
            "model": self.asked.model,
            "output": [dict(item) for item in self._output],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": None,
            "text": {"format": {"type": "text"}},
            "tool_choice": settings.tool_choice if self.asked.tools else "auto",
            "tools": [{"strict": False, **tool.model_dump()} for tool in self.asked.tools or []],
            "top_p": None,
            "truncation": "disabled",
            "usage": None if self.status == "in_progress" else self._usage(),
        }

    def _write(self, text: str) -> Iterator[dict[str, Any]]:
        if self._open is None or self._open.item["type"] != "message":
            yield from self._close_item()
            item = {"id": self._new_id("msg"), "type": "message", "status": "in_progress", "role": "assistant"}
            yield self._open_item({**item, "content": []})
            yield self._in_item("response.content_part.added", content_index=0, part=_text_part(""))
        if self._open is not None:
            self._open.text += text
            self._open.item["content"] = [_text_part(self._open.text)]
        yield self._in_item("response.output_text.delta", content_index=0, delta=text, logprobs=[])

    def _open_item(self, item: dict[str, Any]) -> dict[str, Any]:
        self._open = _Open(len(self._output), item)
        self._output.append(item)
        return self._event("response.output_item.added", output_index=self._open.index, item=dict(item))

    def _close_item(self, status: str = "completed") -> Iterator[dict[str, Any]]:
        if self._open is None:
            return
        item = self._open.item
        if item["type"] == "message":
            text = self._open.text
            yield self._in_item("response.output_text.done", content_index=0, text=text, logprobs=[])
            yield self._in_item("response.content_part.done", content_index=0, part=_text_part(text))
        else:
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield self._in_item("response.function_call_arguments.done", **done)
        item["status"] = status
        yield self._event("response.output_item.done", output_index=self._open.index, item=dict(item))
        self._open = None

    def _in_item(self, kind: str, **fields: Any) -> dict[str, Any]:
        if self._open is None:
            raise RuntimeError("no output item is under way")
        return self._event(kind, item_id=self._open.item["id"], output_index=self._open.index, **fields)

    def _event(self, kind: str, **fields: Any) -> dict[str, Any]:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **fields}

    def _new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.id.removeprefix('resp_')}{len(self._output):02x}"

    def _usage(self) -> dict[str, Any]:
        written = "".join(
            self._text_of(item) if item["type"] == "message" else item["name"] + item["arguments"]
            for item in self._output
        )
        counted = UsageMeter().count(self.request, self._counted, written, 0)
        entire = counted.input_text + counted.input_audio + counted.input_image
        return {
            "input_tokens": entire,
            "input_tokens_details": {"cached_tokens": counted.cached_text, "cache_write_tokens": 0},
            "output_tokens": counted.output_text,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": entire + counted.output_text,
        }

    @staticmethod
    def _text_of(item: dict[str, Any]) -> str:
        return "".join(part["text"] for part in item["content"])


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
