import numpy as np
import pytest

from voice.audio.levels import SILENCE_DBFS, peak_dbfs, rms_dbfs


def test_a_full_scale_sine_measures_three_db_under_its_peak() -> None:
    sine = np.rint(32767 * np.sin(np.arange(24_000) * 2 * np.pi * 1000 / 24_000)).astype("<i2").tobytes()
    assert rms_dbfs(sine) == pytest.approx(-3.01, abs=0.01)
    assert peak_dbfs(sine) == pytest.approx(0.0, abs=0.01)


def test_the_lowest_sample_is_full_scale() -> None:
    assert peak_dbfs(b"\x00\x80") == 0.0
    assert rms_dbfs(b"\x00\x80") == 0.0


def test_half_the_amplitude_is_six_db_less() -> None:
    assert peak_dbfs(np.array([16384, -3], "<i2").tobytes()) == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("pcm", [b"", bytes(960)])
def test_silence_has_a_finite_level(pcm: bytes) -> None:
    assert rms_dbfs(pcm) == peak_dbfs(pcm) == SILENCE_DBFS
