"""Decides whether a new call is taken: its trunk, its credentials, the limits. Each refusal has its status.

  no trunk takes this transport      403
  credentials missing, old, wrong    401 with a challenge for each algorithm; wrong ones count against the source
  service is stopping                503 with Retry-After
  trunk or service is full           503 with Retry-After (RFC 3261 §21.5.4: try elsewhere, or later)

A request is asked for credentials before it learns whether there is room.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sip.auth import DigestServer, Verdict
from sip.message import Request, Response
from sip.trunk import Trunk

_GIVES_UP = re.compile(r"baresip v[01]\.")
"""User-Agents that end the call at the sight of SHA-256, even beside MD5 (Debian 12 has one of them)."""
_ONLY_MD5 = ("MD5",)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds over all trunks."""

    max_calls: int = 200
    calls_per_s: float = 50.0
    """Averaged over a second; twice as many at once."""
    retry_after_s: int = 5
    """What a refused caller is told to wait."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that is not taken."""

    response: Response
    reason: str
    """For the log."""
    is_failure: bool = False
    """Whether it counts against the source."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may go on; give it back with `Admission.release`."""

    trunk: Trunk
    username: str = ""


class _Rate:
    """A token bucket of calls."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._tokens = 2 * per_s
        self._at = 0.0

    def take(self, now: float) -> bool:
        self._tokens = min(max(2 * self._per_s, 1.0), self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Admission:
    """Knows how many calls each trunk has."""

    def __init__(
        self, limits: CallLimits, digest: DigestServer, clock: Callable[[], float], new_tag: Callable[[], str]
    ) -> None:
        """`clock` is the time of day: nonces are made of it, the same on every node."""
        self.is_draining = False
        self._limits = limits
        self._digest = digest
        self._clock = clock
        self._new_tag = new_tag
        self._calls: Counter[str] = Counter()
        self._rate = _Rate(limits.calls_per_s)
        self._rates: dict[str, _Rate] = {}

    @property
    def calls(self) -> int:
        """How many have been admitted and not released."""
        return self._calls.total()

    def calls_of(self, trunk: str) -> int:
        """How many of one trunk."""
        return self._calls[trunk]

    def admit(
        self, now: float, invite: Request, trunks: Sequence[Trunk], transport: str, host: str
    ) -> Admitted | Refused:
        """Decide about an INVITE from `host`, which may belong to any of `trunks`."""
        usable = [trunk for trunk in trunks if transport in trunk.transports]
        if not usable:
            return self._refuse(invite, 403, f"no trunk takes calls over {transport}")
        identified = self._identify(invite, usable, host)
        if isinstance(identified, Refused):
            return identified
        full = self._lack_of_room(now, identified.trunk)
        if full is not None:
            return self._refuse(invite, 503, full, retry=True)
        self._calls[identified.trunk.name] += 1
        return identified

    def release(self, trunk: Trunk) -> None:
        """Take a call back that is over."""
        self._calls[trunk.name] -= 1

    def retry_later(self, request: Request, status: int = 503) -> Response:
        """Return the answer of a service that is stopping or full."""
        response = request.respond(status, to_tag=self._new_tag())
        response.add("Retry-After", self._limits.retry_after_s)
        return response

    def _identify(self, invite: Request, trunks: Sequence[Trunk], host: str) -> Admitted | Refused:
        """Find the trunk: credentials decide where a request brings them, else the address."""
        guarded = [trunk for trunk in trunks if trunk.needs_credentials]
        open_ = next((trunk for trunk in trunks if not trunk.needs_credentials), None)
        if open_ is not None and (not guarded or invite.get("authorization") is None):
            return Admitted(open_)
        owners = {name: trunk for trunk in reversed(guarded) for name in trunk.passwords}

        def find_password(username: str) -> str | None:
            owner = owners.get(username)
            return None if owner is None else owner.passwords[username]

        checked = self._digest.check(self._clock(), invite, host, find_password)
        if checked.verdict is Verdict.ACCEPTED:
            return Admitted(owners[checked.username], checked.username)
        if open_ is not None and checked.verdict is Verdict.MISSING:
            return Admitted(open_)
        wrong = checked.verdict is Verdict.WRONG
        stale = checked.verdict in (Verdict.STALE, Verdict.REPLAYED)
        weak = _ONLY_MD5 if _GIVES_UP.match(invite.get("user-agent") or "") else None
        challenge = self._digest.challenge(self._clock(), invite, host, stale=stale, algorithms=weak)
        challenge.set("To", invite.respond(401, to_tag=self._new_tag()).index["to"][0])
        reason = f"wrong credentials of {checked.username[:40]!r}" if wrong else "challenged"
        return Refused(challenge, reason, is_failure=wrong)

    def _lack_of_room(self, now: float, trunk: Trunk) -> str | None:
        """Return why there is no room, None when there is; takes from the rates only if there is."""
        if self.is_draining:
            return "service is stopping"
        if trunk.max_calls is not None and self._calls[trunk.name] >= trunk.max_calls:
            return f"trunk {trunk.name} has its {trunk.max_calls} calls"
        if self.calls >= self._limits.max_calls:
            return f"service has its {self._limits.max_calls} calls"
        if trunk.calls_per_s is not None:
            rate = self._rates.setdefault(trunk.name, _Rate(trunk.calls_per_s))
            if not rate.take(now):
                return f"trunk {trunk.name} calls too often"
        return None if self._rate.take(now) else "too many calls a second"

    def _refuse(self, invite: Request, status: int, reason: str, *, retry: bool = False) -> Refused:
        if retry:
            return Refused(self.retry_later(invite, status), reason)
        return Refused(invite.respond(status, to_tag=self._new_tag()), reason)
