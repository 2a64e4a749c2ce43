import pytest

from voice.engines.stable_prefix import stable_prefix


@pytest.mark.parametrize(
    ("earlier", "later", "stable"),
    [
        ("", "Hello", ""),
        ("Could I book", "Could I book a table", "Could I"),
        ("Could I book a", "Could I book a table for", "Could I book"),
        ("Good I book a", "Could I book a table", ""),
        ("Yes. I am", "Yes, I am here", ""),
    ],
)
def test_words_that_both_have_are_stable_except_the_last(earlier: str, later: str, stable: str) -> None:
    assert stable_prefix(earlier, later) == stable
