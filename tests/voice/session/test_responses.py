"""Responses: their life, overrides, races, usage (contract 4.3, 4.8, 4.9, §8)."""

import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineUnavailable
from voice.session.effects import CancelResponse

TEXT = {"output_modalities": ["text"]}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def say(stepper, text="Hi"):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return stepper.send({"type": "conversation.item.create", "item": item})


def test_a_text_turn_gives_the_events_of_the_contract_in_order(stepper, types):
    assert types(say(stepper)) == ["conversation.item.added", "conversation.item.done"]
    effects = stepper.send({"type": "response.create", "response": TEXT})
    effects += stepper.answer(TextDelta("Hel"), TextDelta("lo."), EngineDone())
    assert types(effects) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = stepper.frames[-2]["response"]
    assert response["status"] == "completed"
    assert response["status_details"] is None
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Hello."}]


def test_usage_follows_the_rates_and_adds_up(stepper, speech):
    stepper.speak(1000)
    stepper.fall_silent()
    stepper.answer(*speech("Four", ms=1000))
    usage = stepper.frames[-2]["response"]["usage"]
    assert usage["input_token_details"]["audio_tokens"] == 12  # 1,000 ms of speech and 200 ms of silence, 0 prefix
    assert usage["output_token_details"] == {"text_tokens": 1, "audio_tokens": 20}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_what_the_last_response_had_sent_already_counts_as_cached(stepper):
    say(stepper, "x" * 40)
    for text in ("One", "Two"):
        stepper.send({"type": "response.create", "response": TEXT})
        stepper.answer(TextDelta(text), EngineDone())
        say(stepper, "y" * 8)
    details = stepper.frames[-4]["response"]["usage"]["input_token_details"]
    assert details["cached_tokens"] == 10
    assert details["text_tokens"] == 10 + 1 + 2


def test_a_second_default_response_is_refused_by_the_id_of_the_first(stepper):
    stepper.send({"type": "response.create"})
    first = stepper.request().response_id
    stepper.send({"type": "response.create", "event_id": "r2"})
    error = stepper.frames[-1]["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert first in error["message"]
    assert error["event_id"] == "r2"


def test_a_client_that_reacts_to_done_finds_the_slot_free(stepper, types):
    stepper.send({"type": "response.create", "response": TEXT})
    stepper.answer(TextDelta("A"), EngineDone())
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]


def test_a_cancel_right_behind_create_hits_that_response(stepper, types):
    stepper.send({"type": "response.create"})
    effects = stepper.send({"type": "response.cancel"})
    assert CancelResponse(stepper.request().response_id) in effects
    assert types(effects) == ["response.done", "rate_limits.updated"]
    assert stepper.frames[-2]["response"]["status_details"]["reason"] == "client_cancelled"


def test_a_cancel_with_nothing_active_is_an_error_and_no_more(stepper):
    stepper.send({"type": "response.cancel", "event_id": "c"})
    error = stepper.frames[-1]["error"]
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")


def test_an_out_of_band_response_leaves_the_conversation_alone(stepper, types):
    stepper.send({"type": "response.create"})
    default = stepper.request().response_id
    params = {"conversation": "none", "metadata": {"topic": "x"}, "input": [], **TEXT}
    effects = stepper.send({"type": "response.create", "response": params})
    effects += stepper.answer(TextDelta("Aside."), EngineDone())
    assert not [name for name in types(effects) if name.startswith("conversation.")]
    created = [frame for frame in stepper.frames if frame["type"] == "response.created"][-1]["response"]
    assert created["conversation_id"] is None
    assert created["metadata"] == {"topic": "x"}
    assert stepper.request().items == ()
    assert len(stepper.session.conversation) == 0
    assert types(stepper.answer(TextDelta("Still here."), response_id=default))


def test_an_out_of_band_response_is_not_cut_by_the_caller(stepper, types):
    stepper.send({"type": "response.create", "response": {"conversation": "none", **TEXT}})
    aside = stepper.request().response_id
    assert "response.done" not in types(stepper.speak())
    assert types(stepper.answer(TextDelta("Aside."), response_id=aside))
    assert types(stepper.send({"type": "response.cancel", "response_id": aside}))[-2] == "response.done"


def test_references_and_new_items_make_up_the_context_of_a_response(stepper):
    say(stepper, "one")
    item_id = stepper.session.conversation.last_id
    given = [
        {"type": "item_reference", "id": item_id},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "two"}]},
    ]
    stepper.send({"type": "response.create", "response": {"conversation": "none", "input": given}})
    assert [item.text for item in stepper.request().items] == ["one", "two"]
    given[0]["id"] = "nobody"
    stepper.send({"type": "response.create", "response": {"conversation": "none", "input": given}})
    assert stepper.frames[-1]["error"]["param"] == "response.input[0].id"


def test_overrides_hold_for_one_response(stepper):
    params = {"instructions": "Sing.", "tools": [WEATHER], "tool_choice": "required", "max_output_tokens": 7}
    stepper.send({"type": "response.create", "response": params})
    settings = stepper.request().settings
    assert (settings.instructions, settings.tool_choice, settings.max_output_tokens) == ("Sing.", "required", 7)
    assert [tool.name for tool in settings.tools] == ["get_weather"]
    assert stepper.session.engine_settings.instructions == ""


def test_the_end_of_the_tokens_makes_a_response_incomplete(stepper, types):
    stepper.send({"type": "response.create", "response": TEXT})
    stepper.answer(TextDelta("And then"), EngineDone("max_output_tokens"))
    response = stepper.frames[-2]["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_an_engine_that_dies_fails_the_response_and_not_the_session(stepper, types):
    stepper.send({"type": "response.create", "response": TEXT})
    stepper.answer(TextDelta("I was"))
    effects = stepper.take(
        stepper.session.receive_engine_failure(stepper.request().response_id, EngineUnavailable("The model died."))
    )
    assert types(effects)[-2:] == ["response.done", "rate_limits.updated"]
    response = stepper.frames[-2]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "engine_unavailable"
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]


def test_a_call_of_a_client_tool_gives_the_events_of_the_contract_in_order(stepper, types):
    stepper.send({"type": "session.update", "session": {"type": "realtime", "tools": [WEATHER]}})
    stepper.send({"type": "response.create"})
    arguments = '{"city":"Oslo"}'
    effects = stepper.answer(
        ToolCallStarted("call_1", "get_weather"),
        ToolCallDelta("call_1", arguments),
        ToolCallDone("call_1", "get_weather", arguments),
        EngineDone(),
    )
    assert types(effects) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
    ]
    added, *_, done, _ = [
        frame for frame in stepper.frames if "item" in frame and frame["item"]["type"] == "function_call"
    ]
    assert added["item"]["status"] == "in_progress"
    assert done["item"]["status"] == "completed"
    output = {"type": "function_call_output", "call_id": "call_1", "output": "18"}
    assert types(stepper.send({"type": "conversation.item.create", "item": output})) == [
        "conversation.item.added",
        "conversation.item.done",
    ]
    stepper.send({"type": "response.create"})
    assert stepper.request().items[-1].output == "18"


def test_a_message_is_complete_before_the_call_behind_it_begins(stepper, types):
    stepper.send({"type": "response.create", "response": {"tools": [WEATHER], **TEXT}})
    effects = stepper.answer(
        TextDelta("One moment."), ToolCallStarted("c", "get_weather"), ToolCallDone("c", "get_weather", "{}")
    )
    names = types(effects)
    assert names.index("response.output_item.done") < names.index("response.output_item.added", 1)


def test_an_engine_that_calls_an_unknown_tool_fails_the_response(stepper):
    stepper.send({"type": "response.create"})
    effects = stepper.answer(ToolCallStarted("c", "rm_rf"))
    assert CancelResponse(stepper.request().response_id) in effects
    assert stepper.frames[-2]["response"]["status"] == "failed"


def test_the_voice_is_fixed_once_the_agent_has_spoken(stepper, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello."))

    def change(voice):
        output = {"output": {"voice": voice}}
        stepper.send({"type": "session.update", "session": {"type": "realtime", "audio": output}})

    change("cedar")
    assert stepper.frames[-1]["error"]["code"] == "cannot_update_voice"
    stepper.send({"type": "response.create", "response": {"audio": {"output": {"voice": "cedar"}}}})
    assert stepper.frames[-1]["error"]["code"] == "cannot_update_voice"
    change("alloy")
    assert stepper.frames[-1]["type"] == "session.updated"


def test_the_format_of_a_response_is_fixed_when_it_starts(stepper, speech):
    stepper.send({"type": "response.create"})
    pcmu = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    stepper.send({"type": "session.update", "session": pcmu})
    stepper.answer(*speech("Hello."))
    assert stepper.played[-1].wire_format == "audio/pcm"
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello."))
    assert stepper.played[-1].wire_format == "audio/pcmu"


def test_a_greeting_is_spoken_first_word_for_word(make_session, speech):
    stepper = make_session(greeting="Good evening.")
    assert [frame["type"] for frame in stepper.frames] == ["session.created", "response.created"]
    assert stepper.request().say == "Good evening."


def test_what_is_not_served_is_refused_in_words_and_changes_nothing(make_session):
    stepper = make_session(serves_semantic_vad=False)
    before = stepper.session.config
    session = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    stepper.send({"type": "session.update", "session": {"type": "realtime", "instructions": "x", **session}})
    assert stepper.frames[-1]["type"] == "error"
    assert stepper.session.config == before


def test_the_speed_is_changed_between_responses_only(stepper, types, speech):
    def update(speed):
        session = {"type": "realtime", "instructions": "x", "audio": {"output": {"speed": speed}}}
        return types(stepper.send({"type": "session.update", "session": session}))

    stepper.send({"type": "response.create"})
    assert update(1.2) == ["error"]
    assert stepper.frames[-1]["error"]["param"] == "session.audio.output.speed"
    assert stepper.session.config.instructions == ""
    assert update(1.0) == ["session.updated"]  # it is what it was
    stepper.answer(*speech("Hello."))
    assert update(1.2) == ["session.updated"]


def test_cancelling_an_aside_leaves_the_answer_that_is_owed(stepper, types, speech):
    detection = {"type": "server_vad", "interrupt_response": False}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    stepper.send({"type": "session.update", "session": session})
    stepper.speak()
    stepper.fall_silent()
    first = stepper.request().response_id
    stepper.send({"type": "response.create", "response": {"conversation": "none", **TEXT}})
    aside = stepper.request().response_id
    stepper.speak()
    stepper.fall_silent()
    stepper.send({"type": "response.cancel", "response_id": aside})
    assert types(stepper.answer(*speech("Yes."), response_id=first))[-1] == "response.created"


@pytest.mark.parametrize(("modality", "pcm"), [("text", bytes(960)), ("audio", b"")])
def test_what_makes_no_sound_is_not_played(make_session, modality, pcm):
    stepper = make_session(server_plays=True)
    stepper.send({"type": "response.create", "response": {"output_modalities": [modality]}})
    stepper.answer(TextDelta("Hi."), AudioDelta(AudioFrame(pcm, CORE_RATE_HZ)), EngineDone())
    assert stepper.played == []
    assert not [frame for frame in stepper.frames if frame["type"].startswith("output_audio_buffer.")]
    session = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
    stepper.send({"type": "session.update", "session": session})
    assert stepper.frames[-1]["type"] == "session.updated"


def test_a_response_may_have_a_format_and_a_voice_of_its_own(stepper, types, speech):
    output = {"format": {"type": "audio/pcmu"}, "voice": {"id": "voice_mine"}}
    stepper.send({"type": "response.create", "response": {"audio": {"output": output}}})
    stepper.answer(*speech("Hello."))
    shown = stepper.frames[-2]["response"]["audio"]["output"]
    assert shown == {"format": {"type": "audio/pcmu"}, "voice": "voice_mine"}
    assert stepper.request().settings.voice == "voice_mine"
    assert {effect.wire_format for effect in stepper.played} == {"audio/pcmu"}
    assert stepper.session.config.audio.output.voice == "alloy"
    other = {"audio": {"output": {"voice": "verse"}}}
    assert types(stepper.send({"type": "response.create", "response": other})) == ["error"]
    assert stepper.frames[-1]["error"]["code"] == "cannot_update_voice"


def test_the_one_function_that_must_be_called_is_the_engines_choice(stepper):
    choice = {"type": "function", "name": "get_weather"}
    stepper.send({"type": "response.create", "response": {"tools": [WEATHER], "tool_choice": choice}})
    assert stepper.request().settings.tool_choice == "get_weather"


def test_an_end_in_the_middle_of_a_call_is_the_engines_fault(stepper):
    stepper.send({"type": "response.create", "response": {"tools": [WEATHER]}})
    stepper.answer(ToolCallStarted("call_1", "get_weather"), ToolCallDelta("call_1", '{"ci'), EngineDone())
    done = stepper.frames[-2]["response"]
    assert (done["status"], done["status_details"]["error"]["type"]) == ("failed", "server_error")
    assert [(item["status"], item["arguments"]) for item in done["output"]] == [("incomplete", '{"ci')]


def test_a_call_that_the_token_limit_cut_short_is_incomplete_and_never_made(stepper):
    stepper.send({"type": "response.create", "response": {"tools": [WEATHER]}})
    stepper.answer(
        ToolCallStarted("call_1", "get_weather"), ToolCallDelta("call_1", '{"ci'), EngineDone("max_output_tokens")
    )
    kinds = [frame["type"] for frame in stepper.frames]
    assert "response.function_call_arguments.done" not in kinds
    done = stepper.frames[-2]["response"]
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert done["output"][0]["status"] == "incomplete"


def test_what_the_engine_counted_is_the_usage(stepper):
    stepper.send({"type": "response.create", "response": TEXT})
    stepper.answer(TextDelta("Hi."), TokenUsage(input_text=7, cached_text=4, output_text=2), EngineDone())
    usage = stepper.frames[-2]["response"]["usage"]
    assert (usage["total_tokens"], usage["input_tokens"], usage["output_tokens"]) == (9, 7, 2)
    assert usage["input_token_details"]["cached_tokens_details"]["text_tokens"] == 4


def test_the_output_of_a_client_that_plays_is_not_the_servers_to_clear(stepper, types):
    assert types(stepper.send({"type": "output_audio_buffer.clear"})) == ["error"]
