import pytest

from voice.engines.speakable import SpokenFilter


def spoken(text: str, size: int = 4) -> str:
    out = SpokenFilter()
    said = "".join(out.feed(text[start : start + size]) for start in range(0, len(text), size)) + out.flush()
    return " ".join(said.split())


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Just words.", "Just words."),
        ("This is **very** good.", "This is very good."),
        ("Use `make run` now.", "Use make run now."),
        ("# Menu\n- Soup\n- Bread\n", "Menu. Soup. Bread."),
        ("1. First\n2. Second", "First. Second."),
        ("Look:\n```python\nprint('x')\n```\nDone.", "Look: Done."),
        ("See [our page](https://example.org/x) please.", "See our page please."),
        ("Great 🎉 news", "Great news"),
        ("5 people at 7:30.", "5 people at 7:30."),
        ("a < b and 3 * 4", "a < b and 3 4"),
    ],
)
def test_only_what_can_be_said_is_left(written: str, said: str) -> None:
    for size in (1, 3, 100):
        assert spoken(written, size) == said


def test_plain_words_are_not_held_back() -> None:
    assert SpokenFilter().feed("Hello there") == "Hello there"
