import pytest

from transports.rtp.rtcp import ReceiverReport, ReportBlock, middle_bits, ntp_time
from transports.rtp.statistics import ReceptionStatistics, SendingStatistics, estimate_mos


def receive(statistics: ReceptionStatistics, numbers: list[int], start_s: float = 0.0) -> None:
    for number in numbers:
        statistics.receive(number & 0xFFFF, (number * 160) & 0xFFFF_FFFF, 160, start_s + number * 0.02)


def test_losses_are_counted_over_the_wrap_of_sequence_numbers() -> None:
    statistics = ReceptionStatistics(1, 8000)
    receive(statistics, [number for number in range(65_500, 65_600) if number % 10])
    assert statistics.expected_packets == 99  # the first one, 65 500, never came
    assert statistics.lost_packets == 9
    assert statistics.report_block(10.0).highest_sequence == 65_599


def test_the_fraction_lost_counts_from_report_to_report() -> None:
    statistics = ReceptionStatistics(1, 8000)
    receive(statistics, list(range(100)))
    assert statistics.report_block(2.0).fraction_lost == 0
    receive(statistics, list(range(100, 200, 2)))
    block = statistics.report_block(4.0)
    assert block.fraction_lost == pytest.approx(0.5, abs=0.02)
    assert block.lost_packets == 49


def test_a_steady_stream_has_no_jitter_and_an_uneven_one_has() -> None:
    steady, uneven = ReceptionStatistics(1, 8000), ReceptionStatistics(2, 8000)
    for number in range(500):
        steady.receive(number, number * 160, 160, number * 0.02)
        uneven.receive(number, number * 160, 160, number * 0.02 + (0.01 if number % 2 else 0.0))
    assert steady.jitter_ms == pytest.approx(0, abs=1e-6)
    assert uneven.jitter_ms == pytest.approx(10, abs=0.1)


def test_a_source_that_starts_anew_is_not_a_loss_of_thousands() -> None:
    statistics = ReceptionStatistics(1, 8000)
    receive(statistics, list(range(100)))
    receive(statistics, list(range(40_000, 40_100)))
    assert statistics.lost_packets == 0


def test_a_far_report_tells_loss_jitter_and_round_trip() -> None:
    statistics = SendingStatistics(7, 8000)
    statistics.send(1600, 160, 1.0)
    report = statistics.sender_report(1.1, ntp_time(1000.0))
    assert report.rtp_timestamp == 1600 + 800
    block = ReportBlock(7, 0.5, 5, 100, 80, middle_bits(report.ntp_time), 0)
    assert statistics.receive_report(ReceiverReport(9, (block,)), ntp_time(1000.1))
    assert statistics.round_trip_ms == pytest.approx(100, abs=0.1)
    assert (statistics.far_loss, statistics.far_jitter_ms) == (0.5, 10.0)
    assert statistics.far_buffer_ms() == pytest.approx(80, abs=0.2)
    assert not statistics.receive_report(ReceiverReport(9, ()), 0)


def test_quality_falls_with_delay_and_loss_and_stays_in_range() -> None:
    assert estimate_mos(50, 0) == pytest.approx(4.38, abs=0.03)
    assert estimate_mos(50, 0.05) < estimate_mos(50, 0.01) < estimate_mos(50, 0)
    assert estimate_mos(400, 0) < estimate_mos(150, 0)
    assert estimate_mos(5000, 1.0) == 1.0
