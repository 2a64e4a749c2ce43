"""Golden transcripts: all that went into a session and all that it did, replayed through the pure machine.

A file holds one JSON array a line, in order. What goes in:

    ["session", {config, traits, ids}]              always the first line
    ["start", now]   ["timer", now]                 seconds of a monotonic clock
    ["client", {event}]   ["client_text", text]     a frame of the client; as text where it is no JSON
    ["append", bytes]                               an append of so much audio
    ["audio", samples, rate_hz]                     a frame from a leg that carries audio apart from events
    ["flushed", item_id, played_ms]                 ["drained", item_id], where the server plays
    ["voice", probability, start, end]              a verdict on a window of the audio clock
    ["judgement", item_id, silence_start, probability]
    ["engine", response_id, type, fields]           ["engine_failure", response_id, type, message]
    ["transcription", item_id, type, fields]        ["transcription_failure", item_id, type, message]
    ["tool", call_id, result]                       ["mcp_tools", list_id, listing]

and, behind each of them, what comes out: ["event", {event}] with the very bytes of the frame, and ["do", effect, …] for
the other effects. Audio is silence of the same length, since the machine does not listen; in an item that shows its
audio only the length stands. Time stands still between `start` and the timers.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import msgspec

from voice import errors
from voice.audio.frames import SAMPLE_BYTES, AudioFrame
from voice.engines import port
from voice.errors import EngineError
from voice.ids import Ids
from voice.protocol.codec import decode_client_event, encode_server_event
from voice.protocol.session_config import SessionConfig
from voice.session import effects as do
from voice.session.core import SessionTraits
from voice.session.effects import Effect
from voice.session.session import Session
from voice.tooling import RemoteListing, RemoteTool, ToolResult

Line = list[Any]


_TOO_MANY = (do.DetectVoice, do.HearAudio)
"""One for each append, and nothing to learn from them."""

_AUDIO = re.compile(r'"audio":"([A-Za-z0-9+/=]{64,})"')


def header(config: SessionConfig, traits: SessionTraits, stem: str) -> str:
    """Return the first line. Raises: ValueError for an agent with tools of its own, which cannot be written down."""
    if traits.service_tools:
        raise ValueError("the tools of an agent cannot be written into a golden transcript")
    session = {"config": config.model_dump(mode="json"), "traits": asdict(traits), "ids": stem}
    return dump(["session", session])


def replay(lines: Iterable[str]) -> Iterator[str]:
    """Step a session by the inputs among `lines`; yield the whole transcript as it is now, line by line."""
    session: Session | None = None
    for text in lines:
        line: Line = json.loads(text)
        if line[0] == "session":
            session = _session(line[1])
            yield text
        elif session is not None and line[0] in _STEPS:
            yield text
            for effect in _STEPS[line[0]](session, *line[1:]):
                if not isinstance(effect, _TOO_MANY):
                    yield describe(effect)


def describe(effect: Effect) -> str:
    """Return an effect's line."""
    if isinstance(effect, do.SendEvent):
        frame = encode_server_event(effect.event)
        return f'["event",{_AUDIO.sub(lambda found: _length(found.group(1)), frame)}]'
    return dump(["do", type(effect).__name__, *_told(effect)])


def _length(encoded: str) -> str:
    return f'"audio":"{len(encoded)} characters"'


def _told(value: Any) -> Iterator[Any]:
    """Yield what is worth a word in an effect: ids, names, numbers; of audio its length."""
    names = value.__struct_fields__ if isinstance(value, msgspec.Struct) else [field.name for field in fields(value)]
    for entry in (getattr(value, name) for name in names):
        if isinstance(entry, AudioFrame):
            yield f"{entry.samples} samples"
        elif isinstance(entry, port.ResponseRequest):
            yield from (entry.response_id, [item.id for item in entry.items])
        elif isinstance(entry, port.TranscriptionRequest):
            yield entry.item_id
        elif isinstance(entry, (str, int)) and entry != "":
            yield entry


# --- Inputs, written down -------------------------------------------------------------------------------------------


def client_line(text: str) -> str:
    """Return the line of a client's frame."""
    try:
        event = json.loads(text)
    except ValueError:
        return dump(["client_text", text])
    if not isinstance(event, dict):
        return dump(["client_text", text])
    if event.keys() == {"type", "audio"} and event["type"] == "input_audio_buffer.append":
        return dump(["append", len(base64.b64decode(event["audio"]))])
    return dump(["client", event])


def event_line(kind: str, id: str, event: object) -> str:
    """Return the line of an engine's event, of its failure, of a tool's result or of an MCP server's tools."""
    if isinstance(event, EngineError):
        return dump([kind, id, type(event).__name__, event.message])
    if isinstance(event, port.AudioDelta):
        return dump([kind, id, "AudioDelta", {"samples": event.frame.samples, "pts": event.frame.pts}])
    if not is_dataclass(event) or isinstance(event, type):
        raise TypeError(f"{event!r} cannot be written down")
    if kind in ("tool", "mcp_tools"):
        return dump([kind, id, asdict(event)])
    return dump([kind, id, type(event).__name__, asdict(event)])


# --- Inputs, read ---------------------------------------------------------------------------------------------------


def _session(given: dict[str, Any]) -> Session:
    # Not strict: JSON knows no tuples.
    config = SessionConfig.model_validate(given["config"], strict=False)
    traits = dict(given["traits"])
    capabilities = port.Capabilities(**traits.pop("capabilities"))
    traits["service_tools"] = ()
    return Session(config, SessionTraits(capabilities=capabilities, **traits), Ids(given["ids"]))


def _append(session: Session, count: int) -> list[Effect]:
    event = {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(count)).decode()}
    return session.receive_client_event(decode_client_event(json.dumps(event)))


def _engine_event(name: str, given: dict[str, Any]) -> Any:
    if name == "AudioDelta":
        return port.AudioDelta(AudioFrame(bytes(given["samples"] * SAMPLE_BYTES), pts=given["pts"], rate_hz=24_000))
    return getattr(port, name)(**given)


def _failure(name: str, message: str) -> EngineError:
    failure: EngineError = getattr(errors, name)(message)
    return failure


def _listing(given: dict[str, Any]) -> RemoteListing:
    return RemoteListing(tuple(RemoteTool(**tool) for tool in given["tools"]), given["problem"])


_STEPS: dict[str, Callable[..., list[Effect]]] = {
    "start": lambda session, now: session.start(now),
    "timer": lambda session, now: session.handle_timer(now),
    "client": lambda session, event: session.receive_client_event(decode_client_event(dump(event))),
    "client_text": lambda session, text: session.receive_client_event(decode_client_event(text)),
    "append": _append,
    "audio": lambda session, samples, rate_hz: session.receive_audio(
        AudioFrame(bytes(samples * SAMPLE_BYTES), rate_hz=rate_hz)
    ),
    "flushed": lambda session, item_id, played_ms: session.receive_flushed(item_id, played_ms),
    "drained": lambda session, item_id: session.receive_drained(item_id),
    "voice": lambda session, *verdict: session.receive_voice_activity(*verdict),
    "judgement": lambda session, *given: session.receive_turn_judgement(*given),
    "engine": lambda session, id, name, given: session.receive_engine_event(id, _engine_event(name, given)),
    "engine_failure": lambda session, id, *why: session.receive_engine_failure(id, _failure(*why)),
    "transcription": lambda session, id, name, given: session.receive_transcription_event(
        id, _engine_event(name, given)
    ),
    "transcription_failure": lambda session, id, *why: session.receive_transcription_failure(id, _failure(*why)),
    "tool": lambda session, id, result: session.receive_tool_output(id, ToolResult(**result)),
    "mcp_tools": lambda session, id, listing: session.receive_mcp_tools(id, _listing(listing)),
}


def dump(value: object) -> str:
    """Return a line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
