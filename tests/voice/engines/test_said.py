import pytest

from voice.engines.said import Said


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a table for four", [4]),
        ("twenty-five minutes", [25]),
        ("one hundred and twenty five dollars", [125]),
        ("1,250 and 3rd", [1250, 3]),
        ("two point five", [2.5]),
        ("two thousand twenty six", [2026]),
        ("a dozen eggs and a couple of rolls", [12, 2]),
        ("twenty twenty", [20, 20]),
        ("nothing here", []),
    ],
)
def test_numbers_are_found_in_words_and_digits(text: str, numbers: list[float]) -> None:
    assert [number.value for number in Said.parse(text).numbers] == numbers


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("on Friday at half past seven", ["19:30", "07:30"]),
        ("on Friday at half-past seven", ["19:30", "07:30"]),
        ("at seven-thirty", ["19:30", "07:30"]),
        ("at eight in the evening", ["20:00"]),
        ("at 8 in the morning", ["08:00"]),
        ("quarter to eight in the morning", ["07:45"]),
        ("at 7:30 pm", ["19:30"]),
        ("7pm", ["19:00"]),
        ("at seven thirty", ["19:30", "07:30"]),
        ("at 19:00", ["19:00"]),
        ("around noon", ["12:00"]),
        ("ten o'clock", ["10:00", "22:00"]),
        ("for two people", []),
        ("about twenty people", []),
    ],
)
def test_times_of_day_are_found_with_both_readings_where_it_was_not_said(text: str, times: list[str]) -> None:
    assert [f"{time.minutes // 60:02}:{time.minutes % 60:02}" for time in Said.parse(text).times] == times


def test_a_number_that_is_a_time_is_marked() -> None:
    assert [(n.value, n.is_time) for n in Said.parse("a table at seven for two").numbers] == [(7, True), (2, False)]


def test_digits_said_one_by_one_are_one_number() -> None:
    assert Said.parse("the order is four two seven one, please").spelled_digits() == ["4271"]


def test_phrases_are_compared_without_capitals_and_punctuation() -> None:
    said = Said.parse("My name is Anna Smith.")
    assert said.contains("anna smith")
    assert not said.contains("anna jones")
    assert not said.contains("")
