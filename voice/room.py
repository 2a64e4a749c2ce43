"""How much more a caller may have at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Room:
    """One limit on what is under way together, and what is left of it."""

    limit: int
    remaining: int
    """Never below 0; also 0 while nobody is let in."""

    @classmethod
    def of(cls, limit: int, taken: int) -> "Room":
        """Return the room that `taken` leaves."""
        return cls(limit, max(0, limit - taken))

    def or_tighter(self, other: "Room") -> "Room":
        """Return the one that is used up first."""
        return other if other.remaining <= self.remaining else self
