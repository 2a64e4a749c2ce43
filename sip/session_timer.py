"""Session timers (RFC 4028) of one dialog, time as an argument.

  the refresher     refreshes at half the interval, by UPDATE where the peer allows it, else by re-INVITE
  the other side    ends the call with BYE when no refresh came until interval - min(32 s, interval / 3)
  both              start anew with every 2xx to INVITE or UPDATE that carries Session-Expires

A carrier that asks for a timer without our wanting one gets its way: a call whose refresh goes unanswered is cut.
"""

from dataclasses import dataclass
from enum import Enum, auto

from sip.errors import SipSyntaxError
from sip.grammar import parse_number
from sip.headers import Valued
from sip.message import Field, Message, Rejection, Request, Response
from sip.parser import refuse

MIN_SE_S = 90
"""The smallest interval that may be asked for (§4)."""


class Due(Enum):
    """What `SessionTimer.handle_timer` asks for."""

    NOTHING = auto()
    REFRESH = auto()
    """Send a refresh: `request_headers` go into it. It may ask again after `refresh_failed`."""
    EXPIRED = auto()
    """End the call with BYE."""


@dataclass(frozen=True, slots=True)
class TimerPolicy:
    """What this side wants."""

    interval_s: int = 1_800
    """What we ask for; 0 asks for none and still grants one."""
    min_se_s: int = MIN_SE_S
    refresh_ourselves: bool = True
    """Who refreshes when the peer leaves it open."""


class SessionTimer:
    """The timer of one dialog."""

    def __init__(self, policy: TimerPolicy | None = None) -> None:
        """Nothing runs until a 2xx has been sent or received."""
        self._policy = policy or TimerPolicy()
        self._min_se_s = self._policy.min_se_s
        self.interval_s = 0
        """The agreed interval, 0 while none runs."""
        self.is_refresher = False
        self._refresh_at: float | None = None
        self._expires_at: float | None = None

    # --- as UAS -----------------------------------------------------------------------------------------------------

    def check(self, request: Request) -> Rejection | None:
        """Return the 422 for an interval that is too small (§9), 400 for one that cannot be read."""
        try:
            asked = read_session_expires(request)
            floor = _read_min_se(request)
        except SipSyntaxError as error:
            return refuse(request, error.status, error.message)
        # Only whoever knows the extension understands a 422; another's interval is raised instead.
        if asked is not None and asked[0] < self._policy.min_se_s and "timer" in request.tokens("supported"):
            return refuse(request, 422, "session interval is too small", ("Min-SE", str(self._policy.min_se_s)))
        self._min_se_s = max(self._policy.min_se_s, floor)
        return None

    def accept(self, now: float, request: Request) -> list[Field]:
        """Decide upon an INVITE or UPDATE that is about to get its 2xx; return the headers for it (§9).

        The timer runs from now.
        """
        asked = read_session_expires(request)
        able = "timer" in request.tokens("supported")
        if asked is None and (not self._policy.interval_s or not able):
            # Without the peer's support we could refresh alone; a peer that asks for nothing gets nothing.
            self.stop()
            return []
        interval, refresher = asked or (self._policy.interval_s, "")
        interval = max(interval, self._min_se_s)
        if asked is not None and self._policy.interval_s:
            interval = max(min(interval, self._policy.interval_s), self._min_se_s)
        if not able:
            refresher = "uas"  # a proxy asked for it: the caller could not refresh (table 2)
        elif refresher not in ("uac", "uas"):
            refresher = "uas" if self._policy.refresh_ourselves else "uac"
        self._run(now, interval, is_refresher=refresher == "uas")
        headers = [("Session-Expires", f"{interval};refresher={refresher}")]
        return [("Require", "timer"), *headers] if refresher == "uac" else headers

    # --- as UAC -----------------------------------------------------------------------------------------------------

    def request_headers(self) -> list[Field]:
        """Return the headers for an INVITE, re-INVITE or UPDATE of ours (§7.1, §7.4); Supported is the caller's."""
        interval = self.interval_s or self._policy.interval_s
        if not interval:
            return []
        role = f";refresher={'uac' if self.is_refresher else 'uas'}" if self.interval_s else ""
        return [("Session-Expires", f"{max(interval, self._min_se_s)}{role}"), ("Min-SE", str(self._min_se_s))]

    def receive_answer(self, now: float, response: Response) -> None:
        """Take the 2xx to a request of ours (§7.2). Raises: SipSyntaxError."""
        agreed = read_session_expires(response)
        if agreed is None:
            # The peer knows no timers; keep one alone only if it was already running (§7.2).
            self.stop()
            return
        interval, refresher = agreed
        self._run(now, max(interval, 1), is_refresher=refresher != "uas")

    def receive_too_small(self, response: Response) -> bool:
        """Take a 422: raise the interval; return whether another try makes sense (§7.3)."""
        try:
            floor = _read_min_se(response)
        except SipSyntaxError:
            return False
        if floor <= self._min_se_s:
            return False
        self._min_se_s = floor
        return True

    # --- time -------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due."""
        due = [at for at in (self._refresh_at, self._expires_at) if at is not None]
        return min(due) if due else None

    def handle_timer(self, now: float) -> Due:
        """Say what is due. A refresh is asked for once; its 2xx or `refresh_failed` goes on."""
        if self._expires_at is not None and now >= self._expires_at:
            self.stop()
            return Due.EXPIRED
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh_at = None
            return Due.REFRESH
        return Due.NOTHING

    def refresh_failed(self, now: float, status: int, retry_s: float = 5.0) -> Due:
        """Take the failure of a refresh: 408 and 481 end the call (§10), others are tried again until expiry."""
        if status in (408, 481):
            self.stop()
            return Due.EXPIRED
        if self._expires_at is not None:
            self._refresh_at = now + retry_s
        return Due.NOTHING

    def stop(self) -> None:
        """Let no timer run."""
        self.interval_s = 0
        self._refresh_at = self._expires_at = None

    def _run(self, now: float, interval_s: int, *, is_refresher: bool) -> None:
        """Start anew. The refresher too gives up at the end: its refreshes have failed until then."""
        self.interval_s, self.is_refresher = interval_s, is_refresher
        self._refresh_at = now + interval_s / 2 if is_refresher else None
        margin = min(32.0, interval_s / 3)
        self._expires_at = now + interval_s - margin


def read_session_expires(message: Message) -> tuple[int, str] | None:
    """Return interval and refresher (empty when open) of a message, None without the header. Raises: SipSyntaxError."""
    value = message.get("session-expires")
    if value is None:
        return None
    parsed = Valued.parse(value)
    # A second header field would be a proxy's mistake; the first counts.
    return parse_number(parsed.value, 2**32, "Session-Expires"), (parsed.params.get("refresher") or "").lower()


def _read_min_se(message: Message) -> int:
    value = message.get("min-se")
    return MIN_SE_S if value is None else max(MIN_SE_S, parse_number(Valued.parse(value).value, 2**32, "Min-SE"))
