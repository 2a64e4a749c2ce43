import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from transports.rtp.ticker import SLOT_S, Ticker


class ClockedLoop:
    """The two calls of an event loop that the ticker uses, on a clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, when_s: float, callback: Callable[[], None]) -> object:
        self.due.append((when_s, callback))
        return object()

    def turn_to(self, now_s: float) -> None:
        """Let time pass smoothly: every timer runs when it is due."""
        while self.due and self.due[0][0] <= now_s:
            when_s, callback = self.due.pop(0)
            self.now_s = max(self.now_s, when_s)
            callback()
        self.now_s = now_s

    def stall_to(self, now_s: float) -> None:
        """Let time jump: timers run late."""
        self.now_s = now_s
        self.turn_to(now_s)


@pytest.fixture
def loop() -> ClockedLoop:
    return ClockedLoop()


@pytest.fixture
def ticker(loop: ClockedLoop) -> Ticker:
    return Ticker(loop)  # type: ignore[arg-type]


def test_every_leg_ticks_once_in_twenty_milliseconds(loop: ClockedLoop, ticker: Ticker) -> None:
    times: list[list[float]] = [[] for _ in range(10)]

    def note(leg: list[float], now_s: float, skipped: int) -> None:
        leg.append(now_s)

    for leg in times:
        ticker.add(partial(note, leg))
    loop.turn_to(101.001)
    for leg in times:
        assert len(leg) == 50
        assert [later - sooner for sooner, later in pairwise(leg)] == pytest.approx([0.02] * 49)


def test_legs_are_spread_over_the_slots(ticker: Ticker) -> None:
    slots = [ticker.add(lambda now_s, skipped: None).slot for _ in range(8)]
    assert sorted(slots) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert ticker.legs == 8


def test_a_short_delay_is_made_up_for(loop: ClockedLoop, ticker: Ticker) -> None:
    calls: list[int] = []
    ticker.add(lambda now_s, skipped: calls.append(skipped))
    loop.turn_to(100.1)
    loop.stall_to(100.15)
    loop.turn_to(101.001)
    assert len(calls) == 50
    assert sum(calls) == 0


def test_after_a_stall_ticks_are_skipped_and_told_never_burst(loop: ClockedLoop, ticker: Ticker) -> None:
    calls: list[tuple[float, int]] = []
    for _ in range(4):
        ticker.add(lambda now_s, skipped: calls.append((now_s, skipped)))
    loop.turn_to(100.2)
    before = len(calls)
    loop.stall_to(101.2)
    assert len(calls) - before <= 4
    loop.turn_to(102.001)
    assert len(calls) + sum(skipped for _, skipped in calls) == pytest.approx(4 * 100, abs=4)
    assert ticker.counts.skipped_slots > 150
    assert ticker.counts.max_lateness_s == pytest.approx(1.0, abs=0.01)


def test_a_leg_may_be_added_and_removed_within_a_tick(loop: ClockedLoop, ticker: Ticker) -> None:
    calls: list[str] = []

    def once(now_s: float, skipped: int) -> None:
        calls.append("once")
        ticker.remove(tick)
        ticker.add(lambda now_s, skipped: calls.append("other"))

    tick = ticker.add(once)
    loop.turn_to(100.1001)
    assert calls[0] == "once"
    assert calls.count("once") == 1
    assert 3 <= calls.count("other") <= 5


def test_a_leg_that_fails_is_dropped_and_the_others_go_on(loop: ClockedLoop, ticker: Ticker) -> None:
    calls: list[int] = []
    told: list[str] = []

    def fail(now_s: float, skipped: int) -> None:
        raise RuntimeError("broken leg")

    ticker.add(fail, failed=lambda: told.append("over"))
    ticker.add(lambda now_s, skipped: calls.append(1))
    with capture_logs() as logs:
        loop.turn_to(100.2001)
    assert len(calls) == 10
    assert told == ["over"]
    assert [entry["event"] for entry in logs] == ["media.tick_failed"]
    assert (ticker.legs, ticker.counts.failed_legs) == (1, 1)


def test_without_legs_it_sleeps(loop: ClockedLoop, ticker: Ticker) -> None:
    tick = ticker.add(lambda now_s, skipped: None)
    ticker.remove(tick)
    ticker.remove(tick)
    loop.turn_to(100.1)
    assert loop.due == []
    ticker.add(lambda now_s, skipped: None)
    assert loop.due[0][0] == pytest.approx(100.1 + SLOT_S)


async def test_on_a_real_loop_it_ticks_and_closes() -> None:
    ticker = Ticker()
    ticked = asyncio.Event()
    ticker.add(lambda now_s, skipped: ticked.set())
    await asyncio.wait_for(ticked.wait(), 2)
    ticker.close()
    assert ticker.legs == 0


def test_a_timer_that_fires_a_little_early_is_not_asked_for_again(loop: ClockedLoop, ticker: Ticker) -> None:
    times: list[float] = []
    ticker.add(lambda now_s, _: times.append(now_s))
    for _ in range(8):
        when_s, callback = loop.due.pop(0)
        loop.now_s = when_s - 0.0005  # uvloop counts in milliseconds
        callback()
    assert len(times) == 2
    assert len(loop.due) == 1
