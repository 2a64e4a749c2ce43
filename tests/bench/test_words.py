"""Word errors are counted on what was said, not on how numbers are written."""

import pytest

from bench.words import normalise, word_errors


@pytest.mark.parametrize(
    ("reference", "transcript", "errors"),
    [
        ("in eighteen thirteen", "In 1813.", 0),
        ("ten of clubs", "10 of clubs", 0),
        ("go forward ten meters", "Go forward 10 metres!", 0),
        ("one oh two", "1 0 2", 0),
        ("one zero nine", "109", 0),
        ("an ill disposed young man", "An ill-disposed young man,", 0),
        ("two hundred and five", "205", 1),
        ("four thousand five hundred", "4,500", 0),
        ("drop the two", "drop two", 1),
        ("drop the two", "drop the red two", 1),
        ("drop the two", "", 3),
    ],
)
def test_errors_are_the_fewest_edits(reference: str, transcript: str, errors: int) -> None:
    assert word_errors(reference, transcript) == errors


def test_a_text_without_numbers_has_one_reading() -> None:
    readings = normalise("Oh, it's the child's dog")
    assert all(reading == ["zero", "its", "the", "childs", "dog"] for reading in readings)
