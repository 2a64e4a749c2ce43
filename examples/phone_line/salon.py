"""What the salon's receptionist can do: say which hours are free, and book one."""

import os
import sqlite3
import threading
from datetime import date, time, timedelta
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from tools import ToolContext, ToolFailed, tool

Day = Literal["today", "tomorrow", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
HOURS = range(9, 18)

OpeningTime = Annotated[time, Field(json_schema_extra={"formatMinimum": "09:00", "formatMaximum": "17:00"})]
"""A time as HH:MM; "two" is 14:00 to a hairdresser."""


class Diary:
    """One chair, one hour a cut. May be used from several threads."""

    def __init__(self, path: str = ":memory:") -> None:
        """`path` is an SQLite file, where bookings are to outlast the process."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS booking (day TEXT, hour INT, name TEXT, phone TEXT, UNIQUE (day, hour))"
        )

    def free(self, day: date) -> list[int]:
        """Return the hours of a day that nobody has."""
        with self._lock:
            rows = self._database.execute("SELECT hour FROM booking WHERE day = ?", (day.isoformat(),)).fetchall()
        taken = {hour for (hour,) in rows}
        return [hour for hour in HOURS if hour not in taken and day.weekday() not in (0, 6)]

    def book(self, day: date, hour: int, name: str, phone: str = "") -> bool:
        """Write an appointment down, with a number to call back; False when somebody else has the hour."""
        with self._lock:
            try:
                self._database.execute("INSERT INTO booking VALUES (?, ?, ?, ?)", (day.isoformat(), hour, name, phone))
            except sqlite3.IntegrityError:
                return False
        return True

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


@cache
def the_diary() -> Diary:
    """Return the diary of this process: the file that SALON_DIARY names, memory otherwise."""
    return Diary(os.environ.get("SALON_DIARY", ":memory:"))


def date_of(day: Day, today: date) -> date:
    """Return the date that a caller means: a weekday is the next one."""
    if day in ("today", "tomorrow"):
        return today + timedelta(days=day == "tomorrow")
    return next(later for later in (today + timedelta(days=ahead) for ahead in range(7)) if f"{later:%A}" == day)


def spoken(hour: int) -> str:
    """Return an hour as people say it."""
    return "noon" if hour == 12 else f"{(hour - 1) % 12 + 1} {'pm' if hour >= 12 else 'am'}"


@tool(timeout_s=5)
def free_hours(day: Day) -> str:
    """Look up which hours are free on a day.

    Args:
        day: The day, as the caller said it.
    """
    hours = the_diary().free(date_of(day, date.today()))
    return f"Free on {day}: {', '.join(map(spoken, hours))}." if hours else f"Nothing is free on {day}."


@tool(timeout_s=5)
def book_appointment(name: str, day: Day, time: OpeningTime, context: ToolContext) -> str:
    """Book a cut, once name, day and time are known.

    Args:
        name: The caller's name.
        day: The day, as the caller said it.
        time: When it begins, HH:MM.
    """
    if not name.strip():
        raise ToolFailed("The name is missing. Ask for it.")
    if time.minute:
        raise ToolFailed("Appointments begin on the hour. Ask for another time.")
    hour = time.hour
    when = date_of(day, date.today())
    free = the_diary().free(when)
    phone = context.phone.caller if context.phone is not None else ""
    if hour not in free or not the_diary().book(when, hour, name.strip(), phone):
        offer = f" Free are {', '.join(map(spoken, free[:3]))}." if free else " Ask for another day."
        raise ToolFailed(f"Not booked: {spoken(hour)} on {day} is not free.{offer}")
    return f"{name.strip()} has an appointment on {when:%A} at {spoken(hour)}."
