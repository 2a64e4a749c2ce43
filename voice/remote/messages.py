"""Items of ours as the messages of Chat Completions and the items of Responses. Pure.

A prompt of a session begins with the one before it, so that a server's prompt cache holds: the instructions and tools
stand first and never move, and of a history that has grown too long half the limit is left out at once.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from voice.engines.port import EngineSettings
from voice.engines.prompt import SPEAKING, words_of
from voice.session.items import ImagePart, Item, Message, ToolCall, ToolOutput
from voice.tooling import ToolSpec

Json = dict[str, Any]


def instructions_of(settings: EngineSettings) -> str:
    """Return the system's words; an answer that is spoken must not be a page with headings."""
    style = SPEAKING if settings.output_modality == "audio" else ""
    return "\n\n".join(text for text in (settings.instructions.strip(), style) if text)


def kept(items: Sequence[Item], transcripts: Mapping[str, str], limit_chars: int) -> Sequence[Item]:
    """Leave the oldest items out of a history beyond `limit_chars`, in steps of half of it; never the last one.

    What is kept begins with somebody's words: a tool's output without its call is refused by every server.
    """
    lengths = [len(_text(item, transcripts)) for item in items]
    surplus = sum(lengths) - limit_chars
    if surplus <= 0:
        return items
    step = max(1, limit_chars // 2)
    target = -(-surplus // step) * step
    dropped = index = 0
    while index < len(items) - 1 and dropped < target:
        dropped += lengths[index]
        index += 1
    while index < len(items) - 1 and isinstance(items[index], ToolOutput):
        index += 1
    return items[index:]


def _text(item: Item, transcripts: Mapping[str, str]) -> str:
    if isinstance(item, Message):
        return words_of(item, transcripts)
    if isinstance(item, ToolCall):
        return item.arguments + (item.output or item.error or "")
    return item.output


def answered(items: Sequence[Item]) -> list[Item]:
    """Return the items without the calls that nobody answered, and the outputs that nobody asked for."""
    outputs = {item.call_id for item in items if isinstance(item, ToolOutput)}
    calls = {item.call_id for item in items if isinstance(item, ToolCall)}
    found: list[Item] = []
    for item in items:
        if isinstance(item, ToolCall) and item.output is None and item.error is None and item.call_id not in outputs:
            continue
        if isinstance(item, ToolOutput) and item.call_id not in calls:
            continue
        found.append(item)
    return found


def output_of(call: ToolCall) -> str | None:
    """Return what a tool of the service gave back; None for a client's, whose output is an item of its own."""
    if call.output is not None:
        return call.output
    return f"Failed: {call.error}" if call.error is not None else None


# --- Chat Completions --------------------------------------------------------------------------------------------


def chat_messages(
    settings: EngineSettings, items: Sequence[Item], transcripts: Mapping[str, str], *, with_images: bool = False
) -> list[Json]:
    """Return `messages`. Calls that follow each other stand in one message, as the API wants parallel calls."""
    system = instructions_of(settings)
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    waiting: list[Json] = []
    for item in answered(items):
        if isinstance(item, ToolCall):
            call = {
                "id": item.call_id,
                "type": "function",
                "function": {"name": item.name, "arguments": item.arguments},
            }
            last = messages[-1] if messages else {}
            if last.get("tool_calls") and not waiting:
                last["tool_calls"].append(call)
            elif waiting and messages[-1 - len(waiting)].get("tool_calls"):
                messages[-1 - len(waiting)]["tool_calls"].append(call)
            else:
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            output = output_of(item)
            if output is not None:
                waiting.append({"role": "tool", "tool_call_id": item.call_id, "content": output})
                messages.append(waiting[-1])
            continue
        waiting = []
        if isinstance(item, ToolOutput):
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": item.output})
        elif message := _chat_message(item, transcripts, with_images=with_images):
            messages.append(message)
    return messages


def _chat_message(item: Message, transcripts: Mapping[str, str], *, with_images: bool) -> Json | None:
    words = words_of(item, transcripts)
    images = [part for part in item.parts if isinstance(part, ImagePart)] if with_images else []
    if images and item.role == "user":
        shown: list[Json] = [
            {"type": "image_url", "image_url": {"url": part.image_url, "detail": part.detail}} for part in images
        ]
        return {"role": "user", "content": [*([{"type": "text", "text": words}] if words else []), *shown]}
    return {"role": item.role, "content": words} if words else None


def chat_tools(tools: Sequence[ToolSpec], *, strict: bool) -> list[Json]:
    """Return `tools`."""
    return [{"type": "function", "function": _function(tool, strict=strict)} for tool in tools]


def chat_tool_choice(choice: str) -> str | Json:
    """Return `tool_choice`."""
    return choice if choice in ("auto", "none", "required") else {"type": "function", "function": {"name": choice}}


# --- Responses ---------------------------------------------------------------------------------------------------


def response_items(items: Sequence[Item], transcripts: Mapping[str, str], *, with_images: bool = False) -> list[Json]:
    """Return `input`."""
    found: list[Json] = []
    for item in answered(items):
        if isinstance(item, ToolCall):
            found.append(
                {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            )
            output = output_of(item)
            if output is not None:
                found.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
        elif isinstance(item, ToolOutput):
            found.append({"type": "function_call_output", "call_id": item.call_id, "output": item.output})
        elif message := _response_message(item, transcripts, with_images=with_images):
            found.append(message)
    return found


def _response_message(item: Message, transcripts: Mapping[str, str], *, with_images: bool) -> Json | None:
    words = " ".join(words_of(item, transcripts).split())
    images = [part for part in item.parts if isinstance(part, ImagePart)] if with_images else []
    if images and item.role == "user":
        shown: list[Json] = [
            {"type": "input_image", "image_url": part.image_url, "detail": part.detail} for part in images
        ]
        said: list[Json] = [{"type": "input_text", "text": words}] if words else []
        return {"type": "message", "role": "user", "content": [*said, *shown]}
    return said_message(item.role, words) if words else None


def said_message(role: str, words: str) -> Json:
    """Return a message of words only."""
    return {"type": "message", "role": role, "content": words}


def response_tools(tools: Sequence[ToolSpec], *, strict: bool) -> list[Json]:
    """Return `tools`."""
    return [{"type": "function", **_function(tool, strict=strict)} for tool in tools]


def response_tool_choice(choice: str) -> str | Json:
    """Return `tool_choice`."""
    return choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}


def _function(tool: ToolSpec, *, strict: bool) -> Json:
    function: Json = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {**function, "strict": True} if strict and is_closed(tool.parameters) else {**function, "strict": False}


def is_closed(schema: object) -> bool:
    """Tell whether structured outputs take a schema: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object":
        properties = schema.get("properties", {})
        if schema.get("additionalProperties") is not False or set(schema.get("required", ())) != set(properties):
            return False
    return all(is_closed(value) for value in schema.values())


def fingerprint(value: object) -> str:
    """Return a text by which two requests are told apart."""
    return json.dumps(value, sort_keys=True, default=str)
