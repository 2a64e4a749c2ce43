"""The shipped agent's tools: what they book, and what they refuse in words."""

import json
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path

import pytest

from examples.restaurant import tools as restaurant
from examples.restaurant.book import Book, Refused, spoken
from tools import Dispatcher, ToolContext, ToolResult, load_tools

WEDNESDAY_NOON = datetime(2026, 3, 4, 12, 0)
CONTEXT = ToolContext(session_id="sess_1", agent="receptionist", said="")
FACTS = Path(restaurant.__file__).with_name("facts.md")


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    book = Book(now=lambda: WEDNESDAY_NOON)
    monkeypatch.setattr(restaurant, "the_book", lambda: book)
    monkeypatch.setattr(restaurant, "KITCHEN_S", 0)
    yield book
    book.close()


@pytest.fixture
def dispatcher(book: Book) -> Dispatcher:
    return Dispatcher(load_tools(["examples.restaurant.tools:book_table", "examples.restaurant.tools:ask_kitchen"]))


async def book_table(dispatcher: Dispatcher, **arguments: object) -> ToolResult:
    given = {"name": "Anna", "day": "Friday", "time": "19:30", "people": 4} | arguments
    return await dispatcher.run("book_table", json.dumps(given), CONTEXT)


async def test_a_table_is_booked_and_written_down(dispatcher: Dispatcher, book: Book) -> None:
    assert await book_table(dispatcher) == ToolResult("Anna has a table for 4 people on Friday at 7:30 pm.")
    assert [(one.name, one.starts, one.people) for one in book.bookings()] == [
        ("Anna", datetime(2026, 3, 6, 19, 30), 4)
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"day": "Monday"}, "Not booked. We are closed on Mondays."),
        ({"day": "Sunday"}, "Not booked. On Sundays we give out tables from noon to 2 pm."),
        ({"time": "23:00"}, "Not booked. On Fridays we give out tables from 5 pm to 9 pm."),
        ({"people": 9}, "Not booked. We take up to 8 people by phone; larger parties please write to us."),
        ({"name": " "}, "The name is missing. Ask for it."),
    ],
)
async def test_what_cannot_be_booked_is_refused_in_words(
    dispatcher: Dispatcher, book: Book, arguments: dict[str, object], words: str
) -> None:
    assert await book_table(dispatcher, **arguments) == ToolResult(words, failed=True)
    assert book.bookings() == []


async def test_a_day_that_is_no_day_is_refused_by_the_schema(dispatcher: Dispatcher) -> None:
    assert "'day': input should be 'today'" in (await book_table(dispatcher, day="someday")).output


async def test_a_full_house_offers_another_time(dispatcher: Dispatcher) -> None:
    for _ in range(5):
        assert not (await book_table(dispatcher, people=8, time="19:00")).failed
    full = await book_table(dispatcher, people=2, time="20:00")
    assert full == ToolResult("Not booked. We are full at 8 pm, but 9 pm is free.", failed=True)
    assert not (await book_table(dispatcher, people=2, time="21:00")).failed


@pytest.mark.parametrize(
    ("allergen", "answer"),
    [("celery", "Yes, the mushroom risotto contains celery."), ("nuts", "No, the mushroom risotto is without nuts.")],
)
async def test_the_kitchen_says_what_is_in_a_dish(dispatcher: Dispatcher, allergen: str, answer: str) -> None:
    arguments = json.dumps({"dish": "mushroom risotto", "allergen": allergen})
    assert (await dispatcher.run("ask_kitchen", arguments, CONTEXT)).output == answer


async def test_the_kitchen_does_not_know_every_dish(dispatcher: Dispatcher) -> None:
    assert (await dispatcher.run("ask_kitchen", '{"dish": "pizza", "allergen": "nuts"}', CONTEXT)).failed


def test_the_book_outlasts_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "book.sqlite3")
    first = Book(path, now=lambda: WEDNESDAY_NOON)
    first.reserve("Anna", date(2026, 3, 6), time(19), 2)
    first.close()
    second = Book(path, now=lambda: WEDNESDAY_NOON)
    assert [one.name for one in second.bookings()] == ["Anna"]
    second.close()


def test_a_time_that_has_passed_is_refused() -> None:
    book = Book(now=lambda: datetime(2026, 3, 4, 20, 0))
    with pytest.raises(Refused, match="passed"):
        book.reserve("Anna", date(2026, 3, 4), time(19), 2)
    book.close()


@pytest.mark.parametrize(
    ("day", "expected"),
    [("today", 4), ("tomorrow", 5), ("Wednesday", 4), ("Friday", 6), ("Tuesday", 10)],
)
def test_a_weekday_is_the_next_one(day: restaurant.Day, expected: int) -> None:
    assert restaurant.date_of(day, WEDNESDAY_NOON.date()).day == expected


def test_times_are_spoken_briefly() -> None:
    assert [spoken(time(12)), spoken(time(19, 30)), spoken(time(21))] == ["noon", "7:30 pm", "9 pm"]


def test_the_page_of_facts_is_short_and_names_every_dish() -> None:
    facts = FACTS.read_text().lower()
    assert len(facts.split()) < 350
    assert [dish for dish in restaurant.CONTAINS if dish not in facts] == []
