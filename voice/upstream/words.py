"""What is sent to an upstream: client events of the contract, as JSON objects."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

from voice.engines.port import EngineSettings
from voice.protocol.session_fields import LOGPROBS, ServerVad
from voice.session.items import AudioPart, ImagePart, Item, Message, Part, TextPart, ToolCall, ToolOutput
from voice.tooling import ToolSpec
from voice.upstream.options import UpstreamOptions

Event = dict[str, Any]

ANSWERS_FOR: Final = "voice_response_id"
"""The metadata by which a response is known again."""

OUTPUT_SUFFIX: Final = "o"
"""Behind the id of a call that this service ran: the id of its output, an item of its own upstream."""

_UNKNOWN_WORDS = "(The caller said something here that was not written down.)"
_PCM: Final = {"type": "audio/pcm", "rate": 24000}


def session_update(settings: EngineSettings, options: UpstreamOptions) -> Event:
    """Configure the upstream's session: all of it, so that nothing of an earlier one lasts."""
    heard: dict[str, Any] = {"format": _PCM, "turn_detection": _turn_detection(settings, options)}
    model = settings.transcription_model or options.transcription_model
    heard["transcription"] = None if model is None else _transcription(settings, model)
    include = {"include": [LOGPROBS]} if settings.wants_logprobs else {}
    if settings.only_transcribes:
        return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": heard}} | include}
    voice = options.voice or settings.voice
    session: dict[str, Any] = {
        "type": "realtime",
        "instructions": settings.instructions,
        "output_modalities": [settings.output_modality],
        "tools": [*map(_tool, settings.tools), *map(dict, options.tools)],
        "tool_choice": _choice(settings.tool_choice),
        "max_output_tokens": settings.max_output_tokens or "inf",
        "audio": {"input": heard, "output": {"format": _PCM, "voice": voice, "speed": settings.speed}},
    }
    return {"type": "session.update", "session": session | include | dict(settings.passed_on) | dict(options.session)}


def response_create(
    response_id: str,
    settings: EngineSettings,
    configured: EngineSettings,
    context: list[Event] | None = None,
    *,
    beside: bool = False,
    hosted: Sequence[Mapping[str, Any]] = (),
) -> Event:
    """Ask for a response, saying what differs from the session's settings.

    `context`: with these items instead of the conversation's; `beside`: out of band;
    `hosted`: the tools that the upstream runs in any case.
    """
    response: dict[str, Any] = {"metadata": {ANSWERS_FOR: response_id}}
    if beside:
        response["conversation"] = "none"
    if context is not None:
        response["input"] = context
    if settings.instructions != configured.instructions:
        response["instructions"] = settings.instructions
    if settings.tools != configured.tools:
        response["tools"] = [*map(_tool, settings.tools), *map(dict, hosted)]
    if settings.tool_choice != configured.tool_choice:
        response["tool_choice"] = _choice(settings.tool_choice)
    if settings.output_modality != configured.output_modality:
        response["output_modalities"] = [settings.output_modality]
    if settings.max_output_tokens != configured.max_output_tokens:
        response["max_output_tokens"] = settings.max_output_tokens or "inf"
    if settings.voice != configured.voice:
        response["audio"] = {"output": {"voice": settings.voice}}
    for name in ("prompt", "reasoning", "parallel_tool_calls"):
        if name in settings.passed_on and settings.passed_on[name] != configured.passed_on.get(name):
            response[name] = settings.passed_on[name]
    return {"type": "response.create", "event_id": response_id, "response": response}


def say_exactly(response_id: str, words: str) -> Event:
    """Ask for these words and no others. The model is asked, not forced."""
    instructions = f"Say exactly the following, word for word, and nothing else:\n{words}"
    response = {"metadata": {ANSWERS_FOR: response_id}, "instructions": instructions, "tool_choice": "none"}
    return {"type": "response.create", "event_id": response_id, "response": response}


def item_create(item: Event, previous_item_id: str | None) -> Event:
    """Put an item behind another; `root` is the beginning, None the end."""
    event: Event = {"type": "conversation.item.create", "item": item}
    if previous_item_id is not None:
        event["previous_item_id"] = previous_item_id
    return event


def items_of(item: Item, *, with_audio: bool = True) -> list[Event]:
    """Return an item in the wire's words, as a client may create it; none when there is nothing to tell of it.

    Agent speech becomes the words that were heard of it: no client can create assistant audio (contract 2.5).
    """
    match item:
        case Message(role="assistant"):
            words = item.text
            return [_message(item, [{"type": "output_text", "text": words}])] if words else []
        case Message():
            return [_message(item, [_part(part, with_audio=with_audio) for part in item.parts])]
        case ToolCall():
            return _call(item)
        case ToolOutput():
            return [_output(item.id, item.call_id, item.output)]


def _message(item: Message, content: list[Event]) -> Event:
    return {"type": "message", "id": item.id, "role": item.role, "content": content}


def _part(part: Part, *, with_audio: bool) -> Event:
    match part:
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case ImagePart(image_url=url, detail=detail):
            return {"type": "input_image", "image_url": url, "detail": detail}
        case AudioPart(is_silence=True, duration_ms=duration_ms):
            return {"type": "input_text", "text": f"(The caller said nothing for {duration_ms // 1000} seconds.)"}
        case AudioPart(pcm=pcm) if pcm and with_audio:
            return {"type": "input_audio", "audio": base64.b64encode(pcm).decode()}
        case AudioPart():
            return {"type": "input_text", "text": part.words or _UNKNOWN_WORDS}


def _call(item: ToolCall) -> list[Event]:
    if item.status == "incomplete":
        return []  # its arguments were cut short, and nothing was run
    call: Event = {
        "type": "function_call",
        "id": item.id,
        "call_id": item.call_id,
        "name": item.name,
        "arguments": item.arguments,
    }
    result = call_output(item)
    return [call] if result is None else [call, result]


def call_output(item: ToolCall) -> Event | None:
    """Return the output of a call that this service ran, once it is there."""
    words = item.output if item.output is not None else item.error
    return None if words is None else _output(item.id + OUTPUT_SUFFIX, item.call_id, words)


def _output(item_id: str, call_id: str, output: str) -> Event:
    return {"type": "function_call_output", "id": item_id, "call_id": call_id, "output": output}


def _turn_detection(settings: EngineSettings, options: UpstreamOptions) -> Event | None:
    """Turns are found there and decided here: the upstream neither answers nor interrupts by itself."""
    detection = settings.turn_detection
    if options.turns == "ours" or detection is None:
        return None
    found = detection.model_dump(exclude_none=True) | {"create_response": False, "interrupt_response": False}
    if isinstance(detection, ServerVad):
        found.pop("idle_timeout_ms", None)  # counted here
    return found


def _transcription(settings: EngineSettings, model: str) -> Event:
    named = {"language": settings.transcription_language, "prompt": settings.transcription_prompt}
    hints = settings.transcription_hints
    return {"model": model} | {name: value for name, value in named.items() if value} | dict(hints)


def _tool(tool: ToolSpec) -> Event:
    return {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _choice(choice: str) -> Any:
    return choice if choice in ("auto", "none", "required") else {"type": "function", "name": choice}
