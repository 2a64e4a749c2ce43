"""Conversation items as the wire has them, in both directions (contract 3.9).

Strict clients take a null string inside an item or a part for a broken event (contract 7.3), so None means *absent*
here, whether it was given or not. The one exception is the `transcript` of `input_audio`, which the real service sends
as null until it is known. What a client may create is narrower: see `creation.py`.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from voice.protocol.base import WireModel
from voice.protocol.validation import one_of, refuse, tag

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ItemObject = Literal["realtime.item"]


class _WithoutNulls(WireModel):
    """An object in which None is absent."""

    nullable: ClassVar[frozenset[str]] = frozenset()
    """Fields whose null is sent all the same."""

    def model_post_init(self, context: Any) -> None:
        """Take what is None out of the fields that are sent."""
        super().model_post_init(context)
        sent = self.__pydantic_fields_set__
        for name in [name for name in sent if getattr(self, name) is None and name not in self.nullable]:
            sent.discard(name)


class ContentPart(_WithoutNulls):
    """A part of a message, or of a response under way.

    Items say `output_text` and `output_audio`, the `part` of a content part event says `text` and `audio`
    (contract 4.2): each place refuses the other's words.
    """

    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio", "text", "audio"]
    text: str | None = None
    audio: str | None = None
    """Base64; only in what a client creates and in `conversation.item.retrieved`."""
    transcript: str | None = None
    image_url: str | None = None
    """A `data:` URI of PNG or JPEG."""
    detail: Literal["auto", "low", "high"] | None = None

    def model_post_init(self, context: Any) -> None:
        """Keep the null transcript of `input_audio`."""
        spoken = self.type == "input_audio" and "transcript" in self.__pydantic_fields_set__
        super().model_post_init(context)
        if spoken:
            self.__pydantic_fields_set__.add("transcript")


def _of_item(part: ContentPart) -> ContentPart:
    if part.type in ("text", "audio"):
        allowed = ("input_text", "input_audio", "input_image", "output_text", "output_audio")
        raise refuse.value(part.type, allowed, at="type")
    return part


def _of_response(part: ContentPart) -> ContentPart:
    if part.type not in ("text", "audio"):
        raise refuse.value(part.type, ("text", "audio"), at="type")
    return part


ItemPart = Annotated[ContentPart, AfterValidator(_of_item)]
ResponsePart = Annotated[ContentPart, AfterValidator(_of_response)]


class MessageItem(_WithoutNulls):
    """Something said, written or shown."""

    id: str | None = None
    object: ItemObject = "realtime.item"
    type: Literal["message"] = "message"
    status: ItemStatus | None = None
    role: Literal["system", "user", "assistant"]
    content: Annotated[list[ItemPart], Field(fail_fast=True)]


class FunctionCallItem(_WithoutNulls):
    """The model asks the client for one of its tools."""

    id: str | None = None
    object: ItemObject = "realtime.item"
    type: Literal["function_call"] = "function_call"
    status: ItemStatus | None = None
    call_id: str | None = None
    name: str
    arguments: str
    """JSON text; may be cut short when the item is incomplete."""


class FunctionCallOutputItem(_WithoutNulls):
    """What the client's tool returned."""

    id: str | None = None
    object: ItemObject = "realtime.item"
    type: Literal["function_call_output"] = "function_call_output"
    status: ItemStatus | None = None
    call_id: str
    output: str


class McpListedTool(_WithoutNulls):
    """A tool as an `mcp_list_tools` item shows it."""

    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    """agents-js drops the whole list when a tool has none: send an empty one."""
    annotations: dict[str, Any] | None = None


class McpListToolsItem(_WithoutNulls):
    """The tools of one server label."""

    id: str | None = None
    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    server_label: str
    tools: list[McpListedTool]


class McpCallError(_WithoutNulls):
    """Why an MCP call failed."""

    type: Literal["protocol_error", "tool_execution_error", "http_error"]
    message: str
    code: int | None = None
    """Of `protocol_error` and `http_error`, which must have one."""

    @model_validator(mode="after")
    def _coded(self) -> "McpCallError":
        if (self.code is None) != (self.type == "tool_execution_error"):
            raise ValueError("a protocol_error and an http_error have a code, a tool_execution_error has none")
        return self


class McpCallItem(_WithoutNulls):
    """A tool of the service is called."""

    id: str
    type: Literal["mcp_call"] = "mcp_call"
    server_label: str
    name: str
    arguments: str
    approval_request_id: str | None = None
    output: str | None = None
    error: McpCallError | None = None


class McpApprovalRequestItem(_WithoutNulls):
    """The client is asked whether a tool may run."""

    id: str
    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    server_label: str
    name: str
    arguments: str


class McpApprovalResponseItem(_WithoutNulls):
    """The client's answer to that. A client may leave `id` to the server."""

    id: str | None = None
    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(_WithoutNulls):
    """An item of the conversation, named; only inside `response.create.input`."""

    type: Literal["item_reference"] = "item_reference"
    id: str = Field(min_length=1)


ConversationItem = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpListToolsItem
    | McpCallItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
)
"""Any item."""

AnyItem = Annotated[
    Annotated[MessageItem, tag("message")]
    | Annotated[FunctionCallItem, tag("function_call")]
    | Annotated[FunctionCallOutputItem, tag("function_call_output")]
    | Annotated[McpListToolsItem, tag("mcp_list_tools")]
    | Annotated[McpCallItem, tag("mcp_call")]
    | Annotated[McpApprovalRequestItem, tag("mcp_approval_request")]
    | Annotated[McpApprovalResponseItem, tag("mcp_approval_response")],
    one_of(
        "message",
        "function_call",
        "function_call_output",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
    ),
]
"""The same as a field type: told apart by `type`."""
