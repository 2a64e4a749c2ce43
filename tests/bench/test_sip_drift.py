"""A phone whose clock runs wrong, for as long as a call lasts."""

import pytest

from bench.sip_drift import call


@pytest.mark.parametrize("ppm", [300.0, -300.0])
def test_clock_drift_costs_neither_gap_nor_delay(ppm: float) -> None:
    minutes = call(ppm, 5, 8.0)
    assert minutes[-1][1] == minutes[0][1]  # no concealment since the first minute
    assert minutes[-1][0] < minutes[0][0] + 0.5  # packets that wait
    assert abs(minutes[-1][2]) == pytest.approx(5 * 60_000 * 300e-6, abs=40)  # what was put in or taken out
