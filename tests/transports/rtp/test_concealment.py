import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.rtp.concealment import Concealer
from transports.rtp.time_scale import best_lag, shrink, stretch


def voice(milliseconds: int, hz: float = 150.0, start: int = 0) -> bytes:
    """A buzz with harmonics, as a vowel has them."""
    t = (np.arange(milliseconds * 24) + start) / 24_000
    wave = np.sum([np.sin(2 * np.pi * hz * n * t) / n for n in range(1, 12)], axis=0)
    pcm: bytes = (6000 * wave).astype("<i2").tobytes()
    return pcm


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(float)


def heard(concealer: Concealer, pcm: bytes) -> None:
    for at in range(0, len(pcm), 960):
        assert concealer.receive(pcm[at : at + 960]) == pcm[at : at + 960]


@pytest.mark.parametrize("hz", [90.0, 150.0, 240.0])
def test_a_lost_frame_goes_on_with_the_waveform(hz: float) -> None:
    concealer, whole = Concealer(), voice(100, hz)
    heard(concealer, whole[: 960 * 4])
    invented = samples(concealer.conceal(480))
    wanted = samples(whole[960 * 4 :])
    assert np.corrcoef(invented[:240], wanted[:240])[0, 1] > 0.95
    assert np.corrcoef(invented, wanted)[0, 1] > 0.85


def test_concealment_fades_to_silence_within_60_ms() -> None:
    concealer = Concealer()
    heard(concealer, voice(80))
    levels = [np.sqrt(np.mean(samples(concealer.conceal(480)) ** 2)) for _ in range(5)]
    assert levels[0] > levels[1] > levels[2]
    assert levels[3] == levels[4] == 0


def test_neither_end_of_a_concealment_clicks() -> None:
    whole = voice(200)
    concealer = Concealer()
    heard(concealer, whole[: 960 * 5])
    sound = whole[: 960 * 5] + concealer.conceal(480) + concealer.receive(whole[960 * 6 : 960 * 7])
    usual = np.abs(np.diff(samples(whole))).max()
    assert np.abs(np.diff(samples(sound))).max() < 1.4 * usual


def test_with_nothing_heard_before_silence_is_invented() -> None:
    assert Concealer().conceal(480) == bytes(960)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 700)), max_size=30), st.integers(0, 2**32))
def test_any_mix_of_good_and_lost_runs_keeps_every_length(runs: list[tuple[bool, int]], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-32768, 32767, 800, dtype=np.int16).astype("<i2").tobytes()
    concealer = Concealer()
    for is_good, count in runs:
        got = concealer.receive(noise[: 2 * count]) if is_good else concealer.conceal(count)
        assert len(got) == 2 * count


def test_the_lag_of_a_voice_is_a_multiple_of_its_period() -> None:
    lag = best_lag(np.frombuffer(voice(40, 200.0), "<i2"))
    assert lag % 120 == pytest.approx(0, abs=3)


@pytest.mark.parametrize("scale", [shrink, stretch])
def test_time_scaling_changes_a_frame_by_one_period_without_a_click(scale) -> None:
    whole = voice(60)
    frame = whole[960:1920]
    scaled = scale(frame)
    change_ms = (len(scaled) - len(frame)) / 48
    assert 2.4 <= abs(change_ms) <= 10.1
    assert (change_ms > 0) is (scale is stretch)
    joined = samples(whole[:960] + scaled + whole[1920:])
    assert np.abs(np.diff(joined)).max() < 1.3 * np.abs(np.diff(samples(whole))).max()


def test_time_scaling_takes_silence_and_leaves_short_frames() -> None:
    assert len(shrink(bytes(960))) < 960 < len(stretch(bytes(960)))
    assert shrink(bytes(480)) == stretch(bytes(480)) == bytes(480)
