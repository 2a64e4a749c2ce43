"""Decides about every datagram and connection before a byte of it is read: known source, rate, ban.

  unknown source         dropped in silence: a scanner must not learn that anything listens here; known are the
                         trunks' addresses and whom we have sent to ourselves
  bucket of host:port    a socket that floods spoils its own bucket, not that of its neighbours behind the same address
  bucket of the host     four times as large, so that changing ports does not help
  score of the host      +1 for each failure (wrong password, junk), falling by time; banned at the threshold until it
                         has fallen to half. Addresses that a trunk names are never banned: a carrier may err.

Cost of a dropped datagram: two or three dictionary look-ups. Measured in bench/sip_flood.py.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

from sip.refusals import RefusalLog
from sip.trunk import TrunkTable

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What one source may do."""

    messages_per_s: float = 300.0
    """Of one address and port, twice as many at once; four times this of an address."""
    ban_after: float = 10.0
    """Failures."""
    ban_s: float = 600.0
    """How long; each later failure makes it longer."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def take(self, now: float, rate: float, burst: float) -> bool:
        tokens = min(burst, self.tokens + (now - self.at) * rate)
        self.at = now
        if tokens < 1:
            self.tokens = tokens
            return False
        self.tokens = tokens - 1
        return True


@dataclass(slots=True)
class _Score:
    failures: float
    at: float
    banned: bool = False


_EXPECTED = 4096
_SOURCES = 8192
"""Bounds each table; beyond it is emptied, which forgives everybody at once and costs no more than that."""


class Gate:
    """The doorkeeper of an endpoint."""

    def __init__(self, trunks: TrunkTable, limits: GateLimits | None = None, log: RefusalLog | None = None) -> None:
        """`log` takes one line per refusal."""
        self.trunks = trunks
        self.log = log or RefusalLog()
        self.dropped = 0
        """Datagrams and connections that were not read."""
        self._limits = limits or GateLimits()
        self._sockets: dict[tuple[str, int], _Bucket] = {}
        self._hosts: dict[str, _Bucket] = {}
        self._scores: dict[str, _Score] = {}
        self._expected: OrderedDict[str, None] = OrderedDict()

    def admit(self, now: float, source: tuple[str, int]) -> bool:
        """Say whether to read what has come from there."""
        host = source[0]
        rate = self._limits.messages_per_s
        if host not in self._expected and not self.trunks.find(host):
            return self._drop(now, source, "unknown source")
        if host in self._scores and self._is_banned(now, host):
            return self._drop(now, source, "banned")
        if not _take(self._sockets, source, now, rate) or not _take(self._hosts, host, now, 4 * rate):
            return self._drop(now, source, "too many messages")
        return True

    def expect(self, host: str) -> None:
        """Hear a host that we have sent to, though it is of no trunk: its answers and requests, no new calls."""
        self._expected[host] = None
        self._expected.move_to_end(host)
        if len(self._expected) > _EXPECTED:
            self._expected.popitem(last=False)

    def blame(self, now: float, host: str, weight: float = 1.0) -> None:
        """Count a failure against a host that no trunk names."""
        if self.is_named(host):
            return
        score = self._scores.get(host)
        if score is None:
            if len(self._scores) >= _SOURCES:
                self._scores.clear()
            score = self._scores[host] = _Score(0.0, now)
        self._decay(now, score)
        score.failures = min(score.failures + weight, 4 * self._limits.ban_after)
        score.banned = score.banned or score.failures >= self._limits.ban_after

    def ban(self, now: float, host: str) -> None:
        """Hear a host no more for `ban_s`, unless a trunk names it."""
        self.blame(now, host, self._limits.ban_after)

    def is_named(self, host: str) -> bool:
        """Say whether the address itself is known, and not only anybody who has a password."""
        return host in self._expected or any(
            trunk.networks or not trunk.needs_credentials for trunk in self.trunks.find(host)
        )

    def _is_banned(self, now: float, host: str) -> bool:
        score = self._scores[host]
        self._decay(now, score)
        if score.banned and score.failures <= self._limits.ban_after / 2:
            score.banned = False
        if score.failures <= 0:
            del self._scores[host]
        return score.banned

    def _decay(self, now: float, score: _Score) -> None:
        rate = self._limits.ban_after / 2 / self._limits.ban_s
        score.failures = max(0.0, score.failures - (now - score.at) * rate)
        score.at = now

    def _drop(self, now: float, source: tuple[str, int], reason: str) -> bool:
        self.dropped += 1
        self.log.note(now, source, "message", 0, reason)
        return False


def _take(buckets: dict[K, _Bucket], key: K, now: float, rate: float) -> bool:
    bucket = buckets.get(key)
    if bucket is None:
        if len(buckets) >= _SOURCES:
            buckets.clear()
        bucket = buckets[key] = _Bucket(2 * rate, now)
    return bucket.take(now, rate, 2 * rate)
