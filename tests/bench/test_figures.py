"""What the benches compute from what they saw."""

import math

import numpy as np
import pytest

from bench.harness import louder_by, percentile, silence
from bench.load import Tally, lateness_s
from voice.talk.recording import from_samples


def test_percentiles_are_values_that_were_seen() -> None:
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert percentile(values, 0.5) == 3.0
    assert percentile(values, 0.95) == 5.0
    assert percentile(values, 0.0) == 1.0
    assert math.isnan(percentile([], 0.5))


def test_reply_frames_are_late_against_the_grid_of_their_earliest() -> None:
    tally = Tally(arrivals={"r1": [1.005, 1.100, 1.205, 1.300]})
    assert lateness_s(tally, 0, 10) == pytest.approx([0.005, 0.0, 0.005, 0.0])


def test_what_was_made_before_the_turn_was_decided_is_due_with_the_response() -> None:
    tally = Tally(arrivals={"r1": [1.001, 1.002, 1.003, 1.103]}, created_s={"r1": 1.0})
    assert lateness_s(tally, 0, 10) == pytest.approx([0.001, 0.002, 0.0, 0.0])


def test_frames_outside_the_watched_time_do_not_count() -> None:
    tally = Tally(arrivals={"r1": [1.0, 1.5, 2.0]})
    assert len(lateness_s(tally, 1.2, 1.8)) == 1


def test_background_comes_at_the_ratio_asked_for() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(24_000) / 24_000)
    clean = from_samples("tone", tone)
    noisy = louder_by(clean, np.random.default_rng(1).normal(0, 1, 24_000), 20)
    noise = (np.frombuffer(noisy.pcm, "<i2") - np.frombuffer(clean.pcm, "<i2").astype(float)) / 2**15
    assert 20 * math.log10(float(np.std(tone)) / float(np.std(noise))) == pytest.approx(20, abs=0.3)
    assert silence(100).duration_ms == 100
