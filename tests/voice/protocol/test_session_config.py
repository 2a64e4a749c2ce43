"""Merging by presence, clearing, and what the session shows of itself (contract 3)."""

import json
from typing import Any

import pytest

from voice.errors import ContractError
from voice.protocol.client_events import SessionUpdate
from voice.protocol.codec import decode_client_event
from voice.protocol.session_config import (
    FunctionTool,
    McpTool,
    NamedToolChoice,
    SemanticVad,
    ServerVad,
    SessionConfig,
    SessionUpdateBody,
    TranscriptionConfig,
    UlawFormat,
    merge,
)

NEW = SessionConfig(id="sess_1", model="gpt-realtime", expires_at=1763606000, instructions="Be brief.")

LIVE_CAPTURE = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "Be brief.",
    "tools": [],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": None,
    "truncation": "auto",
    "prompt": None,
    "expires_at": 1763606000,
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 200,
                "idle_timeout_ms": None,
                "create_response": True,
                "interrupt_response": True,
            },
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
    },
    "include": None,
}


def body(**fields: Any) -> SessionUpdateBody:
    event = decode_client_event(json.dumps({"type": "session.update", "session": {"type": "realtime", **fields}}))
    assert isinstance(event, SessionUpdate), event
    return event.session


def updated(config: SessionConfig = NEW, *, voice_is_fixed: bool = False, **fields: Any) -> SessionConfig:
    return merge(config, body(**fields), voice_is_fixed=voice_is_fixed)


def heard(config: SessionConfig = NEW, **fields: Any) -> SessionConfig:
    return updated(config, audio={"input": fields})


def spoken(config: SessionConfig = NEW, *, voice_is_fixed: bool = False, **fields: Any) -> SessionConfig:
    return updated(config, voice_is_fixed=voice_is_fixed, audio={"output": fields})


def test_a_new_session_looks_like_the_live_capture() -> None:
    assert NEW.to_wire() == LIVE_CAPTURE
    assert list(NEW.to_wire()) == list(LIVE_CAPTURE)


def test_an_empty_update_changes_nothing() -> None:
    assert updated() == NEW
    assert updated(audio={}) == NEW
    assert updated(audio={"input": {}, "output": {}}) == NEW


def test_what_is_absent_stays() -> None:
    config = updated(tools=[{"type": "function", "name": "f"}], max_output_tokens=100)
    config = updated(config, instructions="Be long.")
    assert (config.instructions, config.max_output_tokens) == ("Be long.", 100)
    assert config.tools == [FunctionTool(name="f")]


def test_nested_objects_are_merged() -> None:
    config = heard(turn_detection={"type": "server_vad", "silence_duration_ms": 700})
    config = heard(config, turn_detection={"type": "server_vad", "threshold": 0.9})
    assert config.audio.input.turn_detection == ServerVad(silence_duration_ms=700, threshold=0.9)
    config = heard(config, transcription={"model": "whisper-1"})
    config = heard(config, transcription={"language": "de"})
    assert config.audio.input.transcription == TranscriptionConfig(model="whisper-1", language="de")
    assert config.audio.input.turn_detection == ServerVad(silence_duration_ms=700, threshold=0.9)
    assert config.audio.output == NEW.audio.output


def test_noise_reduction_keeps_its_strength() -> None:
    config = heard(noise_reduction={"type": "near_field", "strength": 0.4})
    config = heard(config, noise_reduction={"type": "far_field"})
    assert config.to_wire()["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.4}


def test_another_kind_of_turn_detection_starts_from_its_defaults() -> None:
    config = heard(turn_detection={"type": "server_vad", "create_response": False})
    config = heard(config, turn_detection={"type": "semantic_vad"})
    assert config.audio.input.turn_detection == SemanticVad()
    assert config.to_wire()["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_clearing() -> None:
    full = updated(
        tools=[{"type": "function", "name": "f"}],
        prompt={"id": "pmpt_1"},
        tracing="auto",
        audio={"input": {"transcription": {"model": "whisper-1"}, "noise_reduction": {"type": "near_field"}}},
    )
    empty = updated(
        full,
        instructions="",
        tools=[],
        prompt=None,
        tracing=None,
        audio={"input": {"transcription": None, "noise_reduction": None, "turn_detection": None}},
    )
    wire = empty.to_wire()
    assert (wire["instructions"], wire["tools"], wire["prompt"], wire["tracing"]) == ("", [], None, None)
    assert wire["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": None,
    }


def test_turn_detection_comes_back_with_its_defaults() -> None:
    config = heard(heard(turn_detection=None), turn_detection={"type": "server_vad"})
    assert config.audio.input.turn_detection == ServerVad()


def test_formats() -> None:
    config = updated(audio={"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcm"}}})
    assert config.audio.input.format == UlawFormat()
    assert config.to_wire()["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert config.to_wire()["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


def refusal(config: SessionConfig = NEW, *, voice_is_fixed: bool = False, **fields: Any) -> ContractError:
    with pytest.raises(ContractError) as caught:
        updated(config, voice_is_fixed=voice_is_fixed, **fields)
    return caught.value


def test_a_voice_cannot_change_once_it_was_heard() -> None:
    error = refusal(voice_is_fixed=True, audio={"output": {"voice": "marin"}})
    assert (error.code, error.param) == ("cannot_update_voice", None)
    assert error.message == "Cannot update a conversation's voice if assistant audio is present."
    assert spoken(voice="marin").audio.output.voice == "marin"
    assert spoken(voice_is_fixed=True, voice="alloy", speed=1.2).audio.output.speed == 1.2


def test_a_custom_voice_is_shown_by_its_id() -> None:
    config = spoken(voice={"id": "voice_1"})
    assert config.to_wire()["audio"]["output"]["voice"] == "voice_1"
    assert spoken(config, voice_is_fixed=True, voice={"id": "voice_1"}) == config


def test_the_model_may_be_said_again_but_not_changed() -> None:
    assert updated(model="gpt-realtime") == NEW
    error = refusal(model="other")
    assert (error.code, error.param) == ("invalid_value", "session.model")


def test_a_transcription_update_is_of_the_wrong_kind() -> None:
    error = refusal(type="transcription")
    assert error.message == "Passing a transcription session update event to a realtime session is not allowed."


def test_tracing_cannot_be_changed_once_enabled() -> None:
    config = updated(tracing="auto")
    assert updated(config, tracing="auto") == config
    error = refusal(config, tracing={"workflow_name": "w"})
    assert (error.code, error.param) == ("invalid_value", "session.tracing")


def test_the_first_noise_reduction_needs_its_type() -> None:
    error = refusal(audio={"input": {"noise_reduction": {"strength": 0.5}}})
    assert (error.code, error.param) == ("missing_required_parameter", "session.audio.input.noise_reduction.type")


def test_a_refused_update_leaves_the_configuration_alone() -> None:
    before = NEW.to_wire()
    refusal(instructions="changed", model="other")
    assert NEW.to_wire() == before


def test_secrets_of_an_mcp_server_are_not_shown() -> None:
    config = updated(
        tools=[
            {
                "type": "mcp",
                "server_label": "shop",
                "server_url": "https://shop.example",
                "authorization": "s3cret",
                "headers": {"x-key": "s3cret"},
                "require_approval": {"never": {"tool_names": ["list"]}},
            }
        ]
    )
    tool = config.tools[0]
    assert isinstance(tool, McpTool)
    assert tool.authorization == "s3cret"
    assert "s3cret" not in json.dumps(config.to_wire())
    assert "s3cret" not in repr(config)
    assert config.to_wire()["tools"][0]["require_approval"] == {"never": {"tool_names": ["list"]}}


def test_tools_and_choices_are_shown_as_they_were_given() -> None:
    tool = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object", "default": None}}
    config = updated(tools=[tool], tool_choice={"type": "function", "name": "f"})
    assert config.to_wire()["tools"] == [tool]
    assert config.tool_choice == NamedToolChoice(type="function", name="f")
    assert config.to_wire()["tool_choice"] == {"type": "function", "name": "f"}


def test_the_fields_of_reasoning_models_show_once_set() -> None:
    wire = updated(parallel_tool_calls=False, reasoning={"effort": "low"}).to_wire()
    assert (wire["parallel_tool_calls"], wire["reasoning"]) == (False, {"effort": "low"})
