"""Items: created, retrieved, truncated, deleted (contract 4.13, 4.15)."""

import base64

import pytest

from voice.engines.port import Capabilities, EngineDone, TextDelta, TranscriptDelta, TranscriptDone


def message(text="Hi", **more):
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def create(stepper, item, **more):
    return stepper.send({"type": "conversation.item.create", "item": item, **more})


def configure(stepper, audio):
    stepper.send({"type": "session.update", "session": {"type": "realtime", "audio": audio}})


def error(stepper):
    return stepper.frames[-1]["error"]


def test_items_are_put_where_the_client_wants_them(stepper):
    create(stepper, message(id="b"))
    create(stepper, message(id="a"), previous_item_id="root")
    create(stepper, message(id="c"), previous_item_id="a")
    assert [item.id for item in stepper.session.conversation.items] == ["a", "c", "b"]
    assert [frame["previous_item_id"] for frame in stepper.frames[1::2]] == [None, None, "a"]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "conversation.item.create", "item": message(id="a")}, "item_create_duplicate_item_id"),
        (
            {"type": "conversation.item.create", "item": message(), "previous_item_id": "?"},
            "item_create_invalid_previous_item_id",
        ),
        ({"type": "conversation.item.retrieve", "item_id": "?"}, "item_retrieve_invalid_item_id"),
        ({"type": "conversation.item.delete", "item_id": "?"}, "item_delete_invalid_item_id"),
        (
            {"type": "conversation.item.truncate", "item_id": "?", "content_index": 0, "audio_end_ms": 0},
            "item_truncate_invalid_item_id",
        ),
        (
            {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 0},
            "unsupported_content_type",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "x", "output": ""},
            },
            "invalid_tool_call_id",
        ),
    ],
)
def test_what_cannot_be_done_is_an_error_that_names_the_event(stepper, event, code):
    create(stepper, message(id="a"))
    stepper.send({**event, "event_id": "mine"})
    assert error(stepper)["code"] == code
    assert error(stepper)["event_id"] == "mine"
    assert len(stepper.session.conversation) == 1


def test_a_deleted_item_is_gone_from_the_context(stepper):
    create(stepper, message(id="a"))
    stepper.send({"type": "conversation.item.delete", "item_id": "a"})
    assert stepper.frames[-1] == {
        "type": "conversation.item.deleted",
        "event_id": stepper.frames[-1]["event_id"],
        "item_id": "a",
    }
    stepper.send({"type": "response.create"})
    assert stepper.request().items == ()


def test_user_speech_is_retrieved_with_its_audio(stepper):
    pcm = b"\x05\x00" * 2400
    part = {"type": "input_audio", "audio": base64.b64encode(pcm).decode()}
    create(stepper, {"type": "message", "role": "user", "content": [part], "id": "a"})
    assert stepper.frames[-1]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    stepper.send({"type": "conversation.item.retrieve", "item_id": "a"})
    assert base64.b64decode(stepper.frames[-1]["item"]["content"][0]["audio"]) == pcm


@pytest.mark.parametrize(("name", "silence"), [("audio/pcmu", b"\xff"), ("audio/pcma", b"\xd5")])
def test_speech_as_an_item_is_in_the_sessions_input_format_in_both_directions(stepper, name, silence):
    configure(stepper, {"input": {"format": {"type": name}}})
    said = silence * 4000 + bytes(range(256)) * 4 + silence * 3001
    part = {"type": "input_audio", "audio": base64.b64encode(said).decode()}
    create(stepper, {"type": "message", "role": "user", "content": [part], "id": "a"})
    assert stepper.session.conversation.get("a").parts[0].duration_ms == len(said) // 8
    stepper.send({"type": "conversation.item.retrieve", "item_id": "a"})
    shown = base64.b64decode(stepper.frames[-1]["item"]["content"][0]["audio"])
    assert len(shown) == len(said)
    assert shown[:3900] == silence * 3900


def test_speech_of_the_agent_is_retrieved_in_the_sessions_output_format(stepper, speech):
    configure(stepper, {"output": {"format": {"type": "audio/pcmu"}}})
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello.", ms=500))
    stepper.send({"type": "conversation.item.retrieve", "item_id": stepper.played[0].item_id})
    assert len(base64.b64decode(stepper.frames[-1]["item"]["content"][0]["audio"])) == 4000


@pytest.mark.parametrize("name", ["audio/pcm", "audio/pcmu"])
def test_half_a_sample_is_refused_where_samples_have_two_bytes(stepper, name):
    configure(stepper, {"input": {"format": {"type": name}}})
    part = {"type": "input_audio", "audio": base64.b64encode(bytes(801)).decode()}
    create(stepper, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}, part]})
    if name == "audio/pcm":
        assert (error(stepper)["code"], error(stepper)["param"]) == ("invalid_value", "item.content[1].audio")
    else:
        assert stepper.frames[-1]["type"] == "conversation.item.done"


def test_an_item_under_way_can_be_retrieved(stepper, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello ", done=False))
    stepper.send({"type": "conversation.item.retrieve", "item_id": stepper.played[0].item_id})
    content = stepper.frames[-1]["item"]["content"][0]
    assert content["transcript"] == "Hello "
    assert len(base64.b64decode(content["audio"])) == 500 * 48


def test_a_truncation_behind_the_end_of_the_audio_names_both_lengths(stepper, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello.", ms=500))
    item_id = stepper.played[0].item_id
    truncation = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 501}
    stepper.send(truncation)
    assert error(stepper)["message"] == "Audio content of 500ms is already shorter than 501ms"
    stepper.send({**truncation, "audio_end_ms": 500})
    assert stepper.frames[-1]["type"] == "conversation.item.truncated"
    stepper.send({**truncation, "audio_end_ms": 100})
    assert error(stepper)["code"] == "item_already_truncated"


def test_a_truncation_while_more_is_generated_holds_when_the_item_ends(stepper, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("One ", ms=1000, done=False))
    item_id = stepper.played[0].item_id
    stepper.send({"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 1000})
    stepper.answer(*speech("two ", "three.", ms=1000))
    assert stepper.session.conversation.get(item_id).text == "One"


def test_images_are_refused_by_an_engine_that_does_not_see(stepper):
    part = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    create(stepper, {"type": "message", "role": "user", "content": [part]})
    assert error(stepper)["code"] == "unsupported_content_type"
    assert error(stepper)["param"] == "item.content[0].type"


def test_images_for_one_response_are_refused_by_an_engine_that_does_not_see(stepper, types):
    part = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    shown = [message(), {"type": "message", "role": "user", "content": [part]}]
    effects = stepper.send({"type": "response.create", "response": {"conversation": "none", "input": shown}})
    assert types(effects) == ["error"]
    assert error(stepper)["param"] == "response.input[1].content[0].type"


def test_the_id_of_an_answer_that_was_deleted_is_free_when_it_has_ended(stepper, types, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello ", done=False))
    item_id = stepper.played[0].item_id
    stepper.send({"type": "conversation.item.delete", "item_id": item_id})
    assert types(create(stepper, message(id=item_id))) == ["error"]
    assert error(stepper)["code"] == "item_create_duplicate_item_id"
    stepper.answer(*speech("there."))
    assert types(create(stepper, message(id=item_id))) == ["conversation.item.added", "conversation.item.done"]


def test_what_an_aside_says_may_be_kept_under_its_own_id(stepper):
    stepper.send({"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}})
    stepper.answer(TextDelta("Half an ans"))
    item_id = stepper.frames[-1]["item_id"]
    create(stepper, message("Mine", id=item_id))
    stepper.send({"type": "conversation.item.retrieve", "item_id": item_id})
    assert stepper.frames[-1]["item"]["content"] == [{"type": "input_text", "text": "Mine"}]


def test_the_id_of_a_turn_that_is_being_said_is_taken(stepper, types):
    stepper.speak()
    (item_id,) = [f["item_id"] for f in stepper.frames if f["type"] == "input_audio_buffer.speech_started"]
    assert types(create(stepper, message(id=item_id))) == ["error"]
    assert error(stepper)["code"] == "item_create_duplicate_item_id"
    stepper.fall_silent()
    assert stepper.session.conversation.last_id == item_id
    stepper.send({"type": "conversation.item.delete", "item_id": item_id})
    create(stepper, message(id=item_id))  # agents SDKs change an item by deleting it and creating it anew
    assert stepper.session.conversation.last_id == item_id


def test_the_id_of_a_turn_that_was_cleared_is_free(stepper, types):
    stepper.speak()
    (item_id,) = [f["item_id"] for f in stepper.frames if f["type"] == "input_audio_buffer.speech_started"]
    stepper.send({"type": "input_audio_buffer.clear"})
    assert "error" not in types(create(stepper, message(id=item_id)))


def test_an_id_that_the_service_has_yet_to_give_is_refused(stepper, types):
    create(stepper, message())
    number = int(stepper.session.conversation.last_id.removeprefix("item_t"), 16)
    for later in range(number + 1, number + 40):
        assert types(create(stepper, message(id=f"item_t{later + 100:05x}"))) == ["error"]
    assert error(stepper)["param"] == "item.id"
    assert "error" not in types(create(stepper, message(id="item_of_mine")))


def test_a_picture_is_shown_as_it_came(make_session):
    stepper = make_session(capabilities=Capabilities(takes_images=True))
    shown = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": detail}
        for detail in ("auto", "low", "high")
    ]
    create(stepper, {"type": "message", "role": "user", "content": shown})
    assert stepper.frames[-1]["item"]["content"] == shown
    stepper.send({"type": "response.create", "response": {"output_modalities": ["text"]}})
    stepper.answer(TextDelta("A rose."), EngineDone())
    usage = stepper.frames[-2]["response"]["usage"]
    assert usage["input_token_details"]["image_tokens"] > 0
    assert usage["input_tokens"] == usage["input_token_details"]["image_tokens"]


def test_a_call_id_is_given_once(stepper):
    call = {"type": "function_call", "name": "book", "call_id": "call_1", "arguments": "{}"}
    create(stepper, call)
    create(stepper, call)
    assert error(stepper)["code"] == "invalid_tool_call_id"
    assert len(stepper.session.conversation) == 1


def test_old_audio_is_let_go_and_its_words_stay(make_session, speech):
    stepper = make_session(audio_retention_s=1.0)
    for word in ("One.", "Two.", "Three."):
        stepper.send({"type": "response.create"})
        stepper.answer(*speech(word, ms=600))
    items = stepper.session.conversation.items
    assert [len(item.parts[0].pcm) > 0 for item in items] == [False, False, True]
    assert [item.text for item in items] == ["One.", "Two.", "Three."]


def test_transcripts_are_told_to_a_client_that_asked(stepper, types):
    configure(stepper, {"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
    stepper.speak()
    stepper.fall_silent()
    item_id = stepper.session.conversation.last_id
    effects = stepper.take(stepper.session.receive_transcription_event(item_id, TranscriptDelta("Hello")))
    effects += stepper.take(stepper.session.receive_transcription_event(item_id, TranscriptDone("Hello")))
    prefix = "conversation.item.input_audio_transcription."
    assert types(effects) == [prefix + "delta", prefix + "completed"]
    assert stepper.frames[-1]["usage"]["total_tokens"] == stepper.frames[-1]["usage"]["input_tokens"] + 2
    stepper.send({"type": "conversation.item.retrieve", "item_id": item_id})
    assert stepper.frames[-1]["item"]["content"][0]["transcript"] == "Hello"


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("whisper-1", {"type": "duration", "seconds": 0.84}),
        ("gpt-realtime-whisper", {"type": "duration", "seconds": 0.84}),
        (
            "gpt-4o-transcribe",
            {
                "type": "tokens",
                "total_tokens": 11,
                "input_tokens": 9,
                "output_tokens": 2,
                "input_token_details": {"text_tokens": 0, "audio_tokens": 9},
            },
        ),
    ],
)
def test_the_usage_of_a_transcript_is_told_in_what_its_model_is_priced_by(stepper, model, usage):
    configure(stepper, {"input": {"transcription": {"model": model}}})
    stepper.speak()
    stepper.fall_silent()
    item_id = stepper.session.conversation.last_id
    stepper.take(stepper.session.receive_transcription_event(item_id, TranscriptDone("Hello")))
    assert stepper.frames[-1]["usage"] == usage


def test_transcripts_stay_inside_when_nobody_asked(stepper, types):
    stepper.speak()
    stepper.fall_silent()
    item_id = stepper.session.conversation.last_id
    assert stepper.take(stepper.session.receive_transcription_event(item_id, TranscriptDone("Hello"))) == []
    assert stepper.session.said == "Hello"
    stepper.send({"type": "conversation.item.retrieve", "item_id": item_id})
    assert stepper.frames[-1]["item"]["content"][0]["transcript"] is None


def test_a_conversation_takes_only_so_many_items_and_so_much_text(stepper, monkeypatch):
    monkeypatch.setattr("voice.session.conversation.MAX_ITEMS", 3)
    monkeypatch.setattr("voice.session.conversation.MAX_WRITTEN_CHARS", 100)
    create(stepper, message("x" * 90, id="a"))
    create(stepper, message("x" * 20))
    assert error(stepper)["code"] == "conversation_full"
    stepper.send({"type": "conversation.item.delete", "item_id": "a"})
    for _ in range(4):
        create(stepper, message("x"))
    assert error(stepper)["code"] == "conversation_full"
    assert len(stepper.session.conversation) == 3


def test_long_calls_count_as_text(stepper, monkeypatch):
    monkeypatch.setattr("voice.session.conversation.MAX_WRITTEN_CHARS", 100)
    call = {"type": "function_call", "name": "book", "call_id": "call_1", "arguments": "{}"}
    create(stepper, {**call, "arguments": "x" * 100})
    assert error(stepper)["code"] == "conversation_full"
    create(stepper, {**call, "id": "x" * 100})
    assert error(stepper)["code"] == "conversation_full"
    create(stepper, call)
    assert stepper.frames[-1]["type"] == "conversation.item.done"
