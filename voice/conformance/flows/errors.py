"""What breaks the contract is answered by one `error` and changes nothing; the socket stays open (contract 4.15)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voice.conformance.client import Client
from voice.conformance.contract import CLIENT_EVENTS, ITEM, SPEECH, TEXT_RESPONSE
from voice.conformance.flow import flow
from voice.conformance.flows.items import message
from voice.conformance.verdict import Skipped, check, equal

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One wrong event."""

    name: str
    event: Event
    codes: Sequence[str | None]
    """Any of these; None among them stands for a null. Empty: any, where the sources do not say."""
    param: str | None = None
    before: Sequence[Event] = ()
    """Events that are right, to be answered first."""
    echoes: bool = True
    """The client's `event_id` must come back; errors about the conversation's state may carry null (contract 4.15)."""


def _update(**session: Any) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def _create(item: Event, **more: Any) -> Event:
    return {"type": "conversation.item.create", "item": item, **more}


_HELLO = _create(message("user", "Hello.", id="kit_hello"))
_NOT_THERE = "kit_nobody"
_TOO_MUCH_AUDIO = 4 * (15 * 1024 * 1024 // 3 + 1000)
"""Characters in base64 (contract 2.4)."""
_SHOWN_CHARS = 2000

CASES = (
    Case("unknown event", {"type": "conversation.item.dance"}, ["invalid_value"], "type"),
    Case("no type", {"session": {}}, ["missing_required_parameter", "invalid_value"], "type"),
    Case(
        "update without a type",
        {"type": "session.update", "session": {}},
        ["missing_required_parameter"],
        "session.type",
    ),
    Case("update without a session", {"type": "session.update"}, ["missing_required_parameter"], "session"),
    Case("event_id that is too long", {"type": "input_audio_buffer.clear", "event_id": "x" * 513}, [], echoes=False),
    Case("update of another kind", {"type": "session.update", "session": {"type": "transcription"}}, []),
    Case("unknown field", _update(colour="green"), ["unknown_parameter"], "session.colour"),
    Case("field of the beta", _update(voice="alloy"), ["unknown_parameter"], "session.voice"),
    Case(
        "unknown nested field",
        _update(audio={"input": {"loudness": 3}}),
        ["unknown_parameter"],
        "session.audio.input.loudness",
    ),
    Case("wrong JSON type", _update(instructions=17), ["invalid_type"], "session.instructions"),
    Case("modalities together", _update(output_modalities=["audio", "text"]), [], None),
    Case(
        "threshold beyond 1", _update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}), []
    ),
    Case("speed beyond 1.5", _update(audio={"output": {"speed": 3}}), []),
    Case(
        "negative silence",
        _update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": -5}}}),
        [],
    ),
    Case(
        "idle timeout too short",
        _update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 100}}}),
        [],
    ),
    Case(
        "padding of semantic turns",
        _update(audio={"input": {"turn_detection": {"type": "semantic_vad", "prefix_padding_ms": 100}}}),
        ["unknown_parameter", "invalid_value"],
    ),
    Case("no tokens at all", _update(max_output_tokens=0), []),
    Case("tool without a name", _update(tools=[{"type": "function"}]), []),
    Case("unknown format", _update(audio={"input": {"format": {"type": "audio/mp3"}}}), ["invalid_value"]),
    Case("append without audio", {"type": "input_audio_buffer.append"}, ["missing_required_parameter"], "audio"),
    Case("append of no base64", {"type": "input_audio_buffer.append", "audio": "not base64!"}, [], "audio"),
    Case("append of half a sample", {"type": "input_audio_buffer.append", "audio": "AAAA"[:2] + "=="}, []),
    Case("append beyond 15 MiB", {"type": "input_audio_buffer.append", "audio": "A" * _TOO_MUCH_AUDIO}, [], "audio"),
    Case("commit of nothing", {"type": "input_audio_buffer.commit"}, ["input_audio_buffer_commit_empty"], echoes=False),
    Case(
        "commit of too little",
        {"type": "input_audio_buffer.commit"},
        ["input_audio_buffer_commit_empty"],
        before=[{"type": "input_audio_buffer.append", "audio": "A" * 3200}],
        echoes=False,
    ),
    Case("clear of the output", {"type": "output_audio_buffer.clear"}, []),
    Case("item without a type", _create({"role": "user", "content": []}), [], None),
    Case("item of an unknown type", _create({"type": "poem"}), ["invalid_value"], None),
    Case(
        "assistant's audio",
        _create({"type": "message", "role": "assistant", "content": [{"type": "output_audio", "audio": "AAAA"}]}),
        [],
    ),
    Case("id that is taken", _HELLO, ["item_create_duplicate_item_id"], before=[_HELLO], echoes=False),
    Case(
        "place behind nobody",
        _create(message("user", "x"), previous_item_id=_NOT_THERE),
        ["item_create_invalid_previous_item_id"],
        echoes=False,
    ),
    Case(
        "output of no call",
        _create({"type": "function_call_output", "call_id": "call_none", "output": "x"}),
        ["invalid_tool_call_id"],
        echoes=False,
    ),
    Case(
        "retrieve nobody",
        {"type": "conversation.item.retrieve", "item_id": _NOT_THERE},
        ["item_retrieve_invalid_item_id"],
        echoes=False,
    ),
    Case(
        "delete nobody",
        {"type": "conversation.item.delete", "item_id": _NOT_THERE},
        ["item_delete_invalid_item_id"],
        echoes=False,
    ),
    Case(
        "truncate nobody",
        {"type": "conversation.item.truncate", "item_id": _NOT_THERE, "content_index": 0, "audio_end_ms": 1},
        ["item_truncate_invalid_item_id"],
        echoes=False,
    ),
    Case(
        "truncate a text",
        {"type": "conversation.item.truncate", "item_id": "kit_hello", "content_index": 0, "audio_end_ms": 1},
        [],
        before=[_HELLO],
        echoes=False,
    ),
    Case("retrieve without an id", {"type": "conversation.item.retrieve"}, ["missing_required_parameter"], "item_id"),
    Case("cancel nothing", {"type": "response.cancel"}, ["response_cancel_not_active"], echoes=False),
    Case(
        "cancel nobody",
        {"type": "response.cancel", "response_id": "resp_none"},
        ["response_cancel_not_active"],
        echoes=False,
    ),
    Case(
        "response in words of the beta",
        {"type": "response.create", "response": {"modalities": ["text"]}},
        ["unknown_parameter"],
        "response.modalities",
    ),
    Case(
        "response about nobody",
        {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": _NOT_THERE}]}},
        [],
    ),
    Case(
        "too much metadata",
        {"type": "response.create", "response": {"metadata": {f"k{number}": "v" for number in range(17)}}},
        [],
    ),
)


async def _refused(client: Client, event: Event, case: Case) -> None:
    event = {"event_id": f"kit_wrong_{case.name.replace(' ', '_')}", **event}
    event_id = event["event_id"]
    await client.send_text(json.dumps(event), {name: _shown(value) for name, value in event.items()})
    frame = await client.expect("error")
    error = frame["error"]
    if case.codes:
        check(
            error["code"] in case.codes,
            f"error.code is {error['code']!r}, expected {' or '.join(map(str, case.codes))}",
            frame,
        )
    if case.param is not None:
        equal("error.param", error["param"], case.param, frame)
    allowed = (event_id,) if case.echoes else (event_id, None)
    check(
        error["event_id"] in allowed, f"error.event_id is {error['event_id']!r}, the client's was {event_id!r}", frame
    )
    check(error["message"], "error.message is empty", frame)


def _shown(value: Any) -> Any:
    """Return what a transcript keeps of a field."""
    too_long = isinstance(value, str) and len(value) > _SHOWN_CHARS
    return f"<{len(value)} characters>" if too_long else value


async def goes_on(client: Client) -> None:
    """After an error the session serves as before."""
    await client.say_text("Still there?")


def _declare(case: Case) -> None:
    async def play(client: Client) -> None:
        before = client.last.get("session")
        for event in case.before:
            await client.send(**event)
            if event["type"] == "conversation.item.create":
                await client.sequence(*ITEM)
        await _refused(client, case.event, case)
        if case.event.get("type") == "session.update":
            session = await client.update()
            equal("the session after a refused update", session, before, client.last)
        await goes_on(client)

    play.__doc__ = f"Answered by {' or '.join(map(str, case.codes)) or 'an error'}; the session goes on."
    kind = case.event.get("type", "")
    flow(
        case.name,
        family="errors",
        kind="error",
        sends=(kind,) if kind in CLIENT_EVENTS else (),
        shows=("error",),
        may=("session.updated", *ITEM, *SPEECH),
    )(play)


for _case in CASES:
    _declare(_case)


@flow("no JSON", family="errors", kind="error", shows=("error",), may=ITEM)
async def no_json(client: Client) -> None:
    """A frame that is no JSON is answered by an error, and the socket stays open."""
    for text in ("{nonsense", "[]", '"hello"'):
        await client.send_text(text)
        frame = await client.expect("error")
        equal("error.type", frame["error"]["type"], "invalid_request_error", frame)
    await goes_on(client)


@flow(
    "two answers at once",
    family="errors",
    kind="error",
    sends=("response.create",),
    shows=("error", "response.created", "response.done"),
    may=TEXT_RESPONSE,
)
async def two_at_once(client: Client) -> None:
    """A second default response is refused while one runs (contract 4.9)."""
    await client.say_text("Tell me a long story.")
    response = await client.respond(output_modalities=["text"])
    event_id = await client.send("response.create", response={"output_modalities": ["text"]})
    frame = await client.expect("error", "response.created")
    if frame["type"] == "response.created":
        check(client.of("response.done"), "a second default response began while one ran", frame)
        raise Skipped("the first answer was made faster than a second one could be asked for")
    equal("error.code", frame["error"]["code"], "conversation_already_has_active_response", frame)
    equal("error.event_id", frame["error"]["event_id"], event_id, frame)
    check(response["id"] in frame["error"]["message"], "the message does not name the running response", frame)
    if not client.of("response.done"):
        await client.send("response.cancel")
        await client.expect("response.done", "error")


@flow(
    "truncate beyond the end",
    family="errors",
    kind="error",
    sends=("conversation.item.truncate",),
    shows=("error",),
    may=(
        *TEXT_RESPONSE,
        "response.output_audio.delta",
        "response.output_audio.done",
        "conversation.item.truncated",
        "response.output_audio_transcript.delta",
        "response.output_audio_transcript.done",
    ),
)
async def truncate_beyond(client: Client) -> None:
    """An item cannot be cut behind its end, nor twice (contract 4.7)."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond()
    item_id = (await client.response_done(response["id"]))["output"][-1]["id"]
    cut = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0}
    await client.send(**cut, audio_end_ms=3_600_000)
    frame = await client.expect("error", "conversation.item.truncated")
    check(frame["type"] == "error", "an item was cut behind its end", frame)
    await client.send(**cut, audio_end_ms=50)
    await client.expect("conversation.item.truncated")
    await client.send(**cut, audio_end_ms=20)
    frame = await client.expect("error", "conversation.item.truncated")
    check(frame["type"] == "error", "an item was cut twice", frame)
