"""What was heard of an answer: from played milliseconds to words."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from voice.audio.frames import CORE_RATE_HZ
from voice.session.playback import SpokenPart, heard_words, truncate


def spoken(*clauses: tuple[str, int]) -> SpokenPart:
    part = SpokenPart()
    for text, ms in clauses:
        part.add_text(text)
        part.add_audio(b"\x01\x00" * (ms * CORE_RATE_HZ // 1000))
    return part


@pytest.mark.parametrize(
    ("played_ms", "words"),
    [
        (0, ""),
        (150, ""),
        (200, "the"),
        (600, "the table is"),
        (700, "the table is"),
        (1000, "the table is booked"),
        (1700, "the table is booked for seven"),
        (9999, "the table is booked for seven"),
    ],
)
def test_words_are_heard_clause_by_clause_and_whole(played_ms, words):
    part = spoken(("the table is ", 600), ("booked for ", 700), ("seven", 400)).freeze()
    assert heard_words(part, played_ms) == words


def test_words_without_audio_yet_were_not_heard():
    part = spoken(("One ", 500), ("two", 0)).freeze()
    assert heard_words(part, 400) == ""
    assert heard_words(part, 500) == "One"
    assert heard_words(part, 9000) == "One"
    assert heard_words(spoken(("One", 0)).freeze(), 0) == ""


def test_deltas_before_any_audio_are_one_clause():
    part = SpokenPart()
    for token in ("We ", "open ", "at ", "seven."):
        part.add_text(token)
    part.add_audio(b"\x01\x00" * CORE_RATE_HZ)
    assert part.freeze().clauses == (("We open at seven.", 0),)
    assert heard_words(part.freeze(), 500) == "We open"


def test_a_cut_takes_the_transcript_and_keeps_what_was_heard():
    part = truncate(spoken(("One two ", 1000), ("three", 1000)).freeze(), 1000)
    assert (part.transcript, part.heard, part.words, part.duration_ms) == (None, "One two", "One two", 1000)
    assert len(part.pcm) == 1000 * 48


@given(
    st.lists(st.tuples(st.text("ab ", min_size=1, max_size=12), st.integers(0, 900)), max_size=6),
    st.integers(0, 6000),
    st.integers(0, 6000),
)
def test_hearing_longer_never_loses_words(clauses, one_ms, other_ms):
    part = spoken(*clauses).freeze()
    shorter, longer = sorted((one_ms, other_ms))
    assert heard_words(part, longer).startswith(heard_words(part, shorter))
