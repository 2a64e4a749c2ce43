import pytest

from voice.engines.clauses import ClauseCutter, ends_sentence


def cut(text: str, *, size: int = 3, early: bool = True) -> list[str]:
    cutter = ClauseCutter(early=early)
    clauses = []
    for start in range(0, len(text), size):
        clauses += cutter.feed(text[start : start + size])
    return clauses + cutter.flush()


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Yes, we are open on Sunday.", ["Yes,", "we are open on Sunday."]),
        ("We are open from noon until ten.", ["We are open", "from noon until ten."]),
        ("Hello! How can I help?", ["Hello!", "How can I help?"]),
        ("It costs 1,250.50 dollars today. Fine.", ["It costs 1,250.50 dollars today.", "Fine."]),
        ("Dr. Lee is here. She waits.", ["Dr. Lee is here.", "She waits."]),
        ("Open at 7:30 a.m. today. Bye.", ["Open at 7:30 a.m. today.", "Bye."]),
        ("Call J. Smith. He knows.", ["Call J. Smith.", "He knows."]),
        ("One two three four five six seven eight nine", ["One two three four five six", "seven eight nine"]),
        ("OK", ["OK"]),
        ("", []),
    ],
)
def test_clauses_end_where_a_speaker_would_pause(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


@pytest.mark.parametrize("size", [1, 2, 5, 17, 1000])
def test_chunking_changes_nothing(size: int) -> None:
    text = "Sure, I can help. We are open from 12:00 to 22:00, except on Mondays; that day, we rest. Is 7.5 fine?"
    assert cut(text, size=size) == cut(text, size=3)
    assert " ".join(cut(text, size=size)) == text


def test_the_first_clause_ends_before_a_word_that_opens_a_phrase() -> None:
    cutter = ClauseCutter()
    assert cutter.feed("There is free parking behind ") == ["There is free parking"]


def test_without_hurry_whole_sentences_come() -> None:
    assert cut("Yes, we are. Come in.", early=False) == ["Yes, we are.", "Come in."]


def test_a_comma_in_a_short_later_clause_does_not_cut() -> None:
    assert cut("Yes. Tea, milk and honey.")[1:] == ["Tea, milk and honey."]


@pytest.mark.parametrize(
    ("word", "ends"), [("end.", True), ("Mr.", False), ("e.g.", False), ("7.", False), ("I.", True)]
)
def test_abbreviations_and_list_numbers_end_no_sentence(word: str, ends: bool) -> None:
    assert ends_sentence(word) is ends
