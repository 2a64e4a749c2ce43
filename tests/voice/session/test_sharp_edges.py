"""What has hurt people elsewhere: the rows of contract §8 that concern a session, one test each.

Rows 10, 11 and 19 stand in `tests/transports/http/test_sideband.py`, row 21 in `tests/interop/test_refusals.py`. Rows
12 and 13 are of every transcript: the oracle and the kit read them all. Rows 15 and 16 are not in the contract.
"""

import pytest

from voice.audio.frames import CORE_RATE_HZ
from voice.engines.port import EngineDone, TextDelta, ToolCallDelta, ToolCallDone, ToolCallStarted
from voice.session.effects import CloseSession
from voice.tooling import ToolResult, ToolSpec

BOOK = ToolSpec("book", "Books a table.", {"type": "object"}, server_label="desk")


def ask(stepper):
    stepper.speak()
    stepper.fall_silent()


def configure(stepper, **session):
    return stepper.send({"type": "session.update", "session": {"type": "realtime", **session}})


def errors(stepper):
    return [frame["error"] for frame in stepper.frames if frame["type"] == "error"]


def test_row_1_truncating_behind_the_end_is_an_error_that_changes_nothing(stepper, types, speech):
    ask(stepper)
    stepper.answer(*speech("We open at seven.", ms=500))
    item = stepper.session.conversation.items[-1]
    event = {"type": "conversation.item.truncate", "item_id": item.id, "content_index": 0, "audio_end_ms": 501}
    for _ in range(3):  # agents SDKs try again with the same
        assert types(stepper.send({**event, "event_id": "mine"})) == ["error"]
    assert {(error["message"], error["event_id"]) for error in errors(stepper)} == {
        ("Audio content of 500ms is already shorter than 501ms", "mine")
    }
    assert stepper.session.conversation.get(item.id).text == "We open at seven."
    assert types(stepper.send({**event, "audio_end_ms": 500})) == ["conversation.item.truncated"]


@pytest.mark.parametrize(
    ("item_id", "code"), [("item_nobody", "item_truncate_invalid_item_id"), ("user", "unsupported_content_type")]
)
def test_row_2_truncating_what_has_no_speech_of_ours_is_an_error(stepper, types, item_id, code):
    content = [{"type": "input_text", "text": "Hi."}]
    item = {"type": "message", "role": "user", "id": "user", "content": content}
    stepper.send({"type": "conversation.item.create", "item": item})
    event = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 10}
    assert types(stepper.send(event)) == ["error"]
    assert errors(stepper)[0]["code"] == code


def test_row_3_a_second_response_is_refused_and_done_frees_the_slot_first(stepper, types, speech):
    stepper.send({"type": "response.create"})
    active = stepper.request().response_id
    assert types(stepper.send({"type": "response.create"})) == ["error"]
    assert errors(stepper)[0]["code"] == "conversation_already_has_active_response"
    assert active in errors(stepper)[0]["message"]
    stepper.answer(*speech("Yes."))
    # Whoever reads `done` and asks at once must not lose the race.
    assert types(stepper.send({"type": "response.create"}))[0] == "response.created"


def test_row_4_a_cancel_hits_the_response_that_was_accepted_and_nothing_else(stepper, types):
    stepper.send({"type": "response.create"})
    assert types(stepper.send({"type": "response.cancel"}))[-2:] == ["response.done", "rate_limits.updated"]
    assert types(stepper.send({"type": "response.cancel"})) == ["error"]
    assert errors(stepper)[0]["code"] == "response_cancel_not_active"


def test_row_5_no_audio_is_lost_and_stopped_comes_when_all_was_played(make_session, types, speech):
    stepper = make_session(server_plays=True)
    ask(stepper)
    stepper.answer(*speech("One ", "two ", "three.", ms=400))
    played = b"".join(effect.frame.pcm for effect in stepper.played)
    assert len(played) == 3 * 400 * CORE_RATE_HZ // 1000 * 2
    kinds = [frame["type"] for frame in stepper.frames]
    assert kinds.index("output_audio_buffer.started") < kinds.index("response.done")
    assert "output_audio_buffer.stopped" not in kinds
    drained = stepper.take(stepper.session.receive_drained(stepper.played[-1].item_id))
    assert types(drained) == ["output_audio_buffer.stopped"]


def test_row_6_echo_does_not_cut_the_answer_where_the_client_says_so(stepper, types, speech):
    detection = {"type": "server_vad", "interrupt_response": False}
    stepper.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}}
    )
    ask(stepper)
    stepper.answer(*speech("We open ", done=False))
    assert types(stepper.speak()) == ["input_audio_buffer.speech_started"]
    assert "response.done" in types(stepper.answer(*speech("at seven."), response_id=stepper.request().response_id))


def test_row_7_each_item_says_what_it_comes_behind(stepper, speech):
    ask(stepper)
    stepper.answer(*speech("We open at seven."))
    ask(stepper)
    stepper.answer(*speech("Until ten."))
    added = [frame for frame in stepper.frames if frame["type"] == "conversation.item.added"]
    behind = [frame["previous_item_id"] for frame in added]
    assert behind == [None, *[frame["item"]["id"] for frame in added[:-1]]]


def test_row_8_the_message_is_complete_before_the_call_and_each_is_done_once(stepper):
    tool = {"type": "function", "name": "book", "parameters": {"type": "object"}}
    configure(stepper, tools=[tool])
    stepper.send({"type": "response.create", "response": {"output_modalities": ["text"]}})
    stepper.answer(
        TextDelta("One moment."),
        ToolCallStarted("call_1", "book"),
        ToolCallDelta("call_1", "{}"),
        ToolCallDone("call_1", "book", "{}"),
        EngineDone(),
    )
    items = [f for f in stepper.frames if f["type"] in ("response.output_item.added", "response.output_item.done")]
    assert [(f["type"].rpartition(".")[2], f["item"]["type"]) for f in items] == [
        ("added", "message"),
        ("done", "message"),
        ("added", "function_call"),
        ("done", "function_call"),
    ]


def test_row_9_the_end_of_the_time_is_said_and_closes_with_1001(make_session, types):
    stepper = make_session(max_duration_s=60.0)
    effects = stepper.wait(61)
    assert types(effects) == ["error"]
    assert errors(stepper)[0]["code"] == "session_expired"
    assert [effect.code for effect in effects if isinstance(effect, CloseSession)] == [1001]


@pytest.mark.parametrize(("call_id", "code"), [("call_9", "invalid_tool_call_id"), ("call:☎/1", "invalid_value")])
def test_row_14_an_output_for_a_call_that_nobody_made_is_refused(stepper, types, call_id, code):
    item = {"type": "function_call_output", "call_id": call_id, "output": "x"}
    assert types(stepper.send({"type": "conversation.item.create", "event_id": "mine", "item": item})) == ["error"]
    (error,) = errors(stepper)
    assert (error["code"], error["event_id"]) == (code, "mine")


def test_row_17_the_voice_stays_after_the_first_audio_and_the_same_is_no_change(stepper, types, speech):
    ask(stepper)
    stepper.answer(*speech("Yes."))

    def voice(name):
        return types(
            stepper.send(
                {"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"voice": name}}}}
            )
        )

    assert voice("verse") == ["error"]
    assert errors(stepper)[0]["code"] == "cannot_update_voice"
    assert voice("alloy") == ["session.updated"]


def test_row_18_an_update_changes_what_it_names_and_nothing_else(stepper):
    tool = {"type": "function", "name": "book", "parameters": {"type": "object"}}
    stepper.send(
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Be kind.", "tools": [tool]}}
    )
    stepper.send({"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": 1.1}}}})
    session = stepper.frames[-1]["session"]
    assert (session["instructions"], session["tools"][0]["name"]) == ("Be kind.", "book")
    assert session["audio"]["output"]["speed"] == 1.1
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_row_20_after_a_tool_of_the_service_the_answer_goes_on_by_itself(make_session, types):
    stepper = make_session(service_tools=(BOOK,))
    ask(stepper)
    stepper.answer(ToolCallStarted("call_1", "book"), ToolCallDone("call_1", "book", "{}"), EngineDone())
    effects = stepper.take(stepper.session.receive_tool_output("call_1", ToolResult("booked")))
    assert "response.created" in types(effects)
