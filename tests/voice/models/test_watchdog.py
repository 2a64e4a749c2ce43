"""A host that hangs is told from one that computes."""

import threading

from voice.models.lanes import Lane
from voice.models.watchdog import Watchdog
from voice.models.wire import Done, FromHost, Transcribe


def watched() -> Watchdog:
    watchdog = Watchdog(silent_s=15, stuck_s=60)
    watchdog.begin(100)
    return watchdog


def test_a_host_that_beats_is_well() -> None:
    watchdog = watched()
    for second in range(101, 400):
        watchdog.note_beat(0.5, second)
        assert watchdog.complaint(second) is None


def test_a_long_prompt_is_no_fault() -> None:
    watchdog = watched()
    watchdog.note_beat(59, 110)
    assert watchdog.complaint(110) is None


def test_a_worker_without_progress_is() -> None:
    watchdog = watched()
    watchdog.note_beat(61, 110)
    assert watchdog.complaint(110) == "a model has made no progress for 61 s"


def test_silence_is_a_fault_when_it_is_seen_twice() -> None:
    watchdog = watched()
    assert watchdog.complaint(115) is None
    assert watchdog.complaint(116) is None
    assert watchdog.complaint(117) == "nothing was heard of it for 17 s"


def test_beats_that_waited_to_be_read_are_heard_in_time() -> None:
    watchdog = watched()
    assert watchdog.complaint(140) is None  # this process itself was held up
    watchdog.note_beat(0, 140)
    assert watchdog.complaint(141) is None


def test_before_a_process_has_loaded_nothing_is_expected() -> None:
    watchdog = Watchdog(1, 1)
    assert [watchdog.complaint(second) for second in (10, 100, 1000)] == [None] * 3


def test_a_new_process_begins_with_a_clean_slate() -> None:
    watchdog = watched()
    watchdog.note_beat(61, 110)
    watchdog.begin(200)
    assert watchdog.complaint(201) is None


def test_a_lane_tells_how_long_its_worker_has_shown_nothing() -> None:
    asked, may_end, sent = threading.Event(), threading.Event(), threading.Event()

    def work(request: object, send: object, stopped: object) -> Done:
        asked.set()
        may_end.wait(10)
        return Done(1)

    def send(message: FromHost) -> None:
        sent.set()

    lane = Lane("speech-to-text", work, send, workers=1, limit=4)
    lane.start()
    assert lane.without_progress_s() == 0
    lane.accept(Transcribe(1, "s", b"", False))
    assert asked.wait(10)
    first = lane.without_progress_s()
    assert lane.without_progress_s() > first > 0
    may_end.set()
    assert sent.wait(10)
    assert lane.without_progress_s() == 0
