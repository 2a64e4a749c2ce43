"""Noise reduction: quieter pauses, the same speech at the same place, whatever the chunks."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest

from voice.audio.noise import NoiseReducer

Floats = npt.NDArray[np.float64]


def noise(seconds: float, rate_hz: int = 24_000, level: float = 300.0) -> bytes:
    samples = np.random.default_rng(3).normal(0, level, round(seconds * rate_hz))
    return samples.astype("<i2").tobytes()


def syllables(seconds: float, rate_hz: int = 24_000) -> bytes:
    """Harmonics of a gliding pitch, a fifth of a second each, with pauses between: like a voice, and unlike noise."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch_hz = 120 + 60 * np.sin(2 * np.pi * 1.3 * time) + 40 * np.floor(time * 2.5 % 4)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    harmonics = sum(np.sin(n * phase) / n for n in range(1, 12))
    return np.asarray(5000 * harmonics * np.maximum(0, np.sin(2 * np.pi * 2.5 * time))).astype("<i2").tobytes()


def samples(pcm: bytes) -> Floats:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def level_db(pcm: Floats) -> float:
    return float(10 * np.log10(np.mean(pcm**2) + 1e-9))


def run(reducer: NoiseReducer, pcm: bytes, sizes: Iterable[int]) -> bytes:
    out, position = b"", 0
    for size in sizes:
        out += reducer.process(pcm[position : position + 2 * size])
        position += 2 * size
    return out + reducer.process(pcm[position:])


@pytest.mark.parametrize(("level", "at_least_db"), [(1, 5), (2, 9), (3, 13), (4, 16)])
def test_steady_noise_falls_by_its_level(level: int, at_least_db: float) -> None:
    pcm = noise(4)
    cleaned = samples(NoiseReducer(24_000, level).process(pcm))
    assert level_db(samples(pcm)[-24_000:]) - level_db(cleaned[-24_000:]) >= at_least_db


@pytest.mark.parametrize("level", [2, 4])
def test_a_voice_stays_and_keeps_its_place(level: int) -> None:
    pcm = syllables(4)
    reducer = NoiseReducer(24_000, level)
    cleaned = samples(reducer.process(pcm) + reducer.flush())
    heard = samples(pcm)
    assert len(cleaned) == len(heard)
    assert abs(level_db(cleaned) - level_db(heard)) < 3
    match = [np.dot(heard[500:-500], cleaned[500 + lag : len(cleaned) - 500 + lag]) for lag in range(-60, 61)]
    assert abs(int(np.argmax(match)) - 60) <= 3


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 48_000])
def test_every_rate_comes_out_at_24_khz_and_in_full(rate_hz: int) -> None:
    reducer = NoiseReducer(rate_hz, 2)
    out = reducer.process(noise(1.5, rate_hz)) + reducer.flush()
    assert len(out) == 2 * 36_000
    assert reducer.delay_ms < 15


@pytest.mark.parametrize("sizes", [[1] * 700, [0, 7, 239, 241, 5000, 3], [480] * 40, [24_000]])
def test_the_chunks_make_no_difference(sizes: list[int]) -> None:
    pcm = noise(1.2)
    whole, cut = NoiseReducer(24_000, 3), NoiseReducer(24_000, 3)
    assert run(cut, pcm, sizes) + cut.flush() == whole.process(pcm) + whole.flush()


def test_no_more_than_19_ms_are_held_back() -> None:
    reducer, pcm = NoiseReducer(24_000, 2), noise(1)
    given = 0
    for start in range(0, len(pcm), 166):
        given += len(reducer.process(pcm[start : start + 166]))
        assert start + 166 - given <= 2 * 24 * 19.5


def test_after_a_flush_it_goes_on_with_what_it_knows_of_the_noise() -> None:
    reducer, pcm = NoiseReducer(24_000, 4), noise(3)
    before = reducer.process(pcm) + reducer.flush()
    after = reducer.process(pcm[: 2 * 4800]) + reducer.flush()
    assert (len(before), len(after)) == (len(pcm), 2 * 4800)
    assert level_db(samples(pcm)) - level_db(samples(after)[1000:]) > 12


def test_nothing_in_is_nothing_out() -> None:
    reducer = NoiseReducer(24_000, 1)
    assert reducer.process(b"") + reducer.flush() == b""


@pytest.mark.parametrize("level", [0, 5])
def test_other_levels_are_refused(level: int) -> None:
    with pytest.raises(ValueError, match="levels 1 to 4"):
        NoiseReducer(24_000, level)
