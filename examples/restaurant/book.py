"""The restaurant's book of tables: opening hours, seats, and an SQLite file."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

SEATS = 40
LARGEST_PARTY = 8
SITTING = timedelta(hours=2)

EVENING = (time(17), time(21))
SUNDAY = (time(12), time(14))
LAST_TABLES: dict[int, tuple[time, time]] = {1: EVENING, 2: EVENING, 3: EVENING, 4: EVENING, 5: EVENING, 6: SUNDAY}
"""Weekday (Monday is 0) to the first and the last time that a table is given out. Keep facts.md the same."""


class Refused(Exception):
    """The booking cannot be made; the text says why, and what could be done instead."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A table that is taken."""

    name: str
    starts: datetime
    people: int


class Book:
    """Bookings that outlast the process when `path` is a file. May be used from several threads."""

    def __init__(self, path: str = ":memory:", *, now: Callable[[], datetime] = datetime.now) -> None:
        """`now` is the restaurant's local time; tests give their own."""
        self._now = now
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("CREATE TABLE IF NOT EXISTS booking (name TEXT, starts TEXT, people INTEGER)")

    def today(self) -> date:
        """Return the restaurant's date."""
        return self._now().date()

    def reserve(self, name: str, day: date, at: time, people: int) -> Booking:
        """Take a table. Raises: Refused."""
        if people < 1:
            raise Refused("A table is for one person at least.")
        if people > LARGEST_PARTY:
            raise Refused(f"We take up to {LARGEST_PARTY} people by phone; larger parties please write to us.")
        self._check_open(day, at)
        starts = datetime.combine(day, at)
        if starts < self._now():
            raise Refused("That time has already passed.")
        # One writer at a time: two calls must not both see the last free seats.
        with self._lock:
            free = SEATS - self._taken(starts)
            if people > free:
                raise Refused(self._full(starts, people))
            self._database.execute("INSERT INTO booking VALUES (?, ?, ?)", (name, starts.isoformat(), people))
        return Booking(name, starts, people)

    def bookings(self) -> list[Booking]:
        """Return all bookings, the earliest first."""
        with self._lock:
            rows = self._database.execute("SELECT name, starts, people FROM booking ORDER BY starts").fetchall()
        return [Booking(name, datetime.fromisoformat(starts), people) for name, starts, people in rows]

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._database.close()

    def _check_open(self, day: date, at: time) -> None:
        if day.weekday() not in LAST_TABLES:
            raise Refused(f"We are closed on {day:%A}s.")
        first, last = LAST_TABLES[day.weekday()]
        if not first <= at <= last:
            raise Refused(f"On {day:%A}s we give out tables from {spoken(first)} to {spoken(last)}.")

    def _taken(self, starts: datetime) -> int:
        """Return the most seats that are taken at any moment of a sitting from `starts`."""
        rows = self._database.execute(
            "SELECT starts, people FROM booking WHERE starts > ? AND starts < ?",
            ((starts - SITTING).isoformat(), (starts + SITTING).isoformat()),
        ).fetchall()
        others = [(datetime.fromisoformat(begins), people) for begins, people in rows]
        # The number of guests can only rise when somebody arrives, so looking at arrivals is enough.
        moments = [starts] + [begins for begins, _ in others if begins > starts]
        return max(
            sum(int(people) for begins, people in others if begins <= moment < begins + SITTING) for moment in moments
        )

    def _full(self, starts: datetime, people: int) -> str:
        first, last = LAST_TABLES[starts.weekday()]
        moment, free = datetime.combine(starts.date(), first), []
        while moment.time() <= last:
            if moment >= self._now() and SEATS - self._taken(moment) >= people:
                free.append(moment)
            moment += timedelta(minutes=30)
        if not free:
            return f"We are full on {starts:%A}."
        nearest = min(free, key=lambda moment: abs(moment - starts))
        return f"We are full at {spoken(starts.time())}, but {spoken(nearest.time())} is free."


def spoken(moment: time) -> str:
    """Return a time as an agent would say it: "7:30 pm", "noon"."""
    if moment == time(12):
        return "noon"
    minutes = f":{moment.minute:02d}" if moment.minute else ""
    return f"{(moment.hour - 1) % 12 + 1}{minutes} {'pm' if moment.hour >= 12 else 'am'}"
