"""Frames of the beta become frames of the contract and back; what is not known passes as it is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime import RealtimeServerEvent as BetaServerEvent
from openai.types.beta.realtime.session import Session as BetaSession
from pydantic import TypeAdapter

from voice.protocol.beta import param_to_beta, session_to_beta, session_to_ga, to_beta, to_ga
from voice.protocol.client_events import InvalidEvent
from voice.protocol.codec import decode_client_event
from voice.protocol.session_config import SessionConfig

TYPED: TypeAdapter[Any] = TypeAdapter(BetaServerEvent)

FLAT: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "instructions": "Be kind.",
    "voice": "alloy",
    "speed": 1.2,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.6},
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": 200,
}


def ga(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_ga(json.dumps(event)))
    return found


def beta(event: dict[str, Any]) -> dict[str, Any] | None:
    # As the codec writes them: `type` first.
    frame = to_beta(json.dumps({"event_id": "event_1", **event}, separators=(",", ":")))
    return json.loads(frame) if frame is not None else None


def test_a_flat_session_becomes_a_nested_one_that_the_service_takes() -> None:
    event = ga({"type": "session.update", "session": FLAT})
    assert event["session"] == {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": "Be kind.",
        "audio": {
            "output": {"voice": "alloy", "speed": 1.2, "format": {"type": "audio/pcm", "rate": 24000}},
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": {"type": "server_vad", "threshold": 0.6},
            },
        },
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": "auto",
        "max_output_tokens": 200,
    }
    assert not isinstance(decode_client_event(json.dumps(event)), InvalidEvent)


def test_text_alone_stays_text_and_a_tool_by_name_is_a_function() -> None:
    session = session_to_ga({"modalities": ["text"], "tool_choice": "get_weather"})
    assert session["output_modalities"] == ["text"]
    assert session["tool_choice"] == {"type": "function", "name": "get_weather"}


def test_turning_turn_detection_off_stays_off() -> None:
    assert session_to_ga({"turn_detection": None})["audio"] == {"input": {"turn_detection": None}}


def test_a_transcription_session_is_an_update_of_that_kind() -> None:
    flat = {"input_audio_transcription": {"model": "whisper-1"}, "modalities": ["text"]}
    event = ga({"type": "transcription_session.update", "session": flat})
    assert event == {
        "type": "session.update",
        "session": {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}},
    }


def test_a_response_of_the_beta_has_its_overrides() -> None:
    response = {
        "modalities": ["audio", "text"],
        "voice": "verse",
        "output_audio_format": "g711_alaw",
        "temperature": 0.9,
        "max_response_output_tokens": "inf",
        "input": [{"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes."}]}],
    }
    assert ga({"type": "response.create", "response": response})["response"] == {
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "verse", "format": {"type": "audio/pcma"}}},
        "max_output_tokens": "inf",
        "input": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]}],
    }


@pytest.mark.parametrize(
    ("role", "kind"), [("assistant", "output_text"), ("user", "input_text"), ("system", "input_text")]
)
def test_text_of_an_item_is_told_apart_by_its_role(role: str, kind: str) -> None:
    item = {"type": "message", "role": role, "content": [{"type": "text", "text": "Hi."}]}
    event = ga({"type": "conversation.item.create", "item": item})
    assert event["item"]["content"] == [{"type": kind, "text": "Hi."}]
    assert not isinstance(decode_client_event(json.dumps(event)), InvalidEvent)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("response.output_text.delta", "response.text.delta"),
        ("response.output_audio.delta", "response.audio.delta"),
        ("response.output_audio.done", "response.audio.done"),
        ("response.output_audio_transcript.done", "response.audio_transcript.done"),
        ("conversation.item.added", "conversation.item.created"),
        ("input_audio_buffer.committed", "input_audio_buffer.committed"),
    ],
)
def test_events_have_their_old_names(ours: str, theirs: str) -> None:
    assert beta({"type": ours}) == {"type": theirs, "event_id": "event_1"}


def test_the_audio_of_a_delta_is_not_touched() -> None:
    frame = '{"type":"response.output_audio.delta","event_id":"e","delta":"AAAA"}'
    assert to_beta(frame) == '{"type":"response.audio.delta","event_id":"e","delta":"AAAA"}'


def test_done_of_an_item_was_not_known() -> None:
    assert beta({"type": "conversation.item.done", "item": {}}) is None


def test_an_answer_is_shown_as_the_beta_had_it() -> None:
    item = {
        "id": "item_1",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_audio", "transcript": "Hi."}],
    }
    done = beta(
        {
            "type": "response.done",
            "response": {
                "id": "resp_1",
                "object": "realtime.response",
                "status": "completed",
                "output_modalities": ["audio"],
                "audio": {"output": {"voice": "alloy", "format": {"type": "audio/pcm", "rate": 24000}}},
                "output": [item],
            },
        }
    )
    assert done is not None
    assert done["response"]["modalities"] == ["text", "audio"]
    assert (done["response"]["voice"], done["response"]["output_audio_format"]) == ("alloy", "pcm16")
    assert done["response"]["output"][0]["content"] == [{"type": "audio", "transcript": "Hi."}]
    assert "audio" not in done["response"]
    TYPED.validate_python(done)


def test_a_session_there_and_back_is_the_flat_one() -> None:
    config = SessionConfig(id="sess_1", model="gpt-realtime", expires_at=9)
    flat = session_to_beta(config.to_wire())
    BetaSession.model_validate(flat, strict=True)
    assert flat["modalities"] == ["text", "audio"]
    assert (flat["voice"], flat["input_audio_format"], flat["max_response_output_tokens"]) == ("alloy", "pcm16", "inf")
    assert flat["turn_detection"]["type"] == "server_vad"
    assert not flat.keys() & {"audio", "type", "output_modalities", "max_output_tokens"}


def test_a_transcription_session_keeps_its_name() -> None:
    event = beta(
        {"type": "session.updated", "session": {"type": "transcription", "object": "realtime.transcription_session"}}
    )
    assert event is not None
    assert event["type"] == "transcription_session.updated"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("session.audio.input.turn_detection.threshold", "session.turn_detection.threshold"),
        ("session.audio.output.voice", "session.voice"),
        ("response.output_modalities", "response.modalities"),
        ("session.audios", "session.audios"),
        ("item.content[0].text", "item.content[0].text"),
        (None, None),
    ],
)
def test_errors_name_what_the_client_wrote(ours: str | None, theirs: str | None) -> None:
    assert param_to_beta(ours) == theirs


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from([*FLAT, "type", "audio", "content", "role", "session", "response", "item", "input"]),
            below,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KINDS = st.sampled_from(
    ["session.update", "transcription_session.update", "response.create", "conversation.item.create", "other"]
)


@given(st.dictionaries(st.sampled_from(["session", "response", "item"]), JSON), KINDS)
def test_nothing_that_a_client_sends_is_too_odd(event: dict[str, Any], kind: str) -> None:
    json.loads(to_ga(json.dumps({**event, "type": kind})))


@given(st.text(max_size=20))
def test_what_is_no_json_passes_as_it_is(text: str) -> None:
    if not text.strip().startswith("{"):
        assert to_ga(text) == text
