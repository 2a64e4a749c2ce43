"""A circuit breaker: an engine that keeps failing is left alone for a while, by all sessions at once.

| state | an attempt | success | failure |
|---|---|---|---|
| closed | allowed | closed | counts; at the threshold: open |
| open | refused until `open_s` is over, then half open | - | - |
| half open | one at a time | closed | open, twice as long up to the longest |

Pure: the time is an argument.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Shared by the sessions of one engine."""

    threshold: int = 3
    """Failures in a row."""
    open_s: float = 5.0
    longest_s: float = 60.0
    _failures: int = 0
    _waits_s: float = 0.0
    _opens_again_s: float = 0.0
    _probing_since_s: float | None = None

    def allows(self, now_s: float) -> bool:
        """Tell whether to try; of an open breaker whose time is over, the first who asks is let through."""
        if self._failures < self.threshold:
            return True
        if now_s < self._opens_again_s:
            return False
        if self._probing_since_s is not None and now_s < self._probing_since_s + self.open_s:
            return False  # somebody is trying; one that never said how it went is forgotten after a while
        self._probing_since_s = now_s
        return True

    def note_success(self) -> None:
        """It works."""
        self._failures, self._waits_s, self._probing_since_s = 0, 0.0, None

    def note_failure(self, now_s: float, *, is_final: bool = False) -> None:
        """It failed. `is_final`: trying again soon is of no use (a refused key); opens at once."""
        self._failures = self.threshold if is_final else self._failures + 1
        self._probing_since_s = None
        if self._failures >= self.threshold:
            self._waits_s = min(self.longest_s, max(self.open_s, self._waits_s * 2))
            self._opens_again_s = now_s + self._waits_s
