"""What clients of the beta say, in the contract's words, and what they are told about their mistakes."""

import copy
import json
from functools import partial
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.beta.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.beta.realtime.session_create_response import SessionCreateResponse
from pydantic import Field, TypeAdapter

from voice.errors import ContractError
from voice.protocol import beta
from voice.protocol.client_events import (
    CLIENT_EVENT_TYPES,
    ConversationItemCreate,
    InputAudioBufferAppend,
    InvalidEvent,
    ResponseCreate,
    SessionUpdate,
)
from voice.protocol.client_secrets import SecretRequest, decode_secret_request
from voice.protocol.codec import encode_server_event
from voice.protocol.dialect import beta_dialect
from voice.protocol.items import MessageItem
from voice.protocol.server_events import ErrorBody, ErrorEvent
from voice.protocol.session_config import NamedToolChoice, SessionConfig, merge

CLIENT_SDK: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeClientEvent, Field(discriminator="type")])

FLAT: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "instructions": "Be brief.",
    "voice": "verse",
    "speed": 1.25,
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.4, "prefix_padding_ms": 200, "silence_duration_ms": 300},
    "tools": [{"type": "function", "name": "add", "description": "Adds.", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "temperature": 0.8,
    "max_response_output_tokens": 400,
}
"""A session of the beta with all its fields."""


def decoded(event: dict[str, Any]) -> Any:
    return beta_dialect().decode(json.dumps(event))


def refusal(event: dict[str, Any]) -> dict[str, Any]:
    """Return the error that a beta client reads about an event of its own."""
    dialect = beta_dialect()
    problem = dialect.decode(json.dumps(event))
    assert isinstance(problem, InvalidEvent), problem
    body = ErrorBody(code=problem.code, message=problem.message, param=problem.param, event_id=problem.event_id)
    (text,) = dialect.spoken(encode_server_event(ErrorEvent(event_id="event_1", error=body)))
    error: dict[str, Any] = json.loads(text)["error"]
    return error


def configured(session: dict[str, Any]) -> SessionConfig:
    update = decoded({"type": "session.update", "session": session})
    assert isinstance(update, SessionUpdate), update
    return merge(SessionConfig(id="sess_1", model="gpt-realtime", expires_at=1), update.session, voice_is_fixed=False)


# --- What a client says -----------------------------------------------------------------------------------------------


def test_every_field_of_a_flat_session_takes_effect_and_is_shown_as_it_was_given() -> None:
    config = configured(FLAT)
    heard, spoken = config.audio.input, config.audio.output
    assert (config.output_modalities, config.max_output_tokens, spoken.voice, spoken.speed) == (
        ["audio"],
        400,
        "verse",
        1.25,
    )
    assert (heard.format.type, spoken.format.type) == ("audio/pcmu", "audio/pcma")
    assert heard.noise_reduction is not None
    shown = beta.session_object(config.to_wire())
    shown["turn_detection"] = {name: shown["turn_detection"][name] for name in FLAT["turn_detection"]}
    shown["input_audio_noise_reduction"].pop("strength", None)
    assert {name: shown[name] for name in FLAT} == {**FLAT, "modalities": ["audio", "text"]}


def test_what_a_session_update_does_not_say_is_left_alone() -> None:
    update = decoded({"type": "session.update", "session": {"voice": "verse"}})
    assert update.session.model_dump(exclude_unset=True) == {
        "type": "realtime",
        "audio": {"output": {"voice": "verse"}},
    }


@pytest.mark.parametrize("name", ["turn_detection", "input_audio_transcription", "input_audio_noise_reduction"])
def test_null_turns_a_setting_off(name: str) -> None:
    assert beta.session_object(configured({name: None}).to_wire())[name] is None


@pytest.mark.parametrize(
    ("said", "meant"), [(["text"], ["text"]), (["audio"], ["audio"]), (["text", "audio"], ["audio"])]
)
def test_speech_and_its_words_are_one_modality(said: list[str], meant: list[str]) -> None:
    assert configured({"modalities": said}).output_modalities == meant


def test_a_transcription_session_is_updated_under_its_old_name() -> None:
    update = decoded(
        {
            "type": "transcription_session.update",
            "session": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1", "prompt": "cards"},
                "modalities": ["text"],
                "include": ["item.input_audio_transcription.logprobs"],
            },
        }
    )
    assert isinstance(update, SessionUpdate)
    assert update.session.type == "transcription"
    assert update.session.audio.input.transcription is not None
    assert "output_modalities" not in update.session.model_fields_set


def test_a_response_is_asked_for_in_flat_words() -> None:
    event = {
        "type": "response.create",
        "event_id": "mine",
        "response": {
            "modalities": ["text", "audio"],
            "voice": "sage",
            "output_audio_format": "pcm16",
            "max_response_output_tokens": "inf",
            "temperature": 0.7,
            "conversation": "none",
            "tool_choice": {"type": "function", "function": {"name": "add"}},
            "input": [
                {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
                {"type": "item_reference", "id": "item_1"},
            ],
        },
    }
    asked = decoded(event)
    assert isinstance(asked, ResponseCreate)
    assert asked.response is not None
    assert asked.response.model_dump(exclude_unset=True, exclude={"input"}) == {
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "sage", "format": {"type": "audio/pcm", "rate": 24000}}},
        "max_output_tokens": "inf",
        "conversation": "none",
        "tool_choice": {"type": "function", "name": "add"},
    }
    said = (asked.response.input or [])[0]
    assert isinstance(said, MessageItem)
    assert said.content[0].type == "output_text"


@pytest.mark.parametrize(
    ("role", "kind"), [("assistant", "output_text"), ("user", "input_text"), ("system", "input_text")]
)
def test_text_of_an_item_is_told_apart_by_its_role(role: str, kind: str) -> None:
    item = {"type": "message", "role": role, "content": [{"type": "text", "text": "Hello."}]}
    created = decoded({"type": "conversation.item.create", "item": item})
    assert isinstance(created, ConversationItemCreate)
    assert isinstance(created.item, MessageItem)
    assert created.item.content[0].type == kind


@pytest.mark.parametrize(
    "said", ["add", {"type": "function", "name": "add"}, {"type": "function", "function": {"name": "add"}}]
)
def test_a_function_is_chosen_in_three_ways_and_shown_by_its_name(said: Any) -> None:
    config = configured({"tool_choice": said})
    assert config.tool_choice == NamedToolChoice(type="function", name="add")
    assert beta.session_object(config.to_wire())["tool_choice"] == "add"


def test_an_append_is_the_same_in_both() -> None:
    assert decoded({"type": "input_audio_buffer.append", "audio": "AAAA"}) == InputAudioBufferAppend(b"\0\0\0")


def test_the_words_of_the_contract_are_understood_too() -> None:
    session = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}, "output_modalities": ["text"]}
    config = configured({**session, "turn_detection": None})
    assert (config.audio.output.voice, config.audio.input.turn_detection) == ("cedar", None)


CLIENT_EVENTS: list[dict[str, Any]] = [
    {"type": "session.update", "session": FLAT},
    {"type": "transcription_session.update", "session": {"input_audio_format": "pcm16"}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
    {"type": "output_audio_buffer.clear"},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_u"},
    {"type": "conversation.item.truncate", "item_id": "item_a", "content_index": 0, "audio_end_ms": 1500},
    {"type": "conversation.item.delete", "item_id": "item_u"},
    {"type": "response.create", "response": {"modalities": ["text"]}},
    {"type": "response.cancel", "response_id": "resp_1"},
]


@pytest.mark.parametrize("event", CLIENT_EVENTS, ids=lambda event: str(event["type"]))
def test_every_client_event_of_the_beta_is_understood(event: dict[str, Any]) -> None:
    CLIENT_SDK.validate_json(json.dumps(event), strict=True) if "response_id" not in event else None
    assert not isinstance(decoded(event), InvalidEvent)


def test_these_are_all_client_events() -> None:
    assert {event["type"] for event in CLIENT_EVENTS} == {*CLIENT_EVENT_TYPES, "transcription_session.update"}


# --- Errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "param", "words"),
    [
        ({"voice": 5}, "session.voice", "Invalid type for 'session.voice': expected a string or an object"),
        (
            {"input_audio_format": "mp3"},
            "session.input_audio_format",
            "Invalid value: 'mp3'. Supported values are: 'pcm16', 'g711_ulaw', and 'g711_alaw'.",
        ),
        ({"output_audio_format": 8}, "session.output_audio_format", "'session.output_audio_format'"),
        (
            {"turn_detection": {"type": "server_vad", "threshold": 2}},
            "session.turn_detection.threshold",
            "above maximum",
        ),
        ({"turn_detection": {"type": "guess"}}, "session.turn_detection.type", "'server_vad' and 'semantic_vad'"),
        ({"modalities": ["text", "video"]}, "session.modalities[1]", "'video'"),
        ({"max_response_output_tokens": 0}, "session.max_response_output_tokens", "below minimum"),
        ({"input_audio_transcription": {"kind": 1}}, "session.input_audio_transcription.kind", "Unknown parameter"),
        ({"volume": 3}, "session.volume", "Unknown parameter: 'session.volume'."),
    ],
)
def test_an_error_about_a_session_is_in_the_clients_own_words(session: Any, param: str, words: str) -> None:
    error = refusal({"type": "session.update", "event_id": "mine", "session": session})
    assert (error["param"], error["event_id"]) == (param, "mine")
    assert words in error["message"]


@pytest.mark.parametrize(
    ("event", "param", "words"),
    [
        ({"type": "response.create", "response": {"voice": 1}}, "response.voice", "'response.voice'"),
        ({"type": "response.create", "response": 5}, "response", "'response'"),
        ({"type": "session.update", "session": [1]}, "session", "'session'"),
        ({"type": "session.update"}, "session", "Missing required parameter: 'session'."),
        ({"type": "session.update", "session": {"audio": 5, "voice": "ash"}}, "session.audio", "'session.audio'"),
        ({"type": "conversation.item.create", "item": 5}, "item", "'item'"),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "assistant", "content": [{"type": "audio", "audio": "AAAA"}]},
            },
            "item.content[0].type",
            "Invalid value: 'audio'. Supported values are: 'text'.",
        ),
        ({"type": "what"}, "type", "Invalid value: 'what'."),
        ({"type": 5}, "type", "'type'"),
        ({}, "type", "Missing required parameter: 'type'."),
    ],
)
def test_an_error_about_anything_else_is_too(event: Any, param: str, words: str) -> None:
    error = refusal(event)
    assert error["param"] == param
    assert words in error["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    kind=st.sampled_from([event["type"] for event in CLIENT_EVENTS]) | JSON,
    session=st.dictionaries(st.sampled_from([*FLAT, "audio", "type", "client_secret"]), JSON, max_size=5) | JSON,
    item=st.fixed_dictionaries({"role": st.just("assistant"), "content": JSON}) | JSON,
)
def test_nothing_that_a_client_sends_raises(kind: Any, session: Any, item: Any) -> None:
    event = {"type": kind, "session": session, "response": session, "item": item}
    before = copy.deepcopy(event)
    beta.client_event(event)
    beta.secret_request(session, "realtime")
    assert event == before


# --- REST -------------------------------------------------------------------------------------------------------------


def asked(body: Any, kind: str = "realtime") -> SecretRequest:
    return decode_secret_request(json.dumps(body).encode(), SecretRequest, partial(beta.secret_request, kind=kind))


def test_a_secret_is_asked_for_by_a_flat_session() -> None:
    request = asked({"model": "gpt-4o-realtime-preview", **FLAT})
    assert (request.session.model, request.session.audio.output.voice) == ("gpt-4o-realtime-preview", "verse")
    assert request.expires_after.seconds == beta.SECRET_S
    assert asked({}).session.model_dump(exclude_unset=True) == {"type": "realtime"}


@pytest.mark.parametrize("name", ["expires_after", "expires_at"])
def test_the_lifetime_of_a_secret_has_two_names(name: str) -> None:
    request = asked({"client_secret": {name: {"anchor": "created_at", "seconds": 300}}}, "transcription")
    assert (request.expires_after.seconds, request.session.type) == (300, "transcription")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"voice": 5}, "voice"),
        ({"turn_detection": {"type": "server_vad", "threshold": 2}}, "turn_detection.threshold"),
        ({"client_secret": {"expires_after": {"seconds": 5}}}, "client_secret.expires_after.seconds"),
        ({"volume": 1}, "volume"),
    ],
)
def test_an_error_about_a_body_has_the_path_in_it(body: Any, param: str) -> None:
    with pytest.raises(ContractError) as raised:
        asked(body)
    assert beta.body_parameter(raised.value.param) == param


def test_a_session_with_its_secret_is_what_the_sdk_expects() -> None:
    shown = {**beta.session_object(configured(FLAT).to_wire()), "client_secret": {"value": "ek_1", "expires_at": 1}}
    SessionCreateResponse.model_validate_json(json.dumps(shown), strict=True)
