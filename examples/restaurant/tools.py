"""What the restaurant's receptionist can do: book a table, and ask the kitchen about a dish."""

import asyncio
import os
from datetime import date, time, timedelta
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from examples.restaurant.book import Book, Refused, spoken
from tools import ToolFailed, tool

Day = Literal["today", "tomorrow", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

KITCHEN_S = 3.0
"""How long the kitchen takes to answer."""

Dish = Literal[
    "tomato soup",
    "grilled octopus",
    "bread and olives",
    "lamb stew",
    "sea bass",
    "mushroom risotto",
    "lentil curry",
    "lemon tart",
    "chocolate cake",
    "pasta with tomato sauce",
]

Allergen = Literal["celery", "nuts", "milk", "egg", "gluten", "fish", "molluscs", "mustard"]

CONTAINS: dict[Dish, set[Allergen]] = {
    "tomato soup": {"celery"},
    "grilled octopus": {"molluscs"},
    "bread and olives": {"gluten"},
    "lamb stew": {"celery", "gluten"},
    "sea bass": {"fish", "milk"},
    "mushroom risotto": {"milk", "celery"},
    "lentil curry": {"mustard"},
    "lemon tart": {"gluten", "egg", "milk"},
    "chocolate cake": {"egg", "milk", "nuts"},
    "pasta with tomato sauce": {"gluten"},
}


@cache
def the_book() -> Book:
    """Return the restaurant's book: in memory, or in the file that RESTAURANT_BOOK names."""
    return Book(os.environ.get("RESTAURANT_BOOK", ":memory:"))


EveningTime = Annotated[time, Field(json_schema_extra={"formatMinimum": "12:00", "formatMaximum": "23:30"})]
"""A time as HH:MM; "seven" is 19:00 to a restaurant."""


@tool(timeout_s=5)
def book_table(name: str, day: Day, time: EveningTime, people: Annotated[int, Field(ge=1)]) -> str:
    """Book a table. Call it as soon as the guest has given name, day, time and number of people.

    Args:
        name: The guest's name.
        day: The day, as the guest said it.
        time: The time, HH:MM.
        people: How many people will come.
    """
    if not name.strip():
        raise ToolFailed("The name is missing. Ask for it.")
    book = the_book()
    try:
        booking = book.reserve(name.strip(), date_of(day, book.today()), time, people)
    except Refused as refusal:
        raise ToolFailed(f"Not booked. {refusal}") from refusal
    guests = "one person" if people == 1 else f"{people} people"
    return f"{booking.name} has a table for {guests} on {booking.starts:%A} at {spoken(booking.starts.time())}."


@tool(timeout_s=10)
async def ask_kitchen(dish: Dish, allergen: Allergen) -> str:
    """Ask the kitchen whether an allergen is in a dish. It takes a few seconds.

    Args:
        dish: The dish.
        allergen: What may be in it.
    """
    await asyncio.sleep(KITCHEN_S)  # stands for the person in the kitchen who looks it up
    if allergen in CONTAINS[dish]:
        return f"Yes, the {dish} contains {allergen}."
    return f"No, the {dish} is without {allergen}."


def date_of(day: Day, today: date) -> date:
    """Return the date that the guest means: a weekday is the next one, and today's name is today."""
    if day in ("today", "tomorrow"):
        return today + timedelta(days=day == "tomorrow")
    return next(later for later in (today + timedelta(days=ahead) for ahead in range(7)) if f"{later:%A}" == day)
