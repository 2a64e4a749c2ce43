"""Writes the prompt of a Qwen chat model, so that every prompt of a session begins with the one before it.

    <|im_start|>system
    instructions · how to speak · tools<|im_end|>          constant while the settings are
    <|im_start|>user … assistant … user … <|im_end|>       grows at the end only
    <|im_start|>assistant

The model's cache holds the last prompt and its answer; whatever the next prompt shares with it costs nothing. What the
caller did not hear is not in it (`Message.text`). Pure.
"""

import json
from collections.abc import Mapping, Sequence

from voice.engines.port import EngineSettings
from voice.session.items import Item, Message, ToolCall, ToolOutput
from voice.tooling import ToolSpec

STOP = ("<|im_end|>", "<|im_start|>", "<|endoftext|>")
"""Where a generation ends at the latest; the runtime stops at the first by itself."""

SPEAKING = "Answer in one or two short spoken sentences of plain words."
WRITING = "Answer in one or two short sentences of plain text."
TOOL_RULES = (
    "Call a function only when the user asks for it and has said every value it needs; otherwise ask for what is "
    "missing. Never mention functions."
)

_KEPT = ("type", "description", "enum", "const", "format", "items", "properties", "required", "minimum", "maximum")
_MAX_OUTPUT_CHARS = 2000


def prefix(settings: EngineSettings) -> str:
    """Return the part of the prompt that depends on the settings alone."""
    blocks = [settings.instructions.strip(), SPEAKING if settings.output_modality == "audio" else WRITING]
    if settings.tools and settings.tool_choice != "none":
        blocks.append(_tools_block(settings.tools))
    return turn("system", "\n\n".join(block for block in blocks if block))


def build_prompt(
    settings: EngineSettings,
    items: Sequence[Item],
    *,
    transcripts: Mapping[str, str] | None = None,
    hint: str = "",
    limit_chars: int = 8000,
) -> str:
    """Return the prompt for an answer to `items`.

    `transcripts` gives the words of user items whose own are still missing. `hint` is said to the model behind
    everything else and belongs to this answer only. Of a history over `limit_chars` the oldest half is left out, so
    that the beginning stays the same for many turns.
    """
    body = render(items, transcripts or {}, limit_chars=limit_chars)
    return prefix(settings) + body + (turn("system", hint) if hint else "") + ANSWER_HEAD


def render(items: Sequence[Item], transcripts: Mapping[str, str], *, limit_chars: int = 8000) -> str:
    """Return the turns of the conversation."""
    turns = [text for text in (_item(item, items, transcripts) for item in items) if text]
    return "".join(turns[_first_kept([len(text) for text in turns], limit_chars) :])


ANSWER_HEAD = "<|im_start|>assistant\n"
USER_HEAD = "<|im_start|>user\n"
TURN_END = "<|im_end|>\n"


def turn(role: str, text: str) -> str:
    """Return one turn of the template."""
    return f"<|im_start|>{role}\n{_inert(text)}{TURN_END}"


def call_text(name: str, arguments: str) -> str:
    """Return a tool call as the model writes it."""
    return f'{{"name": {json.dumps(name)}, "arguments": {arguments}}}'


def words_of(item: Message, transcripts: Mapping[str, str]) -> str:
    """Return what was said or written in a message; a transcript that is still missing comes from `transcripts`."""
    return item.text or transcripts.get(item.id, "")


def _item(item: Item, items: Sequence[Item], transcripts: Mapping[str, str]) -> str:
    if isinstance(item, Message):
        words = words_of(item, transcripts)
        return turn(item.role, words) if words else ""
    if isinstance(item, ToolCall):
        return _call(item, items)
    return _output(item.output)


def _call(call: ToolCall, items: Sequence[Item]) -> str:
    """A service's call carries its output; a client's is another item. A call that has neither never happened."""
    text = turn("assistant", call_text(call.name, call.arguments))
    if call.output is not None or call.error is not None:
        return text + _output(call.error if call.output is None else call.output, failed=call.output is None)
    answered = any(isinstance(item, ToolOutput) and item.call_id == call.call_id for item in items)
    return text if answered else ""


def _output(output: str | None, *, failed: bool = False) -> str:
    text = (output or "")[:_MAX_OUTPUT_CHARS]
    return turn("user", f"<tool_response>\n{'Failed: ' if failed else ''}{text}\n</tool_response>")


def _first_kept(lengths: Sequence[int], limit: int) -> int:
    """Return the index from which a history fits; it moves in steps of half the limit."""
    total = sum(lengths)
    if total <= limit:
        return 0
    step = max(1, limit // 2)
    target = -(-(total - limit) // step) * step
    dropped = index = 0
    while index < len(lengths) - 1 and dropped < target:
        dropped += lengths[index]
        index += 1
    return index


def _tools_block(tools: Sequence[ToolSpec]) -> str:
    lines = "\n".join(
        json.dumps(
            {"name": tool.name, "description": tool.description, "parameters": _compact(tool.parameters)},
            ensure_ascii=False,
        )
        for tool in tools
    )
    return (
        f"# Tools\n\nYou may call these functions:\n<tools>\n{lines}\n</tools>\n\n{TOOL_RULES} "
        'A call is one line of JSON: {"name": <function-name>, "arguments": <args-json-object>}'
    )


def _compact(schema: object) -> object:
    """Leave out of a schema what a model has no use for: every token of it is computed once a session."""
    if isinstance(schema, list):
        return [_compact(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    compact: dict[str, object] = {}
    for key, value in schema.items():
        if key == "properties" and isinstance(value, dict):
            compact[key] = {name: _compact(sub) for name, sub in value.items()}
        elif key in _KEPT or key.startswith("$") or key in ("anyOf", "oneOf", "allOf"):
            compact[key] = value if key in ("enum", "const", "required", "description") else _compact(value)
    return compact


def _inert(text: str) -> str:
    """Keep what was said from being taken for the template's own marks."""
    return text.replace("<|", "< |")
