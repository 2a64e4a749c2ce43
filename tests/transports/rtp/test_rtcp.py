import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.rtp.rtcp import (
    GENERIC_NACK,
    PAYLOAD_FEEDBACK,
    PICTURE_LOSS,
    TRANSPORT_FEEDBACK,
    Feedback,
    Goodbye,
    ReceiverReport,
    ReportBlock,
    SenderReport,
    SourceDescription,
    middle_bits,
    ntp_time,
    parse_rtcp,
    round_trip_s,
    serialise_rtcp,
)

BLOCK = ReportBlock(5, 0.25, -3, 0x1_0007, 80, 0x1234_5678, 65536)
COMPOUND = (
    SenderReport(1, ntp_time(1_700_000_000.5), 160, 10, 1600, (BLOCK,)),
    SourceDescription(((1, "caller@example.org"), (2, "x"))),
    Feedback(TRANSPORT_FEEDBACK, GENERIC_NACK, 1, 5, b"\0\7\0\0"),
    Feedback(PAYLOAD_FEEDBACK, PICTURE_LOSS, 1, 5),
    ReceiverReport(1, (BLOCK, BLOCK)),
    Goodbye((1, 2), "done"),
)


def test_a_compound_packet_reads_as_it_was_written() -> None:
    assert parse_rtcp(serialise_rtcp(*COMPOUND)) == COMPOUND


@given(st.binary(max_size=200))
def test_reading_never_raises(datagram: bytes) -> None:
    parse_rtcp(datagram)


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, 300))
def test_a_damaged_packet_never_raises(at: int, octet: int, end: int) -> None:
    good = serialise_rtcp(*COMPOUND)
    parse_rtcp((good[:at] + bytes((octet,)) + good[at + 1 :])[:end])


def test_what_stands_before_a_broken_part_is_kept() -> None:
    good = serialise_rtcp(COMPOUND[0])
    assert parse_rtcp(good + b"\x81\xc9\x00\xff") == (COMPOUND[0],)


def test_unknown_types_are_passed_over() -> None:
    report = ReceiverReport(9)
    assert parse_rtcp(b"\x80\xcf\x00\x01abcd" + serialise_rtcp(report)) == (report,)


def test_too_many_blocks_for_one_packet_are_refused() -> None:
    with pytest.raises(ValueError, match="31"):
        serialise_rtcp(ReceiverReport(1, (BLOCK,) * 32))


def test_the_round_trip_is_arrival_less_report_less_delay() -> None:
    sent, arrival = ntp_time(1000.0), ntp_time(1000.350)
    block = ReportBlock(1, 0, 0, 0, 0, middle_bits(sent), int(0.3 * 65536))
    assert round_trip_s(block, arrival) == pytest.approx(0.05, abs=1e-4)


def test_a_peer_whose_clock_runs_fast_has_no_round_trip_of_hours() -> None:
    sent = ntp_time(1000.0)
    block = ReportBlock(1, 0, 0, 0, 0, middle_bits(sent), int(0.4 * 65536))
    assert round_trip_s(block, ntp_time(1000.399)) == 0.0


def test_without_a_sender_report_there_is_no_round_trip() -> None:
    assert round_trip_s(ReportBlock(1, 0, 0, 0, 0), ntp_time(1.0)) is None
