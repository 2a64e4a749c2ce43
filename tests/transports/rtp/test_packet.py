from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transports.rtp.packet import (
    Datagram,
    RtpPacket,
    classify,
    header_extensions,
    parse_rtp,
    sequence_delta,
    serialise_extensions,
    serialise_rtp,
    timestamp_delta,
)

PLAIN = RtpPacket(0, 7, 160, 0xDEADBEEF, b"\xff" * 160, True)


def test_a_packet_reads_as_it_was_written() -> None:
    assert parse_rtp(serialise_rtp(PLAIN)) == PLAIN
    assert serialise_rtp(PLAIN)[:12].hex() == "80800007000000a0deadbeef"


@given(
    st.integers(0, 127), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.binary(max_size=200), st.booleans(),
    st.lists(st.integers(0, 2**32 - 1), max_size=15), st.integers(1, 65535), st.binary(max_size=40),
)  # fmt: skip
def test_any_packet_reads_as_it_was_written(kind, sequence, timestamp, payload, marker, csrcs, profile, data) -> None:
    extension = data[: len(data) // 4 * 4]
    packet = RtpPacket(kind, sequence, timestamp, 1, payload, marker, tuple(csrcs), profile, extension)
    assert parse_rtp(serialise_rtp(packet)) == packet


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda rest: b"\xbf" + rest))
def test_reading_never_raises(datagram: bytes) -> None:
    packet = parse_rtp(datagram)
    classify(datagram)
    if packet is not None:
        assert len(packet.payload) <= len(datagram) - 12
        header_extensions(packet)


def test_padding_is_taken_off() -> None:
    padded = b"\xa0" + serialise_rtp(PLAIN._replace(payload=b"abc"))[1:] + b"\0\0\3"
    packet = parse_rtp(padded)
    assert packet is not None
    assert packet.payload == b"abc"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(20),  # version 1
        b"\x8f" + bytes(20),  # 15 CSRCs that are not there
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x05" + bytes(8),  # an extension longer than the packet
        b"\xa0" + bytes(11),  # padding of nothing
        b"\xa0" + bytes(11) + b"abc\x09",  # more padding than payload
        b"\x80" + bytes(3000),
    ],
)
def test_what_is_no_packet_is_none(datagram: bytes) -> None:
    assert parse_rtp(datagram) is None


@pytest.mark.parametrize("elements", [{1: b"\x85", 3: b"abc"}, {1: b"", 200: bytes(30)}, {}])
def test_header_extensions_read_as_they_were_written(elements: dict[int, bytes]) -> None:
    profile, data = serialise_extensions(elements)
    assert header_extensions(PLAIN._replace(extension_profile=profile, extension=data)) == elements


def test_a_cut_extension_element_is_left_out() -> None:
    packet = PLAIN._replace(extension_profile=0xBEDE, extension=b"\x10\x7f\x2f\x00")
    assert header_extensions(packet) == {1: b"\x7f"}


@pytest.mark.parametrize(("field", "value"), [("payload_type", 128), ("sequence", 65536), ("extension", b"abc")])
def test_a_field_out_of_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"at most|range|within"):
        serialise_rtp(PLAIN._replace(**{field: value}))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x00\x01", Datagram.STUN),
        (b"\x16\xfe", Datagram.DTLS),
        (b"\x40\x00", Datagram.TURN_CHANNEL),
        (b"\x80\x00", Datagram.RTP),
        (b"\x80\xe0", Datagram.RTP),  # marker and PT 96
        (b"\x80\xc8", Datagram.RTCP),
        (b"\x81\xce", Datagram.RTCP),
        (b"\xff\xff", Datagram.UNKNOWN),
        (b"\x80", Datagram.UNKNOWN),
    ],
)
def test_datagrams_on_one_port_are_told_apart_by_their_head(head: bytes, kind: Datagram) -> None:
    assert classify(head) is kind


def test_deltas_go_the_shorter_way_round() -> None:
    assert sequence_delta(2, 65534) == 4
    assert sequence_delta(65534, 2) == -4
    assert timestamp_delta(100, 2**32 - 60) == 160
