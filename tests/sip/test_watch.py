"""Peers that are asked whether they are there."""

import pytest

from sip.watch import Watch


class Seen:
    """A watch over one carrier, and what it told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool, int]] = []
        self.watch = Watch({"carrier": "sip:192.0.2.1"}, lambda *told: self.told.append(told))

    def answer(self, now: float, status: int) -> None:
        assert self.watch.take_due(now) == [("carrier", "sip:192.0.2.1")]
        assert self.watch.take_due(now + 9.0) == []  # one question at a time
        self.watch.answered(now, "carrier", status)


@pytest.mark.parametrize("status", [200, 401, 404, 405, 500])
def test_any_answer_is_a_sign_of_life(status: int) -> None:
    seen = Seen()
    seen.answer(0.0, status)
    assert seen.told == [("carrier", True, status)]
    assert seen.watch.take_due(29.9) == []
    seen.answer(30.0, 200)
    assert len(seen.told) == 1


def test_one_that_never_answers_is_down_at_once() -> None:
    seen = Seen()
    seen.answer(0.0, 408)
    assert seen.told == [("carrier", False, 408)]


def test_one_lost_answer_takes_nobody_down_and_two_do() -> None:
    seen = Seen()
    seen.answer(0.0, 200)
    seen.answer(30.0, 408)
    assert seen.watch.is_up("carrier")
    seen.answer(40.0, 503)
    assert not seen.watch.is_up("carrier")
    seen.answer(50.0, 200)
    assert [(up, status) for _, up, status in seen.told] == [(True, 200), (False, 503), (True, 200)]
