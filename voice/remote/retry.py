"""Whether and when to ask again. Pure: chance is an argument, and so is what the server said.

| what came back | asked again |
|---|---|
| no connection, a broken one before the first byte, 408, 500, 502, 503, 504, 529 | yes |
| 429 with a `retry-after` that a caller can wait for, or without one | yes |
| 429 of an exhausted quota, 400, 401, 403, 404, 413, 422 | no: the same request would fail the same way |
| anything after the first byte of an answer | no: what was spoken cannot be taken back |
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RETRIED_STATUSES: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a stage is. The stage's own deadline goes over all attempts."""

    attempts: int = 3
    base_s: float = 0.25
    """Before the second attempt; doubled for each further one."""
    longest_s: float = 2.0
    """A server that asks for a longer wait is not asked again: a caller is listening to silence."""

    def wait_s(self, attempt: int, retry_after_s: float | None, chance: float) -> float | None:
        """Return how long to wait after failed attempt `attempt` (from 1), or None to give up.

        `chance` is uniform between 0 and 1: full jitter, so that callers do not come back together.
        """
        if attempt >= self.attempts:
            return None
        if retry_after_s is not None:
            return retry_after_s if retry_after_s <= self.longest_s else None
        return min(self.longest_s, self.base_s * 2.0 ** (attempt - 1)) * (0.5 + chance / 2)


def may_retry(status: int, code: str | None) -> bool:
    """Tell whether the same request may go better next time; an exhausted quota stays exhausted."""
    return status in RETRIED_STATUSES and code not in ("insufficient_quota", "billing_hard_limit_reached")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return what `retry-after-ms` or `retry-after` (seconds) asks for; a date, or nonsense, counts as nothing said."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None
