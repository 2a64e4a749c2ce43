"""Translates frames between clients of the beta, which ended in 2026, and the contract as it is now (contract 7.7).

    beta client ──to_ga──► the service ──to_beta──► beta client

Total functions on JSON: what is not known passes as it is, so that one place judges what is wrong, the decoder. Names
of parameters in errors come back as the client wrote them. What the beta had no word for is sent under its own name:
old clients pass over what they do not know.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

Json = dict[str, Any]

_APPEND: Final = '"input_audio_buffer.append"'
_DELTA: Final = '{"type":"response.output_audio.delta"'
_BETA_DELTA: Final = '{"type":"response.audio.delta"'

TEMPERATURE: Final = 0.8
"""What sessions of the beta began with; nothing heeds it any more."""

_FORMATS: Final[Mapping[str, Json]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_BETA_FORMATS: Final = {known["type"]: name for name, known in _FORMATS.items()}

_SESSION_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
    "output_audio_format": ("audio", "output", "format"),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
}
"""Where the flat fields of a beta session, or of a response, went."""

_DROPPED: Final = frozenset({"temperature", "client_secret"})

_EVENTS: Final = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_PARTS: Final = {"output_text": "text", "output_audio": "audio"}
_CHOICES: Final = ("auto", "none", "required")


# --- From the client ----------------------------------------------------------------------------------------------


def to_ga(frame: str) -> str:
    """Return a client's frame as the contract has it now."""
    if _APPEND in frame:
        return frame  # nothing of it has changed, and most frames are these
    event = _object(frame)
    if event is None:
        return frame
    match event.get("type"):
        case "session.update" if isinstance(event.get("session"), dict):
            event["session"] = session_to_ga(event["session"])
        case "transcription_session.update" if isinstance(event.get("session"), dict):
            event |= {"type": "session.update", "session": session_to_ga(event["session"], kind="transcription")}
        case "response.create" if isinstance(event.get("response"), dict):
            event["response"] = _response_to_ga(event["response"])
        case "conversation.item.create":
            event["item"] = _item_to_ga(event.get("item"))
        case _:
            return frame
    return _frame(event)


def session_to_ga(session: Json, *, kind: str = "realtime") -> Json:
    """Return the configuration in its present shape; `kind` is what its `type` says where it says nothing."""
    given = {"type": kind, **_unflatten(session)}
    if given["type"] == "transcription":
        given.pop("output_modalities", None)  # the beta had it there, too
    return given


def _response_to_ga(response: Json) -> Json:
    given = _unflatten(response)
    if isinstance(given.get("input"), list):
        given["input"] = [_item_to_ga(item) for item in given["input"]]
    return given


def _unflatten(flat: Json) -> Json:
    nested: Json = {}
    for name, value in flat.items():
        if name not in _DROPPED:
            _put(nested, _SESSION_PATHS.get(name, (name,)), _value_to_ga(name, value))
    return nested


def _put(nested: Json, path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        below = nested.setdefault(step, {})
        if not isinstance(below, dict):
            return  # the client said both, and this one is for the decoder to refuse
        nested = below
    nested[path[-1]] = value


def _value_to_ga(name: str, value: Any) -> Any:
    if name == "modalities" and isinstance(value, list):
        return ["audio"] if "audio" in value else value
    if name.endswith("audio_format") and isinstance(value, str):
        return _FORMATS.get(value, value)
    if name == "tool_choice" and isinstance(value, str) and value not in _CHOICES:
        return {"type": "function", "name": value}
    return value


def _item_to_ga(item: Any) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    spoken = item.get("role") == "assistant"
    names = {"text": "output_text" if spoken else "input_text", **({"audio": "output_audio"} if spoken else {})}
    return {**item, "content": [_renamed(part, names) for part in item["content"]]}


# --- To the client ------------------------------------------------------------------------------------------------


def to_beta(frame: str) -> str | None:
    """Return one of our frames as the beta had it; None for what it had not and would take for something else."""
    if frame.startswith(_DELTA):
        return _BETA_DELTA + frame[len(_DELTA) :]
    event = _object(frame)
    if event is None:
        return frame
    kind = event.get("type", "")
    if kind == "conversation.item.done":
        return None  # `created` was the only one, and came first
    event["type"] = _EVENTS.get(kind, kind)
    if kind in ("session.created", "session.updated"):
        event["session"] = session_to_beta(event["session"])
        if event["session"]["object"] == "realtime.transcription_session":
            event["type"] = f"transcription_{kind}"
    if kind == "error":
        event["error"] = {**event["error"], "param": param_to_beta(event["error"].get("param"))}
    if isinstance(event.get("item"), dict):
        event["item"] = _item_to_beta(event["item"])
    if isinstance(event.get("part"), dict):
        event["part"] = _renamed(event["part"], _PARTS)
    if isinstance(event.get("response"), dict):
        event["response"] = _response_to_beta(event["response"])
    return _frame(event)


def session_to_beta(session: Json) -> Json:
    """Return the flat session of the beta."""
    flat = {name: value for name, value in session.items() if name not in ("type", "audio", "output_modalities")}
    for name, path in _SESSION_PATHS.items():
        value = _at(session, path)
        if value is not _ABSENT:
            flat[name] = _value_to_beta(name, value)
    flat.pop("max_output_tokens", None)
    if session.get("type") != "transcription":
        flat["temperature"] = TEMPERATURE
    if isinstance(flat.get("tool_choice"), dict):
        flat["tool_choice"] = flat["tool_choice"].get("name", "required")
    return flat


def param_to_beta(param: str | None) -> str | None:
    """Return the path of a parameter as the client wrote it: `session.turn_detection.threshold`."""
    for root in ("session", "response"):
        for name, path in _SESSION_PATHS.items():
            ours = ".".join((root, *path))
            if param is not None and (param == ours or param.startswith(ours + ".")):
                return f"{root}.{name}{param[len(ours) :]}"
    return param


def _response_to_beta(response: Json) -> Json:
    flat = {name: value for name, value in response.items() if name not in ("audio", "output_modalities")}
    for name in ("modalities", "voice", "output_audio_format"):
        value = _at(response, _SESSION_PATHS[name])
        if value is not _ABSENT:
            flat[name] = _value_to_beta(name, value)
    if isinstance(flat.get("output"), list):
        flat["output"] = [_item_to_beta(item) for item in flat["output"]]
    return flat


def _item_to_beta(item: Any) -> Any:
    if not isinstance(item, dict) or not isinstance(item.get("content"), list):
        return item
    return {**item, "content": [_renamed(part, _PARTS) for part in item["content"]]}


def _value_to_beta(name: str, value: Any) -> Any:
    if name == "modalities":
        return ["text", "audio"] if value == ["audio"] else value
    if name.endswith("audio_format") and isinstance(value, dict):
        return _BETA_FORMATS.get(value.get("type", ""), value)
    return value


# --- JSON ---------------------------------------------------------------------------------------------------------

_ABSENT: Final = object()


def _at(nested: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(nested, dict) or step not in nested:
            return _ABSENT
        nested = nested[step]
    return nested


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        return part
    return {**part, "type": names.get(part["type"], part["type"])}


def _object(frame: str) -> Json | None:
    try:
        event = msgspec.json.decode(frame)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _frame(event: Json) -> str:
    return msgspec.json.encode(event).decode()
