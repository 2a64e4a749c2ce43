import pytest

from voice.audio.endpointing import (
    EndpointEvent,
    Endpointing,
    EndpointingSettings,
    EndpointState,
    SilenceBegan,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
)

WINDOW = 768


def run(machine: Endpointing, *probabilities: float, first: int = 0) -> list[EndpointEvent]:
    """Feed consecutive windows from window `first` on; return the events."""
    events = [
        machine.receive(probability, (first + index) * WINDOW, (first + index + 1) * WINDOW)
        for index, probability in enumerate(probabilities)
    ]
    return [event for event in events if event is not None]


def machine(threshold: float = 0.5, silence_ms: int = 200) -> Endpointing:
    return Endpointing(EndpointingSettings(threshold, silence_ms))


def speaking(silence_ms: int = 200) -> Endpointing:
    started = machine(silence_ms=silence_ms)
    assert run(started, 0.9) == [SpeechStarted(0)]
    return started


def test_silence_stays_silent() -> None:
    silent = machine()
    assert run(silent, 0.0, 0.1, 0.49, 0.3, 0.0) == []
    assert silent.state is EndpointState.SILENT


def test_one_sure_window_starts_speech_at_its_beginning() -> None:
    assert run(machine(), 0.0, 0.1, 0.81) == [SpeechStarted(2 * WINDOW)]


def test_one_likely_window_is_not_speech_yet() -> None:
    suspicious = machine()
    assert run(suspicious, 0.0, 0.79) == []
    assert suspicious.state is EndpointState.MAYBE


def test_two_likely_windows_start_speech_at_the_first_of_them() -> None:
    assert run(machine(), 0.0, 0.6, 0.75) == [SpeechStarted(WINDOW)]


def test_two_likely_windows_may_have_another_between_them() -> None:
    assert run(machine(), 0.7, 0.2, 0.7) == [SpeechStarted(0)]


def test_two_barely_likely_windows_are_not_enough() -> None:
    assert run(machine(), 0.5, 0.55, 0.1, 0.0) == []


def test_a_sure_window_after_a_likely_one_starts_at_the_likely_one() -> None:
    assert run(machine(), 0.0, 0.55, 0.95) == [SpeechStarted(WINDOW)]


def test_suspicion_lapses_after_two_windows() -> None:
    suspicious = machine()
    states = []
    for window, probability in enumerate((0.7, 0.1, 0.1)):
        run(suspicious, probability, first=window)
        states.append(suspicious.state)
    assert states == [EndpointState.MAYBE, EndpointState.MAYBE, EndpointState.SILENT]
    assert run(suspicious, 0.7) == []


def test_short_noise_is_not_a_barge_in() -> None:
    assert run(machine(), 0.02, 0.64, 0.3, 0.1, 0.0, 0.47, 0.3, 0.0, 0.78, 0.2, 0.1) == []


def test_silence_is_told_at_its_first_window() -> None:
    pausing = speaking()
    assert run(pausing, 0.9, 0.1, first=1) == [SilenceBegan(2 * WINDOW)]
    assert pausing.state is EndpointState.PAUSING


def test_an_unsure_window_is_not_silence() -> None:
    still = speaking()
    assert run(still, 0.4, 0.36, 0.49, first=1) == []
    assert still.state is EndpointState.SPEAKING


def test_speech_after_a_pause_resumes() -> None:
    talker = speaking()
    assert run(talker, 0.1, 0.1, 0.6, first=1) == [SilenceBegan(WINDOW), SpeechResumed(3 * WINDOW)]
    assert talker.state is EndpointState.SPEAKING


def test_an_unsure_window_does_not_resume_and_silence_goes_on_counting() -> None:
    pausing = speaking(silence_ms=96)
    assert run(pausing, 0.1, 0.45, 0.45, first=1) == [SilenceBegan(WINDOW), SpeechStopped(WINDOW + 96 * 24)]


def test_speech_stops_after_the_silence_that_was_asked_for() -> None:
    talker = speaking(silence_ms=200)
    events = run(talker, *[0.0] * 7, first=1)
    assert events == [SilenceBegan(WINDOW), SpeechStopped(WINDOW + 200 * 24)]
    assert talker.state is EndpointState.SILENT


@pytest.mark.parametrize(("silence_ms", "windows"), [(0, 2), (32, 2), (64, 2), (65, 3), (500, 16), (1000, 32)])
def test_the_decision_comes_with_the_window_that_completes_the_silence(silence_ms: int, windows: int) -> None:
    talker = speaking(silence_ms)
    assert run(talker, *[0.0] * (windows - 1), first=1) == [SilenceBegan(WINDOW)]
    assert run(talker, 0.0, first=windows) == [SpeechStopped(WINDOW + silence_ms * 24)]


def test_silence_counts_anew_after_a_resume() -> None:
    talker = speaking(silence_ms=96)
    assert run(talker, 0.0, 0.0, 0.9, 0.0, 0.0, first=1)[-1] == SilenceBegan(4 * WINDOW)
    assert run(talker, 0.0, first=6) == [SpeechStopped(4 * WINDOW + 96 * 24)]


def test_a_new_turn_can_start_after_a_stop() -> None:
    talker = speaking(silence_ms=64)
    run(talker, 0.0, 0.0, first=1)
    assert run(talker, 0.0, 0.95, first=3) == [SpeechStarted(4 * WINDOW)]


@pytest.mark.parametrize(
    ("threshold", "quiet_enough", "sure"), [(0.2, 0.67, 0.69), (0.5, 0.79, 0.81), (0.9, 0.95, 0.965)]
)
def test_what_is_sure_follows_the_threshold(threshold: float, quiet_enough: float, sure: float) -> None:
    assert run(machine(threshold), quiet_enough) == []
    assert run(machine(threshold), sure) == [SpeechStarted(0)]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_ends_of_the_threshold_scale_work(threshold: float) -> None:
    assert run(machine(threshold), 1.0) == [SpeechStarted(0)]


@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_the_lowest_thresholds_find_an_end_too(threshold: float) -> None:
    talker = machine(threshold, silence_ms=64)
    assert run(talker, 0.9, 0.0, 0.0) == [SpeechStarted(0), SilenceBegan(WINDOW), SpeechStopped(WINDOW + 64 * 24)]


def test_settings_apply_from_the_next_window_on() -> None:
    talker = speaking(silence_ms=5000)
    run(talker, 0.0, 0.0, first=1)
    talker.settings = EndpointingSettings(0.5, silence_ms=96)
    assert run(talker, 0.0, first=3) == [SpeechStopped(WINDOW + 96 * 24)]


def test_a_reset_forgets_speech_and_suspicion() -> None:
    talker = speaking()
    talker.reset()
    assert talker.state is EndpointState.SILENT
    assert run(talker, 0.0) == []
    run(talker, 0.7)
    talker.reset()
    assert run(talker, 0.7) == []
