"""The stamps by which the relay bench tells how old a frame is."""

import time

import numpy as np
import pybase64

from bench.relay_load import FRAME_CHARS, FRAME_SAMPLES, Ends, _stamped


def heard(audio: str) -> list[float]:
    ends = Ends()
    ends.watching = True
    ages_s: list[float] = []
    ends._take(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}', '"audio":', ages_s)
    return ages_s


def test_frames_that_come_in_one_event_are_all_told() -> None:
    frame = _stamped(np.zeros(FRAME_SAMPLES, "<i2"))
    assert len(frame) == FRAME_CHARS
    ages_s = heard(frame * 3)
    assert len(ages_s) == 3
    assert all(0 <= age_s < 60 for age_s in ages_s)


def test_a_stamp_takes_no_more_than_the_lowest_bits_of_speech() -> None:
    speech = np.full(FRAME_SAMPLES, 1000, "<i2")
    stamped = np.frombuffer(pybase64.b64decode(_stamped(speech)), "<i2")
    assert np.abs(stamped - speech).max() <= 1


def test_audio_without_stamps_says_nothing() -> None:
    noise = np.full(FRAME_SAMPLES, 77, "<i2")
    assert heard(pybase64.b64encode_as_string(noise.tobytes())) == []


def test_the_clock_of_the_stamps_is_the_monotonic_one() -> None:
    before_s = time.monotonic()
    (age_s,) = heard(_stamped(np.zeros(FRAME_SAMPLES, "<i2")))
    assert age_s <= time.monotonic() - before_s
