import itertools
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.audio.resample import DELAY_MS, RATES_HZ, Resampler, RowResampler, filter_bank

PAIRS = list(itertools.permutations(RATES_HZ, 2))
Floats = npt.NDArray[np.float64]


def to_pcm(samples: Floats) -> bytes:
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def from_pcm(pcm: bytes) -> Floats:
    return np.frombuffer(pcm, "<i2").astype(np.float64)


def tone(hz: float, rate_hz: int, seconds: float = 0.5, amplitude: float = 16_000) -> Floats:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def gain_db(hz: float, from_hz: int, to_hz: int) -> float:
    """Level of everything that comes out for a tone of `hz`, beside what went in."""
    put_in = tone(hz, from_hz)
    came_out = from_pcm(Resampler(from_hz, to_hz).process(to_pcm(put_in)))[to_hz // 100 :]
    return float(10 * np.log10((np.mean(came_out**2) + 1e-9) / np.mean(put_in**2)))


def measured_delay_ms(from_hz: int, to_hz: int) -> float:
    """Where the output fits a band-limited pulse best, by cross-correlation on a grid of 1/48 ms."""
    centre_s = 0.05

    def pulse(seconds: Floats) -> Floats:
        width_s = 0.0005
        shape: Floats = 20_000 * np.exp(-(((seconds - centre_s) / width_s) ** 2))
        return shape

    output = from_pcm(Resampler(from_hz, to_hz).process(to_pcm(pulse(np.arange(from_hz // 10) / from_hz))))
    seconds = np.arange(len(output)) / to_hz
    delays_s = np.arange(0, 4 * 48) / 48_000
    fits = [float(np.dot(output, pulse(seconds - delay_s))) for delay_s in delays_s]
    return float(delays_s[int(np.argmax(fits))] * 1000)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_delay_is_at_most_two_milliseconds(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    assert resampler.delay_ms == DELAY_MS <= 2
    assert measured_delay_ms(from_hz, to_hz) == pytest.approx(resampler.delay_ms, abs=0.025)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_the_pass_band_is_flat_up_to_600_hz_under_nyquist(from_hz: int, to_hz: int) -> None:
    edge_hz = min(from_hz, to_hz) / 2 - 600
    gains = [gain_db(hz, from_hz, to_hz) for hz in (50, 300, 1000, edge_hz / 2, edge_hz - 400, edge_hz)]
    assert max(map(abs, gains)) < 0.02


@pytest.mark.parametrize(("from_hz", "to_hz"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_would_alias_is_58_db_down(from_hz: int, to_hz: int) -> None:
    first_hz = to_hz / 2 + 600
    stopped = np.linspace(first_hz, from_hz / 2 - 100, 7)
    assert max(gain_db(hz, from_hz, to_hz) for hz in stopped) < -58


@pytest.mark.parametrize(("from_hz", "to_hz"), [pair for pair in PAIRS if pair[0] < pair[1]])
def test_images_above_the_old_nyquist_are_58_db_down(from_hz: int, to_hz: int) -> None:
    hz = from_hz / 2 - 600
    output = from_pcm(Resampler(from_hz, to_hz).process(to_pcm(tone(hz, from_hz))))[to_hz // 100 :]
    spectrum = np.abs(np.fft.rfft(output * np.blackman(len(output))))
    frequencies = np.fft.rfftfreq(len(output), 1 / to_hz)
    image = spectrum[frequencies > from_hz / 2 + 500].max()
    assert 20 * np.log10(image / spectrum.max()) < -58


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_twenty_milliseconds_in_give_twenty_out_every_time(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    lengths = {len(resampler.process(bytes(from_hz // 50 * 2))) for _ in range(50)}
    assert lengths == {to_hz // 50 * 2}


@settings(max_examples=40, deadline=None)
@given(data=st.data(), pair=st.sampled_from(PAIRS))
def test_the_output_is_the_same_to_the_bit_however_the_input_is_cut(data: st.DataObject, pair: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(-32768, 32768, 3000).astype("<i2").tobytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, 3000), max_size=12)))
    chunked, whole = Resampler(*pair), Resampler(*pair)
    pieces = [noise[2 * start : 2 * end] for start, end in itertools.pairwise([0, *cuts, 3000])]
    output = b"".join(chunked.process(piece) for piece in pieces) + chunked.flush()
    assert output == whole.process(noise) + whole.flush()


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_flush_returns_every_sample_that_went_in(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    samples = from_hz // 1000 * 37 + 5
    put_in = np.full(samples, 8000.0)
    output = from_pcm(resampler.process(to_pcm(put_in)) + resampler.flush())
    assert len(output) == -(-samples * to_hz // from_hz) + round(DELAY_MS * to_hz / 1000)
    assert abs(output.sum() / to_hz - put_in.sum() / from_hz) < 0.01 * put_in.sum() / from_hz
    assert resampler.flush() == Resampler(from_hz, to_hz).flush()


def test_a_flush_without_input_is_only_the_empty_filter() -> None:
    assert Resampler(24_000, 16_000).flush() == bytes(24 * 2)


def test_a_constant_comes_out_as_the_same_constant() -> None:
    for from_hz, to_hz in PAIRS:
        output = from_pcm(Resampler(from_hz, to_hz).process(to_pcm(np.full(from_hz // 10, -12_345.0))))
        assert set(output[to_hz // 200 :]) == {-12_345.0}


def test_overshoot_saturates_and_does_not_wrap() -> None:
    square = np.where(np.arange(4800) // 60 % 2, 32767.0, -32768.0)
    output = from_pcm(Resampler(24_000, 16_000).process(to_pcm(square)))[100:]
    centres = output[20 + 12 :: 40]  # of plateaus: 60 samples in are 40 out
    assert output.max() == 32767
    assert output.min() == -32768
    assert min(abs(centres)) > 30_000


def test_equal_rates_pass_through_without_delay() -> None:
    resampler = Resampler(24_000, 24_000)
    assert resampler.process(b"\1\2\3\4") == b"\1\2\3\4"
    assert resampler.flush() == b""
    assert resampler.delay_ms == 0


def test_a_reset_forgets_the_past() -> None:
    resampler = Resampler(16_000, 24_000)
    resampler.process(to_pcm(tone(440, 16_000, 0.1)) + b"\1\1")
    resampler.reset()
    assert resampler.process(bytes(640)) == bytes(960)


def test_an_hour_of_frames_does_not_grow_memory() -> None:
    resampler = Resampler(24_000, 16_000)
    frame = to_pcm(tone(440, 24_000, 0.02))
    resampler.process(frame)
    tracemalloc.start()
    try:
        for _ in range(500):
            resampler.process(frame)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5000):
            resampler.process(frame)
        assert tracemalloc.get_traced_memory()[0] - before < 1024
    finally:
        tracemalloc.stop()


def test_unknown_rates_and_half_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="44100"):
        Resampler(44_100, 16_000)
    with pytest.raises(ValueError, match="whole number"):
        Resampler(8_000, 16_000).process(b"\0")
    with pytest.raises(ValueError, match="whole number of samples"):
        filter_bank(8_000, 16_000, 3000)


def test_rows_of_many_streams_come_out_as_each_would_alone() -> None:
    rows = RowResampler(24_000, 16_000)
    streams = np.random.default_rng(3).integers(-20_000, 20_000, (5, rows.history + 768)).astype("<i2")
    together = rows.convert(streams)
    assert together.shape == (5, 512)
    assert together.dtype == np.int16
    for row, stream in zip(together, streams, strict=True):
        alone = from_pcm(Resampler(24_000, 16_000).process(stream.tobytes()))[-512:]
        assert np.abs(row - alone).max() <= 1
