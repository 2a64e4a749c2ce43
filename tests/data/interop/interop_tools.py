"""Tools of the service, as the interop tests want them: quick, slow, and bad in every way."""

import asyncio
from typing import Literal

from tools import tool

Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


@tool
def opening_hours(day: Day) -> str:
    """Look up the opening hours of a day.

    Args:
        day: Day of the week.
    """
    return f"On {day} from five to eleven in the evening."


@tool
async def slow_kitchen(dish: str) -> str:
    """Ask the kitchen about a dish; takes three seconds.

    Args:
        dish: Its name.
    """
    await asyncio.sleep(3)
    return f"The {dish} is made with butter."


@tool
async def broken() -> str:
    """Fail."""
    raise RuntimeError("the till is on fire")


@tool(timeout_s=1)
async def endless() -> str:
    """Never return."""
    await asyncio.Event().wait()
    return ""


@tool
def enormous() -> str:
    """Return a megabyte."""
    return "x" * 1_000_000
