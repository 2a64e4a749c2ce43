"""What a client may put into a conversation (contract 3.9): narrower than what an item may be."""

import re
from typing import Annotated, Final

import pybase64
from pydantic import AfterValidator

from voice.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    ItemReference,
    McpApprovalResponseItem,
    MessageItem,
)
from voice.protocol.validation import one_of, refuse, tag

_PARTS_OF_ROLE: Final = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    # Speech of the assistant cannot be brought in: only what the service itself spoke is audio (contract 2.5).
    "assistant": ("output_text",),
}

_FIELDS_OF_PART: Final = {
    "input_text": ("text", frozenset({"type", "text"})),
    "input_audio": ("audio", frozenset({"type", "audio", "transcript"})),
    "input_image": ("image_url", frozenset({"type", "image_url", "detail"})),
    "output_text": ("text", frozenset({"type", "text"})),
}
"""By part type: the field it must have, and all it may have."""

_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_-]+\Z")
_IMAGE: Final = re.compile(r"data:image/(png|jpe?g);base64,")


def _check_message(item: MessageItem) -> MessageItem:
    _check_id(item.id)
    for index, part in enumerate(item.content):
        at = f"content[{index}]"
        allowed = _PARTS_OF_ROLE[item.role]
        if part.type not in allowed:
            raise refuse.value(part.type, allowed, at=f"{at}.type")
        needed, known = _FIELDS_OF_PART[part.type]
        for name in sorted(part.model_fields_set - known):
            raise refuse.unknown(f"{at}.{name}")
        if getattr(part, needed) is None:
            raise refuse.missing(f"{at}.{needed}")
        _check_payload(part, at)
    return item


def _check_payload(part: ContentPart, at: str) -> None:
    if part.audio is not None:
        try:
            pybase64.b64decode(part.audio, validate=True)
        except ValueError:
            raise refuse.because("Invalid '{param}': expected base64-encoded audio.", at=f"{at}.audio") from None
    if part.image_url is not None and not _IMAGE.match(part.image_url):
        message = "Invalid '{param}': expected a base64-encoded data URI of a PNG or JPEG image."
        raise refuse.because(message, at=f"{at}.image_url")


def _check_call(item: FunctionCallItem) -> FunctionCallItem:
    _check_id(item.id)
    if item.call_id is not None:
        _check_call_id(item.call_id)
    return item


def _check_output(item: FunctionCallOutputItem) -> FunctionCallOutputItem:
    _check_id(item.id)
    _check_call_id(item.call_id)
    return item


def _check_approval(item: McpApprovalResponseItem) -> McpApprovalResponseItem:
    _check_id(item.id)
    return item


def _check_id(item_id: str | None) -> None:
    if item_id == "":
        message = "Invalid '{param}': string too short. Expected a string with minimum length 1."
        raise refuse.because(message, "string_below_min_length", "id")


def _check_call_id(call_id: str) -> None:
    if not _CALL_ID.match(call_id):
        message = "Invalid '{param}': string does not match pattern. Expected a string that matches '^[a-zA-Z0-9_-]+$'."
        raise refuse.because(message, at="call_id")


_Message = Annotated[MessageItem, AfterValidator(_check_message), tag("message")]
_Call = Annotated[FunctionCallItem, AfterValidator(_check_call), tag("function_call")]
_Output = Annotated[FunctionCallOutputItem, AfterValidator(_check_output), tag("function_call_output")]
_Approval = Annotated[McpApprovalResponseItem, AfterValidator(_check_approval), tag("mcp_approval_response")]
_Reference = Annotated[ItemReference, tag("item_reference")]

CreatableItem = Annotated[
    _Message | _Call | _Output | _Approval,
    one_of("message", "function_call", "function_call_output", "mcp_approval_response"),
]
"""What `conversation.item.create` takes. Items of a server's tools are the service's own to make."""

InputItem = Annotated[
    _Message | _Call | _Output | _Approval | _Reference,
    one_of("message", "function_call", "function_call_output", "mcp_approval_response", "item_reference"),
]
"""What `response.create.input` takes."""
