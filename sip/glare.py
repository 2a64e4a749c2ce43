"""Collisions of offers (RFC 3261 §14, RFC 3311 §5.2): who is told to wait, and for how long."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Collision:
    """The refusal of an offer that comes at the wrong moment."""

    status: int
    """491 when ours is under way, 500 when theirs is not answered yet."""
    retry_after: bool = False
    """Whether the response carries Retry-After: a random number of seconds from 0 to 10."""


def judge_offer(*, ours_under_way: bool, theirs_unanswered: bool) -> Collision | None:
    """Decide about a re-INVITE or UPDATE with an offer; None lets it pass.

    `ours_under_way`: an INVITE or UPDATE of ours with an offer has no final response (for INVITE: no 2xx or ACK) yet.
    `theirs_unanswered`: an earlier one of theirs has not been answered.
    """
    if theirs_unanswered:
        return Collision(500, retry_after=True)
    return Collision(491) if ours_under_way else None


def glare_delay_s(*, owns_call_id: bool, fraction: float) -> float:
    """Return how long to wait after a 491 before trying again, in steps of 10 ms (§14.1).

    The side that made the Call-ID waits 2.1 to 4 s, the other 0 to 2 s. `fraction` is a random number from 0 to 1.
    """
    low, high = (2.1, 4.0) if owns_call_id else (0.0, 2.0)
    return round(low + (high - low) * fraction, 2)
