"""How much of a JSON text is read before it is refused."""

import json
from typing import Any

import pytest

from voice.protocol.client_events import InvalidEvent, SessionUpdate
from voice.protocol.codec import decode_client_event
from voice.protocol.json_reader import MAX_VALUES, UnreadableJson, read_json

MOST: list[Any] = [
    [1] * MAX_VALUES,
    dict.fromkeys(map(str, range(MAX_VALUES))),
    [[[]] * (MAX_VALUES // 2 - 1), [1] * (MAX_VALUES // 2 - 1)],
]


@pytest.mark.parametrize("value", MOST, ids=["list", "object", "nested"])
@pytest.mark.parametrize("encode", [str, str.encode])
def test_as_many_values_as_may_be_are_read_and_no_more(value: Any, encode: Any) -> None:
    assert read_json(encode(json.dumps(value))) == value
    more = {**value, "x": 1} if isinstance(value, dict) else [*value, 1, 1, 1]
    with pytest.raises(UnreadableJson, match=f"more than {MAX_VALUES} values"):
        read_json(encode(json.dumps(more)))


@pytest.mark.parametrize("value", [1, None, "x" * 50_000])
def test_a_value_alone_is_one_value_however_long(value: Any) -> None:
    assert read_json(" " * 50_000 + json.dumps(value)) == value


def test_what_is_far_too_much_is_not_even_parsed() -> None:
    with pytest.raises(UnreadableJson, match="too large"):
        read_json("[" + "1," * (10 * MAX_VALUES + 1))  # it would not be valid, either


@pytest.mark.parametrize(
    ("text", "why"), [("{", "not valid JSON"), ("[" * 100_000, "nested too deep"), ('"\\ud800"', "not valid JSON")]
)
def test_what_is_not_valid_is_refused(text: str, why: str) -> None:
    with pytest.raises(UnreadableJson, match=why):
        read_json(text)


def test_long_prose_is_no_great_number() -> None:
    words = "Well, " * 100_000
    assert isinstance(decode_client_event(update(instructions=words)), SessionUpdate)


def test_an_event_of_unknown_names_is_refused_whole() -> None:
    event = decode_client_event(update(**{f"name{number}": 1 for number in range(MAX_VALUES)}))
    assert isinstance(event, InvalidEvent)
    assert event.message == "The event is too large: it holds more than 20000 values."
    assert event.code == "invalid_json"


def update(**fields: Any) -> str:
    return json.dumps({"type": "session.update", "session": {"type": "realtime", **fields}})
