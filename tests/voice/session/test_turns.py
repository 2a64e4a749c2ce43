"""Turns by voice activity and by hand (contract 4.4 to 4.6)."""

import itertools

from voice.session.effects import CancelResponse, DetectVoice, HearAudio, ResetVoice, StartResponse, StartTranscription

TURN = [
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
]


def test_session_created_comes_first_with_the_whole_configuration(make_session, types):
    stepper = make_session(started=False)
    effects = stepper.take(stepper.session.start(0.0))
    assert types(effects) == ["session.created"]
    assert stepper.frames[0]["session"]["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200


def test_a_spoken_turn_gives_the_events_of_the_contract_in_order(stepper, types):
    assert types(stepper.speak()) == ["input_audio_buffer.speech_started"]
    assert types(stepper.fall_silent()) == TURN
    started, stopped, committed = stepper.frames[1:4]
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    assert committed["previous_item_id"] is None
    assert started["audio_start_ms"] == 0
    assert stopped["audio_end_ms"] == 640 + 200


def test_the_item_holds_speech_with_prefix_and_silence(stepper):
    stepper.hear(992, 0.01)
    stepper.speak(640)
    stepper.fall_silent()
    item = stepper.session.conversation.items[0]
    assert item.parts[0].duration_ms == 300 + 640 + 200


def test_silence_alone_is_no_turn_and_is_not_kept(stepper, types):
    assert types(stepper.hear(20_000, 0.05)) == []
    assert stepper.session._turn._buffer.duration_ms < 2_000


def test_one_doubtful_window_is_no_turn(stepper, types):
    stepper.hear(320, 0.01)
    assert types(stepper.hear(32, 0.6)) == []
    assert types(stepper.hear(320, 0.01)) == []


def test_thinking_starts_with_the_silence_and_is_adopted_when_the_turn_ends(stepper, types, speech):
    stepper.speak()
    effects = stepper.hear(32, 0.02)
    (start,) = [effect for effect in effects if isinstance(effect, StartResponse)]
    assert start.request.speculative
    assert stepper.answer(*speech("Hello."), response_id=start.request.response_id) == []
    effects = stepper.fall_silent()
    assert not [effect for effect in effects if isinstance(effect, StartResponse)]
    assert types(effects)[:5] == TURN
    assert types(effects)[-2:] == ["response.done", "rate_limits.updated"]
    assert len(stepper.played) == 1


def test_a_speculation_is_dropped_when_the_caller_goes_on(stepper, types, speech):
    stepper.speak()
    stepper.hear(64, 0.02)
    first = stepper.request().response_id
    stepper.answer(*speech("Too early."), response_id=first)
    effects = stepper.speak()
    assert CancelResponse(first) in effects
    assert types(effects) == []
    assert stepper.played == []
    assert len(stepper.session.conversation) == 0
    stepper.fall_silent()
    assert stepper.request().response_id != first


def test_a_speculation_is_dropped_when_the_context_changed_meanwhile(stepper):
    stepper.speak()
    stepper.hear(32, 0.02)
    first = stepper.request()
    stepper.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
    effects = stepper.fall_silent()
    assert CancelResponse(first.response_id) in effects
    assert stepper.request().settings.instructions == "Be brief."
    assert not stepper.request().speculative


def test_an_engine_that_does_not_speculate_is_asked_once_the_turn_is_over(make_session):
    from voice.engines.port import Capabilities

    stepper = make_session(capabilities=Capabilities(speculates=False))
    stepper.speak()
    assert not [effect for effect in stepper.hear(64, 0.02) if isinstance(effect, StartResponse)]
    assert [effect for effect in stepper.fall_silent() if isinstance(effect, StartResponse)]


def test_a_failed_speculation_is_asked_again_at_the_end_of_the_turn(stepper, types):
    from voice.errors import EngineUnavailable

    stepper.speak()
    stepper.hear(32, 0.02)
    first = stepper.request().response_id
    assert stepper.take(stepper.session.receive_engine_failure(first, EngineUnavailable("gone"))) == []
    effects = stepper.fall_silent()
    assert types(effects) == TURN
    assert stepper.request().response_id != first


def test_the_engine_hears_the_utterance_with_its_prefix_and_nothing_else(stepper):
    stepper.hear(992, 0.01)
    stepper.speak(640)
    stepper.fall_silent()
    heard = [effect for effect in stepper.effects if isinstance(effect, HearAudio)]
    assert heard[0].frame.pts == (992 - 300) * 24
    for previous, following in itertools.pairwise(heard):
        assert following.frame.pts == previous.frame.pts + previous.frame.samples
    stepper.hear(320, 0.01)
    assert len([effect for effect in stepper.effects if isinstance(effect, HearAudio)]) == len(heard)


def test_create_response_false_commits_and_waits(stepper, types):
    detection = {"type": "server_vad", "create_response": False}
    stepper.send(
        {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}}
    )
    stepper.speak()
    assert types(stepper.fall_silent()) == TURN[:-1]
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]


def test_push_to_talk_has_no_speech_events(stepper, types):
    off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    stepper.send({"type": "session.update", "session": off})
    effects = stepper.hear(500)
    assert types(effects) == []
    assert not [effect for effect in effects if isinstance(effect, DetectVoice)]
    effects = stepper.send({"type": "input_audio_buffer.commit"})
    assert types(effects) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert [effect for effect in effects if isinstance(effect, StartTranscription)]
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]


def test_a_commit_of_less_than_100_ms_is_refused(stepper):
    stepper.hear(99)
    stepper.send({"type": "input_audio_buffer.commit", "event_id": "c1"})
    error = stepper.frames[-1]["error"]
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert error["event_id"] == "c1"
    assert "99.00ms" in error["message"]


def test_a_commit_in_the_middle_of_speech_ends_the_turn(stepper, types):
    stepper.speak(640)
    effects = stepper.send({"type": "input_audio_buffer.commit"})
    assert types(effects) == ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]
    assert any(isinstance(effect, ResetVoice) for effect in effects)
    assert types(stepper.fall_silent()) == []


def test_clear_forgets_the_utterance(stepper, types):
    stepper.speak(640)
    assert types(stepper.send({"type": "input_audio_buffer.clear"})) == ["input_audio_buffer.cleared"]
    assert types(stepper.fall_silent()) == []
    assert len(stepper.session.conversation) == 0


def test_switching_turn_detection_off_in_mid_speech_leaves_no_turn(stepper, types):
    stepper.speak(640)
    off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    assert types(stepper.send({"type": "session.update", "session": off})) == ["session.updated"]
    assert types(stepper.fall_silent()) == []
    assert types(stepper.send({"type": "input_audio_buffer.commit"}))[0] == "input_audio_buffer.committed"


def test_mu_law_input_keeps_the_clock_in_milliseconds(stepper):
    import base64

    pcmu = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}, "turn_detection": None}}}
    stepper.send({"type": "session.update", "session": pcmu})
    for _ in range(50):
        stepper.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\xff" * 160).decode()})
    stepper.send({"type": "input_audio_buffer.commit"})
    assert stepper.session.conversation.items[0].parts[0].duration_ms in (998, 999, 1000)


def test_half_a_sample_is_refused_and_nothing_is_written(stepper):
    stepper.send({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "a1"})
    error = stepper.frames[-1]["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "audio", "a1")
    assert stepper.session._turn._buffer.end == 0


def test_the_session_ends_after_its_time_with_an_error_and_1001(make_session, types):
    from voice.session.effects import CloseSession

    stepper = make_session(max_duration_s=60.0)
    assert stepper.session.next_deadline() == 60.0
    assert stepper.session.handle_timer(59.0) == []
    effects = stepper.take(stepper.session.handle_timer(60.0))
    assert stepper.frames[-1]["error"]["code"] == "session_expired"
    assert effects[-1] == CloseSession(1001, "Your session hit the maximum duration of 1 minutes.")


def test_thinking_ends_when_the_turn_turns_out_to_want_no_answer(stepper):
    stepper.speak()
    stepper.hear(64, 0.02)
    guess = stepper.request()
    assert guess.speculative
    detection = {"type": "server_vad", "create_response": False}
    session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    stepper.send({"type": "session.update", "session": session})
    assert CancelResponse(guess.response_id) in stepper.fall_silent()
