"""Validates server events against the types of the official SDK, strictly.

The SDK itself never does: its receive path takes anything, its models allow extra fields. So every frame is parsed as a
discriminated union in strict mode, and the models that come out are searched for fields that no type names.
Needs the extra `conformance` (the package `openai`); without it the kit goes on with its own rules.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

Frame = dict[str, Any]
TypesCheck = Callable[[Frame], list[str]]
"""Returns what is wrong with one server event."""

MISSING = (
    "the official SDK is not installed, so the types of the fields were not checked: "
    "pip install 'realtime-voice-agent[conformance]'"
)

_SHOWN = 4

# The real service sends these although the types do not name them (contract 10, layer 2).
_KNOWN_EXTRAS = {".session.id", ".session.object", ".session.expires_at", ".obfuscation"}
_KNOWN_SESSION_EXTRAS = {".parallel_tool_calls"}


def load() -> TypesCheck | None:
    """Return the check, or None where the SDK is not installed."""
    try:
        from openai.types.realtime import RealtimeServerEvent
        from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
        from openai.types.realtime.realtime_transcription_session_create_response import (
            RealtimeTranscriptionSessionCreateResponse,
        )
    except ImportError:
        return None
    events: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
    sessions: dict[str, TypeAdapter[Any]] = {
        "realtime": TypeAdapter(RealtimeSessionCreateResponse),
        "transcription": TypeAdapter(RealtimeTranscriptionSessionCreateResponse),
    }

    def check(frame: Frame) -> list[str]:
        found = list(_against(events, frame, _extras_of(frame)))
        session = frame.get("session")
        if frame.get("type") in ("session.created", "session.updated") and isinstance(session, dict):
            adapter = sessions.get(session.get("type", ""))
            if adapter is None:
                found.append(f"session.type is {session.get('type')!r}")
            else:
                found += [f"session{fault}" for fault in _against(adapter, session, _KNOWN_SESSION_EXTRAS)]
        return found

    return check


def version() -> str | None:
    """Return the version of the SDK that is installed."""
    try:
        import openai
    except ImportError:
        return None
    return openai.__version__


def _extras_of(frame: Frame) -> set[str]:
    is_dtmf = frame.get("type") == "input_audio_buffer.dtmf_event_received"
    return _KNOWN_EXTRAS | {".event_id"} if is_dtmf else _KNOWN_EXTRAS


def _against(adapter: TypeAdapter[Any], value: Frame, known: set[str]) -> Iterator[str]:
    try:
        model = adapter.validate_python(value, strict=True)
    except ValidationError as error:
        # The first name of a place is the type that the union chose: it says nothing new.
        for problem in error.errors(include_url=False, include_input=False)[:_SHOWN]:
            place = ".".join(str(step) for step in problem["loc"])
            yield f" {place}: {problem['msg']}" if place else f" {problem['msg']}"
        return
    yield from (f" {path} is a field that no type names" for path in _extras(model, "") if path not in known)


def _extras(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or ())
        for name in type(value).model_fields:
            yield from _extras(getattr(value, name, None), f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _extras(entry, f"{path}[]")
