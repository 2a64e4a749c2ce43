"""The idle timeout (contract 4.12): who has said nothing for long is spoken to."""

import pytest

from voice.session.effects import FlushAudio, StartResponse, StartTranscription

TIMEOUT = [
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]


@pytest.fixture
def make_idle(make_session):
    def make(**traits):
        stepper = make_session(**traits)
        set_timeout(stepper, 6000)
        return stepper

    return make


def set_timeout(stepper, timeout_ms, **more):
    detection = {"type": "server_vad", "idle_timeout_ms": timeout_ms, **more}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    stepper.send({"type": "session.update", "session": session})


def answer(stepper, speech, ms=2000):
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Hello.", ms=ms))


def test_nobody_is_waited_for_before_the_agent_has_spoken(make_idle, types):
    stepper = make_idle()
    assert types(stepper.wait(100)) == []


def test_the_timeout_gives_the_events_of_the_contract_in_order(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.hear(10_000, 0.01)
    assert types(stepper.wait(7.9)) == []
    effects = stepper.wait(0.2)
    assert types(effects) == TIMEOUT
    triggered, committed, added, done, _ = stepper.frames[-5:]
    assert triggered["item_id"] == committed["item_id"] == added["item"]["id"] == done["item"]["id"]
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (4000, 10_000)
    assert done["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert committed["previous_item_id"] == stepper.session.conversation.items[0].id


def test_silence_before_the_timeout_was_asked_for_does_not_count(stepper, types, speech):
    answer(stepper, speech)
    stepper.wait(100)
    set_timeout(stepper, 6000)
    assert types(stepper.wait(5.9)) == []
    assert types(stepper.wait(0.2)) == TIMEOUT


def test_a_shorter_timeout_counts_the_silence_of_the_longer_one(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech, ms=1000)
    stepper.wait(6)  # 5 s of them are silence
    set_timeout(stepper, 5500)
    assert types(stepper.wait(0.6)) == TIMEOUT


def test_silence_is_not_written_down(make_idle, types, speech):
    stepper = make_idle()
    session = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    stepper.send({"type": "session.update", "session": session})
    answer(stepper, speech)
    effects = stepper.wait(10)
    assert not [effect for effect in effects if isinstance(effect, StartTranscription)]
    silence = stepper.request().items[-1]
    assert silence.text == ""
    assert silence.parts[0].is_silence


def test_it_runs_from_the_end_of_what_the_client_plays(make_idle, types, speech):
    stepper = make_idle()
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("One.", ms=3000, done=False))
    stepper.wait(1)
    stepper.answer(*speech("Two.", ms=3000))
    assert types(stepper.wait(10.9)) == []  # 6 s of audio since 0, then the timeout: 12 s
    assert types(stepper.wait(0.2)) == TIMEOUT


def test_audio_that_comes_late_plays_when_it_comes(make_idle, types, speech):
    stepper = make_idle()
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("One.", ms=1000, done=False))
    stepper.wait(4)
    stepper.answer(*speech("Two.", ms=1000))
    assert types(stepper.wait(6.9)) == []
    assert types(stepper.wait(0.2)) == TIMEOUT


def test_where_the_server_plays_it_runs_from_the_last_sample(make_idle, types, speech):
    stepper = make_idle(server_plays=True)
    answer(stepper, speech)
    item_id = stepper.played[-1].item_id
    assert types(stepper.wait(60)) == []
    assert types(stepper.take(stepper.session.receive_drained(item_id))) == ["output_audio_buffer.stopped"]
    assert types(stepper.wait(5.9)) == []
    assert types(stepper.wait(0.2)) == TIMEOUT


def test_where_the_server_plays_it_runs_from_a_cut_too(make_idle, types, speech):
    stepper = make_idle(server_plays=True)
    answer(stepper, speech)
    assert FlushAudio() in stepper.send({"type": "output_audio_buffer.clear"})
    stepper.take(stepper.session.receive_flushed(stepper.played[-1].item_id, 100))
    assert types(stepper.wait(6.1)) == TIMEOUT


def test_speech_stops_it(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.wait(7.9)
    assert types(stepper.speak()) == ["input_audio_buffer.speech_started"]
    assert types(stepper.wait(60)) == []


def test_it_runs_again_after_each_response(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    for _ in range(3):
        assert types(stepper.wait(9)) == TIMEOUT
        stepper.answer(*speech("Are you there?", ms=2000))


def test_the_answer_to_a_turn_starts_it_anew(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.wait(7)
    stepper.speak()
    stepper.fall_silent()
    assert types(stepper.wait(60)) == []
    stepper.answer(*speech("Yes.", ms=1000))
    assert types(stepper.wait(7.1)) == TIMEOUT


def test_after_a_cancelled_response_nothing_is_still_playing(make_idle, types, speech):
    stepper = make_idle()
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("A long story.", ms=20_000, done=False))
    stepper.wait(1)
    stepper.send({"type": "response.cancel"})
    assert types(stepper.wait(6.1)) == TIMEOUT


def test_a_response_under_way_is_waited_for(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.wait(7)
    stepper.send({"type": "response.create"})
    assert types(stepper.wait(60)) == []


def test_a_response_out_of_band_changes_nothing(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.wait(7)
    stepper.send({"type": "response.create", "response": {"conversation": "none", "output_modalities": ["text"]}})
    assert types(stepper.wait(1.1)) == TIMEOUT


def test_a_client_that_is_muted_gets_the_silence_that_it_sent(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.hear(640, 0.01)
    stepper.wait(9)
    triggered = next(f for f in stepper.frames if f["type"] == "input_audio_buffer.timeout_triggered")
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (0, 640)


def test_two_silences_do_not_overlap(make_idle, speech):
    stepper = make_idle()
    answer(stepper, speech, ms=100)
    stepper.hear(6100, 0.01)
    stepper.wait(6.2)
    stepper.answer(*speech("Hello?", ms=100))
    stepper.hear(1000, 0.01)
    stepper.wait(7)
    first, second = [f for f in stepper.frames if f["type"] == "input_audio_buffer.timeout_triggered"]
    assert (second["audio_start_ms"], second["audio_end_ms"]) == (first["audio_end_ms"], 7100)


def test_a_word_that_begins_as_the_time_is_over_keeps_its_first_sound(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech)
    stepper.hear(992, 0.01)
    stepper.wait(9)
    stepper.speak()
    started = [f for f in stepper.frames if f["type"] == "input_audio_buffer.speech_started"][-1]
    assert started["audio_start_ms"] == 992 - 300


def test_the_client_decides_where_it_wants_no_answers(make_idle, types, speech):
    stepper = make_idle()
    set_timeout(stepper, 6000, create_response=False)
    answer(stepper, speech)
    effects = stepper.wait(9)
    assert types(effects) == TIMEOUT[:-1]
    assert not [effect for effect in effects if isinstance(effect, StartResponse)]


@pytest.mark.parametrize("detection", [None, {"type": "server_vad", "idle_timeout_ms": None}])
def test_it_can_be_switched_off_while_it_runs(make_idle, types, speech, detection):
    stepper = make_idle()
    answer(stepper, speech)
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    stepper.send({"type": "session.update", "session": session})
    assert types(stepper.wait(60)) == []


def test_a_new_length_holds_at_once(make_idle, types, speech):
    stepper = make_idle()
    answer(stepper, speech, ms=0)
    stepper.wait(4)
    set_timeout(stepper, 30_000)
    assert types(stepper.wait(25)) == []
    assert types(stepper.wait(1.1)) == TIMEOUT


def test_the_end_of_the_session_goes_before_it(make_idle, types, speech):
    stepper = make_idle(max_duration_s=5)
    answer(stepper, speech, ms=0)
    assert types(stepper.take(stepper.session.handle_timer(100))) == ["error"]
