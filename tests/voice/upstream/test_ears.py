"""What an upstream that finds turns is told, on whose clock, and which of the turns that it finds are new."""

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import TurnStarted, TurnStopped
from voice.upstream.ears import Ears

RUN = CORE_RATE_HZ // 10


class Listener:
    """Ears, and what went to each line; every sample is its own place on the session's clock, in tenths."""

    def __init__(self) -> None:
        self.ears = Ears()
        self.lines: list[list[int]] = [[]]
        self._clock = 0

    def hear(self, tenths: int, *, has_line: bool = True) -> None:
        for _ in range(tenths):
            pcm = (self._clock % 30_000).to_bytes(2, "little") * RUN
            frame = AudioFrame(pcm, CORE_RATE_HZ, self._clock * RUN)
            self.ears.hear(frame, self._append if has_line else None)
            self._clock += 1

    def change(self) -> None:
        self.lines.append([])
        self.ears.change(self._append)

    def _append(self, pcm: bytes) -> None:
        self.lines[-1].append(int.from_bytes(pcm[:2], "little"))


def test_a_turn_is_found_on_the_sessions_clock():
    listener = Listener()
    listener.hear(20)
    assert listener.ears.start(5 * RUN, "item_a") == TurnStarted(5 * RUN, "item_a")
    assert listener.ears.stop(15 * RUN) == TurnStopped(15 * RUN, "item_a")
    assert listener.ears.stop(16 * RUN) is None


def test_a_new_line_hears_a_second_of_what_was_before():
    listener = Listener()
    listener.hear(30)
    listener.change()
    assert listener.lines[1] == list(range(20, 30))
    listener.hear(5)
    assert listener.lines[1] == list(range(20, 35))
    assert listener.ears.start(2 * RUN, "item_a") == TurnStarted(22 * RUN, "item_a")


def test_a_new_line_hears_the_turn_under_way_from_its_beginning_and_finds_it_again():
    listener = Listener()
    listener.hear(10)
    listener.ears.start(9 * RUN, "item_a")
    listener.hear(50)
    listener.change()
    assert listener.lines[1] == list(range(60))
    assert listener.ears.start(9 * RUN, "item_b") is None
    assert listener.ears.turn == "item_a"
    assert listener.ears.stop(55 * RUN) == TurnStopped(55 * RUN, "item_a")


def test_a_turn_that_has_just_ended_is_not_told_to_a_new_line_which_would_find_it_again():
    listener = Listener()
    listener.hear(10)
    listener.ears.start(9 * RUN, "item_a")
    listener.hear(20)
    listener.ears.stop(28 * RUN)
    listener.change()
    assert listener.lines[1] == [28, 29]
    listener.hear(20)
    listener.change()
    assert listener.lines[2] == list(range(40, 50))


def test_what_was_said_while_there_was_no_line_is_heard_by_the_next_one():
    listener = Listener()
    listener.hear(10)
    listener.ears.start(9 * RUN, "item_a")
    listener.hear(30, has_line=False)
    listener.change()
    assert listener.lines[1] == list(range(40))


def test_what_was_forgotten_is_told_nobody():
    listener = Listener()
    listener.hear(10)
    listener.ears.start(0, "item_a")
    listener.ears.forget()
    listener.change()
    assert listener.lines[1] == []
    assert not listener.ears.has_turn
