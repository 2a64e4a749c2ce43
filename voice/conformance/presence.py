"""What the real service always sends although its types leave it open, and where a null breaks strict clients.

Needs no SDK. Sources: contract 4.2, 4.3, live captures of 3.2, and the rule at the end of 7.3.
"""

from collections.abc import Iterator
from typing import Any

Frame = dict[str, Any]

_SESSION = ("session.type", "session.object", "session.id", "session.expires_at", "session.audio")
_RESPONSE = ("id", "object", "status", "status_details", "output", "conversation_id", "output_modalities")

ALWAYS: dict[str, tuple[str, ...]] = {
    "session.created": _SESSION,
    "session.updated": _SESSION,
    "conversation.item.added": ("previous_item_id", "item.id"),
    "conversation.item.done": ("previous_item_id", "item.id"),
    "conversation.item.retrieved": ("item.id",),
    "input_audio_buffer.committed": ("previous_item_id",),
    "response.created": tuple(f"response.{name}" for name in (*_RESPONSE, "usage", "metadata")),
    "response.done": tuple(f"response.{name}" for name in (*_RESPONSE, "usage", "metadata")),
    "error": ("error.type", "error.code", "error.message", "error.param", "error.event_id"),
}

_NOT_NULL_IN_ITEM = ("id", "object", "type", "role", "status", "name", "arguments", "call_id", "output", "server_label")
_NULL_WHERE_IT_FITS = {"mcp_call": ("output",)}
_NOT_NULL_IN_PART = ("type", "text", "audio", "transcript")


def faults(frame: Frame) -> Iterator[str]:
    """Yield what is missing or null in a server event."""
    kind = frame.get("type", "")
    if kind != "input_audio_buffer.dtmf_event_received" and not isinstance(frame.get("event_id"), str):
        yield "event_id is missing"
    for path in ALWAYS.get(kind, ()):
        if not _has(frame, path):
            yield f"{path} is missing"
    for name, item in _items(frame):
        for key in _NOT_NULL_IN_ITEM:
            if item.get(key, "") is None and key not in _NULL_WHERE_IT_FITS.get(item.get("type", ""), ()):
                yield f"{name}.{key} is null; strict clients take only its absence"
    if not _names_its_format(frame):
        yield "response.audio.output.format.type is missing"
    part = frame.get("part")
    if isinstance(part, dict):
        for key in _NOT_NULL_IN_PART:
            if part.get(key, "") is None:
                yield f"part.{key} is null; strict clients take only its absence"


def _has(frame: Frame, path: str) -> bool:
    value: Any = frame
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _names_its_format(frame: Frame) -> bool:
    """A format is an object of its type; an empty one says nothing (contract 4.2)."""
    path = "response.audio.output.format"
    return not _has(frame, path) or _has(frame, f"{path}.type")


def _items(frame: Frame) -> Iterator[tuple[str, Frame]]:
    if isinstance(frame.get("item"), dict):
        yield "item", frame["item"]
    response = frame.get("response")
    output = response.get("output") if isinstance(response, dict) else None
    for index, item in enumerate(output if isinstance(output, list) else ()):
        if isinstance(item, dict):
            yield f"response.output[{index}]", item
