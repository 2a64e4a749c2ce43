"""What the restaurant's receptionist can do: book a table, and ask the kitchen about a dish."""

import asyncio
import difflib
import os
from datetime import date, timedelta
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from examples.restaurant.book import Book, Refused, spoken
from examples.restaurant.spoken_time import read_times
from tools import ToolFailed, tool

Day = Literal["today", "tomorrow", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

KITCHEN_S = 3.0
"""How long the kitchen takes to answer."""

ALLERGENS = {
    "tomato soup": "celery",
    "grilled octopus": "molluscs",
    "bread and olives": "gluten",
    "lamb stew": "celery and gluten",
    "sea bass": "fish and butter",
    "mushroom risotto": "milk and celery",
    "lentil curry": "mustard",
    "lemon tart": "gluten, egg and milk",
    "chocolate cake": "egg, milk and hazelnuts",
    "pasta with tomato sauce": "gluten",
}


@cache
def the_book() -> Book:
    """Return the restaurant's book: in memory, or in the file that RESTAURANT_BOOK names."""
    return Book(os.environ.get("RESTAURANT_BOOK", ":memory:"))


@tool(timeout_s=5)
def book_table(name: str, day: Day, time: str, people: Annotated[int, Field(ge=1)]) -> str:
    """Book a table. Call it as soon as the guest has given name, day, time and number of people.

    Args:
        name: The guest's name.
        day: The day, as the guest said it.
        time: The time, as the guest said it.
        people: How many people will come.
    """
    if not name.strip():
        raise ToolFailed("The name is missing. Ask for it.")
    readings = read_times(time)
    if not readings:
        raise ToolFailed(f"'{time}' is not a time of day. Ask for the time again.")
    book = the_book()
    try:
        # The evening reading first: "seven" is 7 pm to a restaurant.
        booking = book.reserve(name.strip(), date_of(day, book.today()), sorted(readings, reverse=True), people)
    except Refused as refusal:
        raise ToolFailed(f"Not booked. {refusal}") from refusal
    guests = "one person" if people == 1 else f"{people} people"
    return f"Booked: {booking.name}, {guests}, {booking.starts:%A} at {spoken(booking.starts.time())}."


@tool(timeout_s=10)
async def ask_kitchen(dish: str) -> str:
    """Ask the kitchen which allergens are in a dish. It takes a few seconds.

    Args:
        dish: The dish, as the guest said it.
    """
    await asyncio.sleep(KITCHEN_S)  # stands for the person in the kitchen who looks it up
    found = find_dish(dish)
    if found is None:
        raise ToolFailed(f"The kitchen has no dish called '{dish}'.")
    return f"The {found} contains {ALLERGENS[found]}. Nothing else that people are commonly allergic to."


def date_of(day: Day, today: date) -> date:
    """Return the date that the guest means: a weekday is the next one, and today's name is today."""
    if day in ("today", "tomorrow"):
        return today + timedelta(days=day == "tomorrow")
    return next(later for later in (today + timedelta(days=ahead) for ahead in range(7)) if f"{later:%A}" == day)


def find_dish(words: str) -> str | None:
    """Return the dish that the words name: "the risotto" is the mushroom risotto. None if no dish is near."""
    said = words.lower().strip(" .?!").removeprefix("the ")
    near = difflib.get_close_matches(said, ALLERGENS, n=1, cutoff=0.75)
    if near:
        return near[0]
    for word in reversed(said.split()):
        near = [dish for dish in ALLERGENS if difflib.get_close_matches(word, dish.split(), n=1, cutoff=0.8)]
        if len(near) == 1:
            return near[0]
    return None
