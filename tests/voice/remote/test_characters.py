"""Characters that a server cut in two."""

import pytest

from voice.remote.characters import Characters


@pytest.mark.parametrize(
    ("deltas", "whole"),
    [
        (["Hello", " there."], "Hello there."),
        (["Fine \ud83d", "\ude00 thanks."], "Fine 😀 thanks."),
        (["\ud83d", "", "\ude00"], "😀"),
        (["Fine \ud83d thanks."], "Fine � thanks."),
        (["Fine \ud83d", "thanks."], "Fine �thanks."),
        (["\ude00 late"], "� late"),
    ],
)
def test_what_was_cut_is_whole_again_and_can_be_written(deltas: list[str], whole: str) -> None:
    characters = Characters()
    given = [characters.feed(delta) for delta in deltas]
    assert "".join(given) == whole
    assert all(text.encode() or not text for text in given)


def test_a_half_at_the_very_end_is_not_said() -> None:
    characters = Characters()
    assert characters.feed("Bye \ud83d") == "Bye "
