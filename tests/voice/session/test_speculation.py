"""Answers that are begun before the turn is over: what becomes of them when things turn out otherwise."""

from voice.errors import EngineUnavailable
from voice.session.effects import CancelResponse
from voice.session.speculation import LONGEST_MS


def semantic(stepper):
    detection = {"type": "semantic_vad", "eagerness": "low"}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    stepper.send({"type": "session.update", "session": session})


def test_what_has_grown_too_long_to_be_sent_at_once_is_asked_for_anew(stepper, types, speech):
    semantic(stepper)
    stepper.speak()
    stepper.fall_silent(64)
    guess = stepper.request()
    seconds = LONGEST_MS // 1000
    assert stepper.answer(*speech(*["word "] * seconds, ms=1000, done=False)) == []
    assert stepper.answer(*speech("word ", ms=1000, done=False)) == [CancelResponse(guess.response_id)]
    assert stepper.answer(*speech("late ", ms=1000), response_id=guess.response_id) == []
    stepper.fall_silent(9000)
    assert not stepper.request().speculative
    assert stepper.request().response_id != guess.response_id
    assert types(stepper.answer(*speech("We open at seven.")))[-2] == "response.done"


def test_an_update_of_the_settings_makes_a_guess_void(stepper, speech):
    semantic(stepper)
    stepper.speak()
    stepper.fall_silent(64)
    guess = stepper.request()
    stepper.answer(*speech("Old words."))
    stepper.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be rude."}})
    assert CancelResponse(guess.response_id) in stepper.fall_silent(9000)
    assert stepper.request().settings.instructions == "Be rude."
    assert stepper.played == []


def test_a_guess_that_fails_is_asked_for_again_at_the_end_of_the_turn(stepper, types):
    semantic(stepper)
    stepper.speak()
    stepper.fall_silent(64)
    guess = stepper.request()
    assert stepper.take(stepper.session.receive_engine_failure(guess.response_id, EngineUnavailable("gone"))) == []
    stepper.fall_silent(9000)
    assert stepper.request().response_id != guess.response_id
    assert "response.done" not in [frame["type"] for frame in stepper.frames]
