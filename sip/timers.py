"""Timer values of RFC 3261 (table 4 of annex A, amended by RFC 6026), in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timers:
    """The base values; the lettered timers follow from them.

    A slower network is met by a larger `t1_s`, a test by nothing at all: time is an argument everywhere.
    """

    t1_s: float = 0.5
    """Estimate of the round trip."""
    t2_s: float = 4.0
    """Longest interval between repeats of non-INVITE requests and of responses to INVITE."""
    t4_s: float = 5.0
    """Longest time a message stays in the network."""
    trying_s: float = 0.2
    """How long a server transaction waits before it says 100 by itself (§17.2.1)."""

    @property
    def give_up_s(self) -> float:
        """64·T1: timers B, F, H, J, L, M."""
        return 64 * self.t1_s

    @property
    def absorb_s(self) -> float:
        """Timer D: at least 32 s, and no less than the peer's timer H."""
        return max(32.0, 64 * self.t1_s)


TIMERS = Timers()
