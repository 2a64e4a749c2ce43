"""When to leave a connection before its session limit: make the next one first, take it at a quiet moment.

    opened ────────── due: make ──────────── force ── limit
                        │ quiet? switch ······│ switch, quiet or not

Pure: times are arguments, on one clock.
"""

from dataclasses import dataclass
from typing import Literal

FORCE_BEFORE_S = 10.0
"""Before the limit a switch no longer waits for quiet; never more than half of the time to rotate in."""

Step = Literal["stay", "make", "switch"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """The plan for one connection."""

    due_s: float
    force_s: float

    @classmethod
    def plan(cls, opened_s: float, limit_s: float, before_s: float) -> "Rotation":
        """`limit_s` is how long the session may last; `before_s` how long before that the next one is made."""
        before_s = min(before_s, limit_s / 2)
        end_s = opened_s + limit_s
        return cls(end_s - before_s, end_s - min(FORCE_BEFORE_S, before_s / 2))

    def step(self, now_s: float, *, has_next: bool, is_quiet: bool) -> Step:
        """Return what to do now. Quiet: no answer is under way and the caller is not speaking."""
        if now_s < self.due_s:
            return "stay"
        if not has_next:
            return "make"
        return "switch" if is_quiet or now_s >= self.force_s else "stay"
