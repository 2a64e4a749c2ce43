"""How late packets come on a path: the base of undelayed ones, and the delay that nearly all keep.

transit   ─┬─ . . ' . . . : . . ' . .     each packet: arrival - media time
base      ─┴─ least of the last 3…6 s     follows clock drift: 300 ppm make at most 2 ms of error
lateness      transit - base              a forgetting histogram in steps of 5 ms; its 97th percentile is the target
"""

import math

_BIN_MS = 5.0
_FORGET = 0.996  # a weight of 1/e after 250 packets: 5 s at 20 ms each
_SHARE = 0.97
_WINDOW_MS = 3000.0
_QUANTILE_EVERY = 5  # packets
_AHEAD_FADE_MS = 0.05  # a packet
_DIP_MS = 5.0  # how far under the target a stream is let fall, by its owner and by a base that lags behind drift


class ArrivalModel:
    """Keeps base and target of one stream. All times in milliseconds on one monotonic clock."""

    def __init__(self, min_ms: float, max_ms: float) -> None:
        """The target stays within these."""
        self._min_ms, self._max_ms = min_ms, max_ms
        self._bins = [0.0] * (math.ceil(max_ms / _BIN_MS) + 1)
        self._weight = 1.0  # of the next packet; grows instead of all bins shrinking
        self._total = 0.0
        self._base_ms: float | None = None
        self._least_now_ms = self._least_before_ms = math.inf  # of the running and of the last window
        self._window_ends_ms = -math.inf
        self._quantile_ms = 0.0
        self._until_quantile = 0
        self._ahead_ms = 0.0
        self.target_ms = min_ms
        """Delay behind the base that is aimed at."""

    def receive(self, arrival_ms: float, media_ms: float) -> None:
        """Learn from a packet, a late one too."""
        transit_ms = arrival_ms - media_ms
        if arrival_ms >= self._window_ends_ms:
            self._least_before_ms, self._least_now_ms = self._least_now_ms, math.inf
            self._window_ends_ms = arrival_ms + _WINDOW_MS
        self._least_now_ms = min(self._least_now_ms, transit_ms)
        self._base_ms = min(self._least_now_ms, self._least_before_ms)
        lateness_ms = transit_ms - self._base_ms
        if lateness_ms > self._max_ms:
            return  # an outage: no delay that is allowed would have helped, so it is no reason for more
        self._bins[int(lateness_ms / _BIN_MS)] += self._weight
        self._total += self._weight
        self._weight /= _FORGET
        if self._weight > 1e100:
            self._bins = [value / self._weight for value in self._bins]
            self._total, self._weight = self._total / self._weight, 1.0
        self._until_quantile -= 1
        if self._until_quantile < 0:
            self._until_quantile, self._quantile_ms = _QUANTILE_EVERY, self._quantile()

    def _quantile(self) -> float:
        wanted, reached = self._total * _SHARE, 0.0
        for index, value in enumerate(self._bins):
            reached += value
            if reached >= wanted:
                return (index + 1) * _BIN_MS
        return self._max_ms

    def aim(self, pending_ms: float) -> None:
        """Set the target for a listener who takes packets `pending_ms` before they are heard.

        That differs from packet to packet where they are not as long as the listener's frames: the most counts, fading.
        """
        self._ahead_ms = max(pending_ms, self._ahead_ms - _AHEAD_FADE_MS)
        self.target_ms = max(self._min_ms, min(self._max_ms, self._quantile_ms + self._ahead_ms + _DIP_MS))

    def lateness_ms(self, now_ms: float, media_ms: float) -> float:
        """Return how far `now` is behind the moment at which an undelayed packet of that media time comes."""
        return now_ms - media_ms - self._base_ms if self._base_ms is not None else 0.0

    def excess_ms(self, now_ms: float, media_ms: float) -> float:
        """Return how far `now` is behind the moment at which that media time is due."""
        return self.lateness_ms(now_ms, media_ms) - self.target_ms
