"""One line in the log for each refusal, and no more lines than can be read: a flood must not fill the disk.

    refused source=203.0.113.5:5071 what=INVITE status=403 reason="no trunk takes calls over UDP" repeated=17

`source=` and `reason=` stand in every line, for fail2ban and for operators who ask why a call did not come.
"""

import logging
from collections import Counter

logger = logging.getLogger("sip.refused")

_QUIET_S = 10.0
_LINES_PER_S = 20
_REMEMBERED = 1024


class RefusalLog:
    """Writes refusals; the same one of the same host at most every ten seconds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many of each reason, written or not: for metrics."""
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}
        self._second = 0
        self._lines = 0

    def note(self, now: float, source: tuple[str, int], what: str, status: int, reason: str) -> None:
        """Count a refusal and write it unless it has just been written. `status` 0: nothing was answered."""
        self.counts[reason] += 1
        key = source[0], reason
        last, repeated = self._seen.get(key, (float("-inf"), 0))
        if now - last < _QUIET_S or not self._may_write(now):
            if key in self._seen or len(self._seen) < _REMEMBERED:
                self._seen[key] = last, repeated + 1
            return
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        self._seen[key] = now, 0
        answer = status or "none"
        more = f" repeated={repeated}" if repeated else ""
        clean = reason.replace('"', "'")
        logger.warning('refused source=%s:%d what=%s status=%s reason="%s"%s', *source, what, answer, clean, more)

    def _may_write(self, now: float) -> bool:
        if int(now) != self._second:
            self._second, self._lines = int(now), 0
        self._lines += 1
        return self._lines <= _LINES_PER_S
