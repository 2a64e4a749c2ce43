"""The session's configuration: what it begins with, what may be changed, and how (contract 2.7, 3)."""

from functools import partial
from typing import Any

from voice.conformance.client import Client
from voice.conformance.contract import AUDIO_RESPONSE, TEXT_RESPONSE
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import Failed, Skipped, check, equal

flow = partial(any_flow, family="session", sends=("session.update",), shows=("session.updated",))

_FIELDS = (
    "type",
    "object",
    "id",
    "model",
    "expires_at",
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "max_output_tokens",
    "tracing",
    "truncation",
    "prompt",
    "audio",
    "include",
)

_WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather by city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@any_flow("session.created", family="session", shows=("session.created",))
async def session_created(client: Client) -> None:
    """The server speaks first, with the whole effective session."""
    frame = client.last
    session = frame["session"]
    missing = [name for name in _FIELDS if name not in session]
    check(not missing, f"session lacks {', '.join(missing)}", frame)
    equal("session.type", session["type"], "realtime", frame)
    equal("session.object", session["object"], "realtime.session", frame)
    check(str(session["id"]).startswith("sess_"), "session.id does not begin with sess_", frame)
    audio = session["audio"]
    for path in ("format", "transcription", "noise_reduction", "turn_detection"):
        check(path in audio["input"], f"session.audio.input lacks {path}", frame)
    for path in ("format", "voice", "speed"):
        check(path in audio["output"], f"session.audio.output lacks {path}", frame)


@flow("session.update")
async def session_update(client: Client) -> None:
    """An accepted update is answered once, with the whole session, and it says what was set."""
    session = await client.update(instructions="Answer in one short sentence.", max_output_tokens=512)
    frame = client.last
    missing = [name for name in _FIELDS if name not in session]
    check(not missing, f"session lacks {', '.join(missing)}", frame)
    equal("instructions", session["instructions"], "Answer in one short sentence.", frame)
    equal("max_output_tokens", session["max_output_tokens"], 512, frame)
    await client.quiet("session.updated", for_s=0.2)


@flow("merge by presence")
async def merge_by_presence(client: Client) -> None:
    """What an update leaves out stays, inside nested objects too (contract 3.1)."""
    detection = {"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 240, "silence_duration_ms": 420}
    await client.update(instructions="Stay.", audio={"input": {"turn_detection": detection}})
    session = await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    frame, found = client.last, session["audio"]["input"]["turn_detection"]
    equal("instructions", session["instructions"], "Stay.", frame)
    equal("threshold", found["threshold"], 0.7, frame)
    equal("silence_duration_ms", found["silence_duration_ms"], 420, frame)
    equal("prefix_padding_ms", found["prefix_padding_ms"], 240, frame)


@flow("clear by null")
async def clear_by_null(client: Client) -> None:
    """A null switches off what it names; an empty list or text empties (contract 3.1)."""
    await client.update(
        instructions="Away with this.",
        tools=[_WEATHER],
        audio={"input": {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}}},
    )
    away = {"transcription": None, "noise_reduction": None, "turn_detection": None}
    session = await client.update(instructions="", tools=[], audio={"input": away})
    frame = client.last
    equal("instructions", session["instructions"], "", frame)
    equal("tools", session["tools"], [], frame)
    for name in away:
        equal(name, session["audio"]["input"][name], None, frame)


@flow("resent model")
async def resent_model(client: Client) -> None:
    """Both agents SDKs send the model again with every update (contract 3.2)."""
    model = client.last["session"]["model"]
    session = await client.update(model=model, instructions="Same model.")
    equal("model", session["model"], model, client.last)


@flow("update before session.created")
async def early_update(client: Client) -> None:
    """Updates are answered one for one and in order, however fast they come (contract 2.7)."""
    for number in range(5):
        await client.send("session.update", session={"type": "realtime", "instructions": f"Number {number}."})
    for number in range(5):
        frame = await client.expect("session.updated")
        equal("instructions", frame["session"]["instructions"], f"Number {number}.", frame)


def _field(path: str, value: Any) -> Any:
    """Return a nested update, `a.b` as `{"a": {"b": value}}`."""
    for step in reversed(path.split(".")):
        value = {step: value}
    return value


def _at(session: Any, path: str) -> Any:
    for step in path.split("."):
        session = session[step]
    return session


_SETTABLE: dict[str, list[Any]] = {
    "output_modalities": [["text"], ["audio"]],
    "tools": [[_WEATHER]],
    "tool_choice": ["none", "required", {"type": "function", "name": "get_weather"}, "auto"],
    "max_output_tokens": [1, 4096, "inf"],
    "truncation": ["disabled", {"type": "retention_ratio", "retention_ratio": 0.8}, "auto"],
    "include": [["item.input_audio_transcription.logprobs"]],
    "audio.input.format": [{"type": "audio/pcmu"}, {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 24000}],
    "audio.output.format": [{"type": "audio/pcmu"}, {"type": "audio/pcma"}, {"type": "audio/pcm", "rate": 24000}],
    "audio.input.noise_reduction": [{"type": "near_field"}, {"type": "far_field"}],
    "audio.input.transcription": [{"model": "gpt-4o-mini-transcribe", "language": "en"}],
    "audio.output.speed": [0.25, 1.5, 1.0],
    "audio.output.voice": ["cedar", "marin"],
    "tracing": ["auto"],
}


def _declare_settable(path: str, values: list[Any]) -> None:
    async def play(client: Client) -> None:
        if path == "tool_choice":
            await client.update(tools=[_WEATHER])
        for value in values:
            session = await client.update(**_field(path, value))
            found = _at(session, path)
            # Objects may come back with their defaults filled in.
            holds = value.items() <= found.items() if isinstance(value, dict) and isinstance(found, dict) else None
            check(found == value or holds, f"{path} is {found!r} after it was set to {value!r}", client.last)

    play.__doc__ = f"`{path}` may be set, and the answer shows it (contract 3.2)."
    flow(f"set {path}")(play)


for _path, _values in _SETTABLE.items():
    _declare_settable(_path, _values)


@flow("set audio.input.turn_detection")
async def turn_detection(client: Client) -> None:
    """Turn detection in its three forms (contract 3.6)."""
    forms: list[Any] = [
        {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 300},
        {"type": "server_vad", "create_response": False, "interrupt_response": False},
        {"type": "server_vad", "idle_timeout_ms": 6000},
        None,
        {"type": "semantic_vad", "eagerness": "low"},
        {"type": "server_vad"},
    ]
    for form in forms:
        session = await client.update(audio={"input": {"turn_detection": form}})
        found = session["audio"]["input"]["turn_detection"]
        holds = found is None if form is None else isinstance(found, dict) and form.items() <= found.items()
        check(holds, f"turn_detection is {found!r} after it was set to {form!r}", client.last)


@flow("speed while a response runs", shows=("error",), may=("session.updated", *AUDIO_RESPONSE))
async def speed_during_response(client: Client) -> None:
    """The speed changes between turns only (contract 3.2): while a response runs, the update is refused."""
    await client.say_text("Count from one to five.")
    created = await client.respond()
    session = {"type": "realtime", "audio": {"output": {"speed": 1.25}}}
    await client.send("session.update", session=session)
    answer = await client.expect("error", "session.updated")
    if answer["type"] == "session.updated":
        if client.of("response.done"):
            raise Skipped("the answer was made before the update came")
        raise Failed("another speed was taken in the middle of a response", answer)
    equal("error.param", answer["error"]["param"], "session.audio.output.speed", answer)
    if not client.of("response.done"):
        await client.response_done(created["id"])


@flow("update while a response runs", may=TEXT_RESPONSE)
async def update_during_response(client: Client) -> None:
    """An update is taken at once, and applies from the next response on (contract 3.1)."""
    await client.say_text("Count from one to five.")
    created = await client.respond(output_modalities=["text"])
    await client.send("session.update", session={"type": "realtime", "instructions": "Changed meanwhile."})
    updated = await client.expect("session.updated")
    equal("instructions", updated["session"]["instructions"], "Changed meanwhile.", updated)
    done = [frame for frame in client.of("response.done") if frame["response"]["id"] == created["id"]]
    if not done:
        await client.response_done(created["id"])
