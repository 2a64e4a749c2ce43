"""Where someone speaks in a recording."""

from collections.abc import Sequence

import numpy as np
import pytest

from voice.audio.passages import find_passages, passages_of
from voice.audio.vad import WINDOW_SAMPLES, Windows

WINDOW_S = 0.032


class LoudnessDetector:
    """Takes whatever is loud for speech."""

    def open_stream(self) -> None:
        return None

    def reset(self, stream: None) -> None:
        pass

    def judge(self, streams: Sequence[None], windows: Windows) -> list[float]:
        return [float(np.abs(window.astype(int)).max() > 1000) for window in windows]


def windows(pattern: str) -> list[bool]:
    return [mark == "#" for mark in pattern]


def test_silence_holds_no_passage() -> None:
    assert passages_of(windows("." * 100), 3.2) == []


def test_a_click_is_no_passage() -> None:
    assert passages_of(windows("....#....."), 0.32) == []


def test_a_passage_keeps_a_margin_within_the_recording() -> None:
    found = passages_of(windows("." * 20 + "#" * 20 + "." * 4), 44 * WINDOW_S)
    assert found == [pytest.approx((20 * WINDOW_S - 0.25, 44 * WINDOW_S))]


def test_a_short_pause_parts_nothing_and_a_long_one_does() -> None:
    assert len(passages_of(windows("#" * 10 + "." * 10 + "#" * 10), 1.0)) == 1
    assert len(passages_of(windows("#" * 10 + "." * 40 + "#" * 10), 2.0)) == 2


def test_passages_are_found_in_samples() -> None:
    quiet, loud = np.zeros(WINDOW_SAMPLES * 40, "<i2"), np.full(WINDOW_SAMPLES * 20 + 7, 9000, "<i2")
    found = find_passages(np.concatenate([quiet, loud]).tobytes(), LoudnessDetector())
    assert found == [pytest.approx((40 * WINDOW_S - 0.25, (60 * WINDOW_SAMPLES + 7) / 16_000))]


def test_an_empty_recording_holds_none() -> None:
    assert find_passages(b"", LoudnessDetector()) == []
