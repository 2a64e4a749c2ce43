"""What clients of the beta are sent: every event, and every golden transcript, by the types that the SDK still has."""

import copy
import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import BaseModel, Field, TypeAdapter

from voice.protocol import beta
from voice.protocol.codec import encode_server_event
from voice.protocol.dialect import beta_dialect
from voice.protocol.server_events import SERVER_EVENTS, SessionCreated
from voice.protocol.session_config import SessionConfig, transcription_wire

DATA = Path(__file__).parents[2] / "data"
FRAMES = [json.loads(line) for line in (DATA / "realtime_server_events.jsonl").read_text().splitlines()]
OF_BOTH = [frame for frame in FRAMES if frame["type"] not in ("conversation.created", "conversation.item.created")]
TRANSCRIPTS = [
    path
    for path in sorted((DATA / "conformance").glob("*.jsonl"))
    if path.stem != "items-image"  # no client of the beta shows one
]
SDK: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])

KNOWN_EXTRAS = {
    *(".session.object", ".session.expires_at", ".session.client_secret", ".session.include"),
    *(".session.id", ".session.input_audio_noise_reduction"),
    *(".session.tracing", ".session.turn_detection.idle_timeout_ms", ".session.input_audio_noise_reduction.strength"),
    *(".obfuscation", ".name", ".response.usage.input_token_details.image_tokens"),
    ".response.usage.input_token_details.cached_tokens_details",
}
"""What the real beta sent, too, or what says more than its types: no client of it minded."""


def extras(model: Any, path: str = "") -> set[str]:
    if isinstance(model, list):
        return {name for child in model for name in extras(child, path)}
    if not isinstance(model, BaseModel):
        return set()
    found = {f"{path}.{name}" for name in model.model_extra or {}}
    for name in type(model).model_fields:
        found |= extras(getattr(model, name, None), f"{path}.{name}")
    return found


def assert_sdk_takes(event: dict[str, Any]) -> None:
    event = copy.deepcopy(event)
    if "session" in event:  # the types list the models of their time, and want a secret in each transcription
        session = event["session"] | {"client_secret": {"value": "ek_1", "expires_at": 1}}
        if "model" in session:
            session["model"] = "gpt-realtime"
            # Whoever names a server of MCP tools knows what that is.
            session["tools"] = [tool for tool in session["tools"] if tool["type"] != "mcp"]
        event["session"] = session
    assert extras(SDK.validate_json(json.dumps(event), strict=True)) <= KNOWN_EXTRAS


# --- What the server says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", OF_BOTH, ids=lambda frame: str(frame["type"]))
def test_every_server_event_is_one_that_the_beta_knows_or_is_not_sent(frame: dict[str, Any]) -> None:
    before = copy.deepcopy(frame)
    sent = beta.ServerWords().of(frame)
    assert frame == before
    assert bool(sent) != (frame["type"] in beta.NOT_SHOWN)
    for event in sent:
        assert_sdk_takes(event)
        assert event["event_id"].startswith(frame["event_id"])


def test_these_are_all_server_events() -> None:
    assert {frame["type"] for frame in FRAMES} == set(SERVER_EVENTS)


def test_every_event_of_the_beta_is_sent_for_something() -> None:
    sent = {event["type"] for frame in OF_BOTH for event in beta.ServerWords().of(frame)}
    known = {type_.model_fields["type"].annotation.__args__[0] for type_ in RealtimeServerEvent.__origin__.__args__}  # type: ignore[attr-defined]
    assert known - sent == {"transcription_session.updated"}
    assert len(known) == 34


def test_a_session_begins_with_its_conversation_which_responses_name() -> None:
    words = beta.ServerWords()
    created, begun = words.of({"type": "session.created", "event_id": "event_1", "session": SESSION.to_wire()})
    assert created["session"]["modalities"] == ["audio", "text"]
    assert created["session"]["input_audio_format"] == "pcm16"
    assert not {"type", "audio", "output_modalities", "truncation"} & set(created["session"])
    assert begun["type"] == "conversation.created"
    frame = next(frame for frame in FRAMES if frame["type"] == "response.created")
    (event,) = words.of(frame)
    assert event["response"]["conversation_id"] == begun["conversation"]["id"]
    (aside,) = words.of({**frame, "response": {**frame["response"], "conversation_id": None}})
    assert aside["response"]["conversation_id"] is None


SESSION = SessionConfig(id="sess_1", model="gpt-realtime", expires_at=1)


@pytest.mark.parametrize("state", ["created", "updated"])
def test_a_transcription_session_is_shown_under_its_old_name(state: str) -> None:
    session = transcription_wire(SESSION)
    (event,) = beta.ServerWords().of({"type": f"session.{state}", "event_id": "event_1", "session": session})
    assert event["type"] == f"transcription_session.{state}"
    assert event["session"]["object"] == "realtime.transcription_session"
    assert event["session"]["input_audio_transcription"] is None
    assert "temperature" not in event["session"]


def test_a_response_is_shown_in_flat_words() -> None:
    response = {
        "id": "resp_1",
        "output": [{"id": "a", "type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}],
        "output_modalities": ["audio"],
        "audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "verse"}},
        "max_output_tokens": "inf",
    }
    (event,) = beta.ServerWords().of({"type": "response.done", "event_id": "event_1", "response": response})
    assert event["response"] == {
        "id": "resp_1",
        "output": [{"id": "a", "type": "message", "role": "assistant", "content": [{"type": "audio"}]}],
        "modalities": ["audio", "text"],
        "output_audio_format": "g711_ulaw",
        "voice": "verse",
        "temperature": 0.8,
        "max_output_tokens": "inf",
    }


def test_the_calls_of_a_service_leave_no_gap() -> None:
    """Clients of the beta order by `previous_item_id`, and an item that they were never shown would break the chain."""
    words = beta.ServerWords()
    message = {"type": "message", "role": "assistant", "content": []}

    def added(name: str, previous: str | None, **item: Any) -> list[dict[str, Any]]:
        event = {"type": "conversation.item.added", "event_id": "event_1", "previous_item_id": previous}
        return words.of({**event, "item": {"id": name, **item}})

    assert added("u", None, **message)[0]["type"] == "conversation.item.created"
    assert added("list", "u", type="mcp_list_tools") == []
    assert added("call", "list", type="mcp_call") == []
    assert added("a", "call", **message)[0]["previous_item_id"] == "u"
    committed = {"type": "input_audio_buffer.committed", "event_id": "event_1", "item_id": "v"}
    assert words.of({**committed, "previous_item_id": "call"})[0]["previous_item_id"] == "u"
    done = {"type": "response.done", "event_id": "event_1", "response": {"output": [{"type": "mcp_call"}]}}
    assert words.of(done)[0]["response"]["output"] == []


def test_an_item_is_created_once() -> None:
    words, item = beta.ServerWords(), {"id": "u", "type": "message", "role": "user", "content": []}
    about = {"event_id": "event_1", "previous_item_id": None, "item": item}
    sent = [
        *words.of({"type": "conversation.item.added", **about}),
        *words.of({"type": "conversation.item.done", **about}),
    ]
    assert [event["type"] for event in sent] == ["conversation.item.created"]


def test_the_audio_of_a_delta_is_not_touched() -> None:
    frame = '{"type":"response.output_audio.delta","event_id":"e","delta":"AAAA"}'
    (sent,) = beta_dialect().spoken(frame)
    assert sent == '{"type":"response.audio.delta","event_id":"e","delta":"AAAA"}'


def test_a_frame_is_json_with_its_nulls() -> None:
    event = SessionCreated(event_id="event_1", session=SESSION.to_wire())
    first, _ = beta_dialect().spoken(encode_server_event(event))
    assert json.loads(first)["session"]["input_audio_transcription"] is None


# --- Whole conversations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: str(path.stem))
def test_a_conversation_is_whole_in_the_words_of_the_beta(path: Path) -> None:
    """The golden transcripts, as a strict client of the beta would read them."""
    words, shown = beta.ServerWords(), set[str | None]({None, "root"})
    for line in path.read_text().splitlines():
        kind, *entry = json.loads(line)
        for event in words.of(entry[0]) if kind == "event" else []:
            if event["type"] != "transcription_session.created":  # which the types forget
                assert_sdk_takes(event)
            if "previous_item_id" in event:
                assert event["previous_item_id"] in shown
            if event["type"] == "conversation.item.created":
                shown.add(event["item"]["id"])
            if event["type"].startswith("response.") and "item_id" in event:
                assert event["item_id"] in shown or path.stem.startswith("out-of-band")
