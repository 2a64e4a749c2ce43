"""Turns by meaning (contract 3.6): a pause is judged, and the eagerness says how long one may last at most."""

import pytest

from voice.session.effects import JudgeTurn, StartResponse

TURN = [
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]


def use(stepper, **detection):
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    return stepper.send({"type": "session.update", "session": session})


@pytest.fixture
def semantic(stepper):
    use(stepper, type="semantic_vad")
    return stepper


def asked(effects):
    return [effect for effect in effects if isinstance(effect, JudgeTurn)]


def judge(stepper, question, probability):
    return stepper.take(stepper.session.receive_turn_judgement(question.item_id, question.silence_start, probability))


def test_a_pause_is_judged_once_when_it_has_lasted_200_ms(semantic):
    semantic.speak()
    assert asked(semantic.hear(192, 0.02)) == []
    (question,) = asked(semantic.hear(320, 0.02))
    assert question.silence_start == 640 * 24
    assert question.frame.pts == 0
    assert question.frame.duration_ms == 640 + 224
    assert asked(semantic.hear(1000, 0.02)) == []


def test_a_complete_turn_ends_at_once(semantic, types):
    semantic.speak()
    (question,) = asked(semantic.hear(256, 0.02))
    effects = judge(semantic, question, 0.9)
    assert types(effects) == TURN
    stopped = semantic.frames[-5]
    assert stopped["audio_end_ms"] == 640 + 256
    assert stopped["item_id"] == question.item_id


@pytest.mark.parametrize(("eagerness", "wait_ms"), [("low", 8000), ("medium", 4000), ("high", 2000), ("auto", 4000)])
def test_a_turn_that_is_not_complete_ends_after_the_longest_wait(stepper, types, eagerness, wait_ms):
    use(stepper, type="semantic_vad", eagerness=eagerness)
    stepper.speak()
    (question,) = asked(stepper.hear(256, 0.02))
    assert types(judge(stepper, question, 0.1)) == []
    assert types(stepper.hear(wait_ms - 256 - 32, 0.02)) == []
    assert types(stepper.hear(64, 0.02)) == TURN


def test_without_a_judgement_the_longest_wait_ends_the_turn(semantic, types):
    semantic.speak()
    assert types(semantic.hear(4032, 0.02)) == TURN


def test_each_pause_is_judged_with_all_of_the_turn(semantic):
    semantic.speak()
    semantic.hear(512, 0.02)
    semantic.speak()
    (question,) = asked(semantic.hear(256, 0.02))
    assert question.frame.duration_ms == 640 + 512 + 640 + 224


def test_of_a_long_turn_the_last_eight_seconds_are_judged(semantic):
    semantic.speak(12_000)
    (question,) = asked(semantic.hear(256, 0.02))
    assert question.frame.duration_ms == 8000
    assert question.frame.pts == (12_000 + 224 - 8000) * 24


def test_a_judgement_on_an_earlier_pause_is_dropped(semantic, types):
    semantic.speak()
    (earlier,) = asked(semantic.hear(256, 0.02))
    semantic.speak()
    assert types(judge(semantic, earlier, 0.99)) == []
    semantic.hear(256, 0.02)
    assert types(judge(semantic, earlier, 0.99)) == []


def test_a_judgement_on_an_earlier_turn_is_dropped(semantic, types):
    semantic.speak()
    (earlier,) = asked(semantic.hear(4032, 0.02))
    semantic.speak()
    semantic.hear(256, 0.02)
    assert types(judge(semantic, earlier, 0.99)) == []


def test_a_judgement_after_a_commit_is_dropped(semantic, types):
    semantic.speak()
    (question,) = asked(semantic.hear(256, 0.02))
    semantic.send({"type": "input_audio_buffer.commit"})
    assert types(judge(semantic, question, 0.99)) == []


@pytest.mark.parametrize("detection", [None, {"type": "server_vad", "silence_duration_ms": 3000}])
def test_a_judgement_after_another_detection_was_set_is_dropped(semantic, types, detection):
    semantic.speak()
    (question,) = asked(semantic.hear(256, 0.02))
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    semantic.send({"type": "session.update", "session": session})
    assert types(judge(semantic, question, 0.99)) == []


def test_a_turn_that_the_judge_ends_is_answered_by_what_was_thought_meanwhile(semantic, types, speech):
    semantic.speak()
    effects = semantic.hear(256, 0.02)
    (start,) = [effect for effect in effects if isinstance(effect, StartResponse)]
    assert start.request.speculative
    semantic.answer(*speech("Yes."), response_id=start.request.response_id)
    (question,) = asked(effects)
    effects = judge(semantic, question, 0.9)
    assert not [effect for effect in effects if isinstance(effect, StartResponse)]
    assert types(effects)[-2:] == ["response.done", "rate_limits.updated"]


def test_the_turn_after_it_begins_anew(semantic, types):
    semantic.speak()
    (question,) = asked(semantic.hear(256, 0.02))
    judge(semantic, question, 0.9)
    assert types(semantic.hear(2000, 0.02)) == []
    effects = semantic.speak()
    assert "input_audio_buffer.speech_started" in types(effects)


def test_turns_by_silence_are_not_judged(stepper):
    stepper.speak()
    assert asked(stepper.hear(2000, 0.02)) == []


def test_without_the_model_it_is_refused_and_nothing_changes(make_session, types):
    stepper = make_session(serves_semantic_vad=False)
    assert types(use(stepper, type="semantic_vad")) == ["error"]
    error = stepper.frames[-1]["error"]
    assert error["param"] == "session.audio.input.turn_detection.type"
    assert "not on this machine" in error["message"]
    assert stepper.session.config.audio.input.turn_detection.type == "server_vad"


def test_a_pause_of_speech_that_was_given_up_is_not_judged_in_the_next(semantic):
    semantic.speak()
    semantic.hear(64, 0.02)
    for detection in (None, {"type": "semantic_vad"}):
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        semantic.send({"type": "session.update", "session": session})
    assert asked(semantic.speak()) == []
    (question,) = asked(semantic.hear(320, 0.02))
    assert question.silence_start > 640 * 24
