"""The decorator: its two forms, its options, and that the function stays a function."""

import functools
from typing import Any

import pytest

from tools import Tool, ToolDefinitionError, tool
from voice.tooling import ToolSpec


@tool
def add(first: int, second: int = 1) -> int:
    """Add two numbers."""
    return first + second


@tool(name="weather-now", description="Say how it is outside.", on_interrupt="cancel", timeout_s=3)
async def weather(city: str) -> str:
    """Not this."""
    return f"Sunny in {city}."


async def test_a_decorated_function_stays_callable() -> None:
    assert add(2) == 3
    assert add(first=2, second=5) == 7
    assert await weather("Rome") == "Sunny in Rome."
    assert vars(add)["__name__"] == "add"
    assert add.__doc__ == "Add two numbers."


def test_the_bare_form_has_the_defaults() -> None:
    assert (add.name, add.timeout_s, add.on_interrupt, add.max_output_bytes) == ("add", 20.0, "finish", 16 * 1024)
    assert add.max_concurrent is None
    assert not add.is_async


def test_options_reach_the_spec() -> None:
    assert weather.is_async
    assert weather.timeout_s == 3
    assert weather.spec("house") == ToolSpec(
        "weather-now", "Say how it is outside.", weather.parameters.schema, "house", "cancel"
    )


def test_a_bound_method_and_a_partial_can_be_tools() -> None:
    class Book:
        def note(self, text: str) -> str:
            """Note something."""
            return text

    assert tool(Book().note)("x") == "x"
    assert tool(functools.partial(add.function, first=2)).name == "add"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"on_interrupt": "stop"}, "'finish' or 'cancel'"),
        ({"max_output_bytes": 10}, "at least 256"),
        ({"max_concurrent": 0}, "at least 1"),
        ({"name": "has space"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ToolDefinitionError, match=words):
        tool(**options)(add.function)


def generates() -> Any:
    yield 1


async def generates_async() -> Any:
    yield 1


@pytest.mark.parametrize("thing", [generates, generates_async, int, Tool, add, staticmethod(add.function), 5])
def test_what_is_no_function_is_refused(thing: Any) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(thing)
