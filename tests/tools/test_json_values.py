"""How many values there are in JSON that comes in pieces."""

import json
from typing import Any

import pytest

from tools.json_values import ValueCounter

QUOTED = json.dumps([{"a": 'b"c\\'}] * 3)
CASES: list[tuple[Any, int]] = [
    (7, 0),
    ([], 1),
    ([1, 2, 3], 3),
    ({"a": 1, "b": [{}, {}]}, 6),
    ("[1, 2, {", 0),
    ({"text": 'a "quoted", \\ [word]', "more": "\\"}, 2),
    ({"text": QUOTED}, 1),
    ([json.dumps(QUOTED), "\\\\", '\\"', ",{["], 4),
]


@pytest.mark.parametrize(("value", "count"), CASES)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
def test_the_count_does_not_depend_on_where_the_text_is_cut(value: Any, count: int, size: int) -> None:
    text, counter = json.dumps(value).encode(), ValueCounter()
    for start in range(0, len(text), size):
        counter.feed(text[start : start + size])
    assert counter.values == count


def test_values_of_several_texts_add_up() -> None:
    counter = ValueCounter()
    counter.feed(b'data: {"a": [1, 2]}\n\n')
    counter.feed(b'data: {"b": "x"}\n\n')
    assert counter.values == 4


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 50_000, b'"' * 100_001, b"\\" * 100_001, b'"\\'])
def test_no_text_takes_long(text: bytes) -> None:
    counter = ValueCounter()
    counter.feed(text)
    counter.feed(text)
    assert counter.values == 0
