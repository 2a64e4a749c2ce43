"""What an engine says unasked: turns that it hears, what is left of its limits, that another has taken over."""

import pytest

from voice.engines.port import (
    Capabilities,
    EngineComplaint,
    EngineDone,
    EngineReplaced,
    MessageStarted,
    RateLimitLeft,
    RateLimitsReported,
    TextDelta,
    TurnStarted,
    TurnStopped,
)
from voice.session.effects import CancelResponse, DetectVoice, HearAudio, StartResponse, TellCut
from voice.session.items import AudioPart, Message

HEARS = Capabilities(hears_audio=True, detects_turns=True, speculates=False, reports_limits=True)


@pytest.fixture
def listening(make_session):
    """A session whose engine detects turns."""
    return make_session(capabilities=HEARS)


def tell(stepper, notice):
    return stepper.take(stepper.session.receive_engine_notice(notice))


def test_a_turn_that_the_engine_heard_goes_as_any_other(listening, types):
    listening.hear(1000)
    assert types(tell(listening, TurnStarted(2400, "item_theirs"))) == ["input_audio_buffer.speech_started"]
    listening.hear(500)
    effects = tell(listening, TurnStopped(24_000, "item_theirs"))
    assert types(effects)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    (start,) = [effect for effect in effects if isinstance(effect, StartResponse)]
    item = start.request.items[-1]
    assert isinstance(item, Message)
    assert isinstance(item.parts[0], AudioPart)
    assert (item.id, item.parts[0].duration_ms) == ("item_theirs", 900)


def test_everything_is_given_to_an_engine_that_listens_and_nothing_twice(listening):
    effects = listening.hear(1000) + tell(listening, TurnStarted(0, "item_a")) + listening.hear(500)
    assert sum(effect.frame.samples for effect in effects if isinstance(effect, DetectVoice)) == 36_000
    assert not [effect for effect in effects if isinstance(effect, HearAudio)]


def test_a_turn_that_the_engine_heard_interrupts(listening):
    listening.send({"type": "response.create"})
    response_id = listening.request().response_id
    effects = tell(listening, TurnStarted(0, "item_a"))
    assert isinstance(effects[0], CancelResponse)
    assert effects[0].response_id == response_id


def test_an_end_without_a_beginning_is_nothing(listening, types):
    assert types(tell(listening, TurnStopped(100, "item_a"))) == []


def test_push_to_talk_does_not_listen(listening, types):
    listening.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    )
    assert not [effect for effect in listening.hear(200) if isinstance(effect, DetectVoice)]
    assert types(tell(listening, TurnStarted(0, "item_a"))) == []


def test_an_engine_that_takes_over_in_the_middle_of_a_turn_lets_it_end_here(listening, types):
    listening.hear(1000)
    tell(listening, TurnStarted(0, "item_a"))
    tell(listening, EngineReplaced(Capabilities()))
    listening.speak()
    effects = listening.fall_silent()
    assert types(effects)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert listening.session.conversation.items[0].id == "item_a"


def test_a_caller_who_has_fallen_silent_has_finished_when_an_engine_that_listens_takes_over(stepper, types):
    stepper.speak()
    stepper.hear(64, 0.02)
    effects = tell(stepper, EngineReplaced(HEARS))
    assert types(effects)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert types(effects)[-1] == "response.created"


def test_a_caller_who_speaks_is_heard_to_the_end_by_an_engine_that_takes_over(stepper, types):
    stepper.speak()
    assert types(tell(stepper, EngineReplaced(HEARS))) == []
    stepper.hear(500)
    tell(stepper, TurnStarted(20_000, "item_theirs"))
    effects = tell(stepper, TurnStopped(26_000, "item_theirs"))
    assert types(effects)[:2] == ["input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    assert len(stepper.session.conversation) == 1


def test_limits_are_told_once_by_whoever_knows_them(listening, types, speech):
    listening.send({"type": "response.create"})
    assert types(listening.answer(*speech("Hello.")))[-1] == "response.done"
    assert types(tell(listening, RateLimitsReported((RateLimitLeft("tokens", 9, 3, 1.0),)))) == ["rate_limits.updated"]
    assert listening.frames[-1]["rate_limits"] == [{"name": "tokens", "limit": 9, "remaining": 3, "reset_seconds": 1.0}]


def test_messages_that_the_engine_tells_apart_are_items_of_their_names(stepper):
    stepper.send({"type": "response.create"})
    stepper.answer(MessageStarted("item_one"), TextDelta("One."), MessageStarted("item_two"), TextDelta("Two."))
    stepper.answer(EngineDone())
    assert [item.id for item in stepper.session.conversation.items] == ["item_one", "item_two"]


def test_a_name_that_is_taken_is_not_taken_again(stepper):
    for _ in range(2):
        stepper.send({"type": "response.create"})
        stepper.answer(MessageStarted("item_one"), TextDelta("One."), EngineDone())
    first, second = stepper.session.conversation.items
    assert first.id == "item_one" != second.id


def test_an_engine_is_told_where_its_speech_was_cut(stepper, speech):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello there.", ms=1000))
    item_id = stepper.session.conversation.items[0].id
    effects = stepper.send(
        {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 400}
    )
    (cut,) = [effect for effect in effects if isinstance(effect, TellCut)]
    assert isinstance(cut.item, Message)
    assert isinstance(cut.item.parts[0], AudioPart)
    assert cut.item.parts[0].duration_ms == 400


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_an_engine_is_told_of_a_cut_that_came_before_the_end_when_that_has_come(stepper, speech, is_cancelled):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello there.", ms=1000, done=False))
    item_id = stepper.session.conversation.items[0].id
    truncation = {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": 400}
    assert not [effect for effect in stepper.send(truncation) if isinstance(effect, TellCut)]
    effects = stepper.send({"type": "response.cancel"}) if is_cancelled else stepper.answer(*speech("Nobody listens."))
    (cut,) = [effect for effect in effects if isinstance(effect, TellCut)]
    assert cut.item == stepper.session.conversation.items[0]
    assert isinstance(cut.item, Message)
    assert isinstance(cut.item.parts[0], AudioPart)
    assert cut.item.parts[0].duration_ms == 400


def test_settings_that_the_engine_does_not_take_are_an_error_for_the_client(stepper, types):
    assert types(tell(stepper, EngineComplaint("invalid_value", "Invalid voice."))) == ["error"]
    error = stepper.frames[-1]["error"]
    assert (error["code"], error["message"]) == ("invalid_value", "Invalid voice.")
