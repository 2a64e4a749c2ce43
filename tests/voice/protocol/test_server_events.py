"""Every server event against the official SDK's types, strictly, and against the contract's own frames."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from voice.protocol import server_events as events
from voice.protocol.codec import encode_server_event
from voice.protocol.items import ContentPart, FunctionCallItem, McpCallError, McpCallItem, MessageItem
from voice.protocol.session_config import SessionConfig

ROOT = Path(__file__).parents[3]
FRAMES = [json.loads(line) for line in (ROOT / "tests/data/realtime_server_events.jsonl").read_text().splitlines()]
SDK: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
EXTRAS_OF_THE_REAL_SERVICE = {".session.id", ".session.object", ".session.expires_at", ".obfuscation", ".event_id"}

NAMES = """
conversation.created conversation.item.added conversation.item.created conversation.item.deleted
conversation.item.done conversation.item.input_audio_transcription.completed
conversation.item.input_audio_transcription.delta conversation.item.input_audio_transcription.failed
conversation.item.input_audio_transcription.segment conversation.item.retrieved conversation.item.truncated error
input_audio_buffer.cleared input_audio_buffer.committed input_audio_buffer.dtmf_event_received
input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.timeout_triggered
mcp_list_tools.completed mcp_list_tools.failed mcp_list_tools.in_progress output_audio_buffer.cleared
output_audio_buffer.started output_audio_buffer.stopped rate_limits.updated response.content_part.added
response.content_part.done response.created response.done response.function_call_arguments.delta
response.function_call_arguments.done response.mcp_call.completed response.mcp_call.failed
response.mcp_call.in_progress response.mcp_call_arguments.delta response.mcp_call_arguments.done
response.output_audio.delta response.output_audio.done response.output_audio_transcript.delta
response.output_audio_transcript.done response.output_item.added response.output_item.done
response.output_text.delta response.output_text.done session.created session.updated
"""
TYPES = NAMES.split()


def wire(event: events.ServerEvent) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode_server_event(event))
    return decoded


def unpadded(event: events.ServerEvent, frame: dict[str, Any]) -> dict[str, Any]:
    """Return what goes out for `event`, without the padding where the contract's frame shows none."""
    return {name: value for name, value in wire(event).items() if name in frame or name != "obfuscation"}


def extras(model: Any, path: str = "") -> list[str]:
    """Walk what the SDK parsed and name the fields it does not know."""
    if isinstance(model, list):
        return [name for child in model for name in extras(child, f"{path}[]")]
    if not isinstance(model, BaseModel):
        return []
    found = [f"{path}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        found += extras(getattr(model, name, None), f"{path}.{name}")
    return found


def assert_sdk_takes(frame: dict[str, Any]) -> None:
    parsed = SDK.validate_json(json.dumps(frame), strict=True)
    assert set(extras(parsed)) <= EXTRAS_OF_THE_REAL_SERVICE


def test_the_classes_are_the_46_events_of_the_contract() -> None:
    assert len(TYPES) == 46
    assert set(events.SERVER_EVENTS) == set(TYPES)


def test_the_classes_are_the_events_of_the_shared_contract() -> None:
    path = ROOT.parent / "shared/contract/events.json"
    if not path.exists():
        pytest.skip("the shared contract is not on this machine; the list above stands for it")
    assert set(events.SERVER_EVENTS) == set(json.loads(path.read_text())["server"])


@pytest.mark.parametrize(("kind", "cls"), events.SERVER_EVENTS.items())
def test_a_class_is_named_after_its_type_and_exported(kind: str, cls: type[events.ServerEvent]) -> None:
    name = "".join(word.capitalize() for word in kind.replace(".", "_").split("_"))
    assert cls.__name__ == ("ErrorEvent" if kind == "error" else name)
    assert getattr(events, cls.__name__) is cls
    assert cls.__name__ in events.__all__


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["type"])
def test_the_contracts_frame_survives_a_round_trip(frame: dict[str, Any]) -> None:
    event = events.SERVER_EVENTS[frame["type"]].model_validate(frame)
    assert unpadded(event, frame) == frame
    assert_sdk_takes(wire(event))


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["type"])
def test_a_field_that_the_sdk_requires_is_required(frame: dict[str, Any]) -> None:
    cls = events.SERVER_EVENTS[frame["type"]]
    for name in frame:
        less = {key: value for key, value in frame.items() if key != name}
        try:
            SDK.validate_json(json.dumps(less), strict=True)
        except ValidationError:
            # `type` is a constant of the class and `index` has a default the wire shows: both come back by themselves
            event = cls.model_validate(less) if name == "type" else None
            if event is not None:
                assert unpadded(event, frame) == frame
                continue
            with pytest.raises(ValidationError):
                cls.model_validate(less)


PADDED = (
    "response.output_text.delta",
    "response.output_audio_transcript.delta",
    "response.function_call_arguments.delta",
    "response.mcp_call_arguments.delta",
    "conversation.item.input_audio_transcription.delta",
)


@pytest.mark.parametrize("kind", PADDED)
def test_the_length_of_a_word_does_not_show_in_the_length_of_its_frame(kind: str) -> None:
    frame = next({**frame} for frame in FRAMES if frame["type"] == kind)
    frame.pop("obfuscation", None)

    def length(delta: str) -> int:
        return len(encode_server_event(events.SERVER_EVENTS[kind].model_validate({**frame, "delta": delta})).encode())

    assert (
        len({length(word) for word in ("a", " no", " yes, please", '{"city": "', "\n\n", " Zürich", "日本", "x" * 16)})
        == 1
    )
    assert length(" a word that is long beyond") == length("a") + 16


def test_audio_is_not_padded() -> None:
    frame = next(frame for frame in FRAMES if frame["type"] == "response.output_audio.delta")
    assert "obfuscation" not in wire(events.ResponseOutputAudioDelta.model_validate(frame))


def test_golden_frames_cover_every_event() -> None:
    assert {frame["type"] for frame in FRAMES} == set(TYPES)


def test_type_comes_first_and_event_id_second() -> None:
    event = events.ResponseOutputTextDelta(
        event_id="event_1", response_id="resp_1", item_id="item_1", output_index=0, content_index=0, delta="é"
    )
    assert encode_server_event(event).startswith('{"type":"response.output_text.delta","event_id":"event_1"')
    assert encode_server_event(event) == event.model_dump_json(exclude_unset=True)


def test_what_was_not_given_is_absent_and_none_is_null() -> None:
    usage = events.TranscriptionUsageDuration(seconds=1.5)
    absent = events.ConversationItemInputAudioTranscriptionCompleted(
        event_id="e", item_id="i", content_index=0, transcript="hi", usage=usage
    )
    null = events.ConversationItemInputAudioTranscriptionCompleted(
        event_id="e", item_id="i", content_index=0, transcript="hi", usage=usage, languages=None
    )
    assert "languages" not in wire(absent)
    assert wire(null)["languages"] is None
    assert wire(absent)["usage"] == {"type": "duration", "seconds": 1.5}


def test_a_new_response_shows_everything_but_an_unknown_voice() -> None:
    frame = wire(events.ResponseCreated(event_id="e", response=events.ResponseObject(id="resp_1")))
    assert frame["response"] == {
        "object": "realtime.response",
        "id": "resp_1",
        "status": "in_progress",
        "status_details": None,
        "output": [],
        "conversation_id": None,
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "usage": None,
        "metadata": None,
    }
    assert_sdk_takes(frame)


def test_an_error_always_has_its_five_fields() -> None:
    frame = wire(events.ErrorEvent(event_id="e", error=events.ErrorBody(message="No.")))
    assert frame["error"] == {
        "type": "invalid_request_error",
        "code": None,
        "message": "No.",
        "param": None,
        "event_id": None,
    }


def test_the_place_of_an_item_is_always_said() -> None:
    item = MessageItem(id="item_1", role="user", status="completed", content=[])
    assert wire(events.ConversationItemAdded(event_id="e", item=item))["previous_item_id"] is None
    assert wire(events.InputAudioBufferCommitted(event_id="e", item_id="i"))["previous_item_id"] is None


def test_none_in_an_item_is_absent() -> None:
    item = FunctionCallItem(id="item_1", name="f", arguments="", call_id=None, status=None)
    frame = wire(events.ResponseOutputItemAdded(event_id="e", response_id="r", output_index=0, item=item))
    assert frame["item"] == {
        "id": "item_1",
        "object": "realtime.item",
        "type": "function_call",
        "name": "f",
        "arguments": "",
    }


def test_only_the_transcript_of_input_audio_may_be_null() -> None:
    user = MessageItem(id="i", role="user", content=[ContentPart(type="input_audio", transcript=None, audio=None)])
    agent = MessageItem(id="i", role="assistant", content=[ContentPart(type="output_audio", transcript=None)])
    assert wire(events.ConversationItemDone(event_id="e", item=user))["item"]["content"] == [
        {"type": "input_audio", "transcript": None}
    ]
    assert wire(events.ConversationItemDone(event_id="e", item=agent))["item"]["content"] == [{"type": "output_audio"}]


def test_an_item_with_a_changed_id_is_sent_with_it() -> None:
    item = MessageItem(role="user", content=[ContentPart(type="input_text", text="hi")])
    changed = item.model_copy(update={"id": "item_9", "status": "completed"})
    frame = wire(events.ConversationItemAdded(event_id="e", item=changed))
    assert frame["item"]["id"] == "item_9"
    assert frame["item"]["status"] == "completed"


def test_parts_and_items_do_not_mix_their_words() -> None:
    with pytest.raises(ValidationError):
        MessageItem(role="assistant", content=[ContentPart(type="audio", transcript="")])
    with pytest.raises(ValidationError):
        events.ResponseContentPartAdded(
            event_id="e",
            response_id="r",
            item_id="i",
            output_index=0,
            content_index=0,
            part=ContentPart(type="output_audio", transcript=""),
        )


def test_a_misspelt_field_is_a_bug_of_ours() -> None:
    with pytest.raises(ValidationError):
        events.InputAudioBufferCleared.model_validate({"event_id": "e", "item": "i"})


def test_a_failed_service_tool_is_an_mcp_call_that_the_sdk_takes() -> None:
    item = McpCallItem(
        id="mcp_1",
        server_label="service",
        name="book",
        arguments="{}",
        error=McpCallError(type="tool_execution_error", message="The kitchen is closed."),
    )
    frame = wire(events.ConversationItemDone(event_id="e", previous_item_id="item_0", item=item))
    assert frame["item"]["error"] == {"type": "tool_execution_error", "message": "The kitchen is closed."}
    assert "output" not in frame["item"]
    SDK.validate_json(json.dumps(frame), strict=True)


def test_a_protocol_error_needs_its_code() -> None:
    with pytest.raises(ValidationError):
        McpCallError(type="http_error", message="Bad gateway.")


def test_a_whole_response_is_what_the_sdk_expects() -> None:
    response = events.ResponseObject(
        id="resp_1",
        status="cancelled",
        status_details=events.StatusDetails(type="cancelled", reason="turn_detected"),
        output=[
            MessageItem(
                id="item_1",
                role="assistant",
                status="incomplete",
                content=[ContentPart(type="output_audio", transcript="Hel")],
            )
        ],
        conversation_id="conv_1",
        usage=events.Usage(
            total_tokens=3,
            input_tokens=2,
            output_tokens=1,
            input_token_details=events.InputTokenDetails(
                text_tokens=2,
                audio_tokens=0,
                image_tokens=0,
                cached_tokens=0,
                cached_tokens_details=events.CachedTokensDetails(text_tokens=0, audio_tokens=0),
            ),
            output_token_details=events.OutputTokenDetails(text_tokens=1, audio_tokens=0),
        ),
    )
    frame = wire(events.ResponseDone(event_id="e", response=response))
    assert frame["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert_sdk_takes(frame)


def test_a_session_is_what_the_sdk_expects() -> None:
    config = SessionConfig(id="sess_1", model="gpt-realtime", expires_at=1763606000)
    frame = wire(events.SessionCreated(event_id="e", session=config.to_wire()))
    assert_sdk_takes(frame)
    TypeAdapter(RealtimeSessionCreateResponse).validate_json(json.dumps(frame["session"]), strict=True)
