"""One clock for all legs: a wheel of four slots, 5 ms apart, that ticks every leg once in 20 ms.

    ms      0     5     10    15    20    25 …
    slot    0     1     2     3     0     1        a new leg goes to the emptiest slot

Deadlines are absolute (start + k x 5 ms): no drift, and what is late by a little is made up for at once. After a stall
of more than 60 ms the missed ticks are skipped instead of sent in a burst, and legs are told how many. A task per leg
costs a quarter more CPU and is late by 5 to 100 times as much (measured).
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

SLOTS = 4
SLOT_S = 0.005
TICK_S = SLOTS * SLOT_S
EARLY_S = 0.001
"""How much before its time a timer may fire: uvloop's count in milliseconds. What is due by then runs at once; asking
for the rest of the time instead turns the loop round and round until it has passed."""

STALL_S = 0.060
"""Later than this, ticks are skipped."""

TickFunction = Callable[[float, int], None]
"""Called with the time of the tick, in seconds of the loop's clock, and how many ticks before it were skipped."""


@dataclass(slots=True, eq=False)
class Tick:
    """A leg's place on the wheel."""

    slot: int
    function: TickFunction
    failed: Callable[[], None] | None = None
    """Told that the leg does not tick any more, since its function raised."""
    skipped: int = 0
    """Not yet told to the leg."""


@dataclass(slots=True)
class TickerCounts:
    """For metrics."""

    ticks: int = 0
    skipped_slots: int = 0
    failed_legs: int = 0
    max_lateness_s: float = 0.0
    """Of a slot since it was last reset by whoever reads it."""


class Ticker:
    """The shell around `loop.call_at`. All calls on the event loop; runs only while there are legs."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """On the running loop unless told."""
        self._loop = loop or asyncio.get_running_loop()
        self._slots: list[list[Tick]] = [[] for _ in range(SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self._is_turning = False  # a leg may be added from within a tick
        self._start_s = 0.0
        self._step = 0  # index of the next 5 ms step
        self.counts = TickerCounts()

    @property
    def legs(self) -> int:
        """How many tick."""
        return sum(map(len, self._slots))

    def add(
        self, function: TickFunction, *, behind: Tick | None = None, failed: Callable[[], None] | None = None
    ) -> Tick:
        """Call a function every 20 ms from now on, until `remove`. It must not block, and should not raise.

        One that raises is called no more, and `failed` once: it must end the call, and must not raise. `behind` another
        tick it comes 5 ms later than that: what the one has led to is done when the other runs.
        """
        if self._timer is None and not self._is_turning:
            self._start_s, self._step = self._loop.time(), 1
            self._schedule()
        # Among equally empty slots the one whose turn comes last: the leg has time to be set up.
        order = sorted(range(SLOTS), key=lambda slot: (len(self._slots[slot]), -((slot - self._step) % SLOTS)))
        tick = Tick(order[0] if behind is None else (behind.slot + 1) % SLOTS, function, failed)
        self._slots[tick.slot] = [*self._slots[tick.slot], tick]  # a new list: the old one may be being run
        return tick

    def remove(self, tick: Tick) -> None:
        """Stop calling it; from within a tick too. Safe to call twice."""
        self._slots[tick.slot] = [other for other in self._slots[tick.slot] if other is not tick]

    def close(self) -> None:
        """Stop altogether."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots = [[] for _ in range(SLOTS)]

    def _schedule(self) -> None:
        self._timer = self._loop.call_at(self._start_s + self._step * SLOT_S, self._run)

    def _run(self) -> None:
        """Run every slot whose time has come, and ask for the next."""
        self._timer = None
        now_s = self._loop.time()
        behind_s = now_s - (self._start_s + self._step * SLOT_S)
        self.counts.max_lateness_s = max(self.counts.max_lateness_s, behind_s)
        if behind_s > STALL_S:
            self._skip_to(int((now_s - self._start_s) / SLOT_S))
        self._is_turning = True
        while self._start_s + self._step * SLOT_S <= now_s + EARLY_S:
            self._run_slot(self._step % SLOTS, self._start_s + self._step * SLOT_S)
            self._step += 1
        self._is_turning = False
        if any(self._slots):
            self._schedule()

    def _skip_to(self, step: int) -> None:
        missed = step - self._step
        self.counts.skipped_slots += missed
        for offset in range(SLOTS):
            skipped = (missed + SLOTS - 1 - offset) // SLOTS
            for tick in self._slots[(self._step + offset) % SLOTS]:
                tick.skipped += skipped
        self._step = step

    def _run_slot(self, slot: int, time_s: float) -> None:
        legs = self._slots[slot]
        self.counts.ticks += len(legs)
        for tick in legs:
            skipped, tick.skipped = tick.skipped, 0
            try:
                tick.function(time_s, skipped)
            except Exception:  # a task boundary: ends that leg's media, no other's
                self.counts.failed_legs += 1
                log.exception("media.tick_failed")
                self.remove(tick)
                if tick.failed is not None:
                    tick.failed()
