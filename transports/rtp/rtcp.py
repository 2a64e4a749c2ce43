"""RTCP (RFC 3550 §6) and the feedback of RFC 4585, as far as an audio leg needs it.

Reading is lenient and bounded: a compound packet yields what stands before its first broken part, unknown types are
left out, nothing raises. Times are NTP format: seconds since 1900 in the upper, fraction in the lower 32 bits.
"""

import struct
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION, GOODBYE, APPLICATION = 200, 201, 202, 203, 204
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206
GENERIC_NACK, PICTURE_LOSS = 1, 1
"""Formats of the two kinds of feedback (RFC 4585 §6)."""

CNAME = 1
NTP_UNIX_OFFSET_S = 2_208_988_800
_MAX_PACKETS = 32  # in one datagram of 1500 bytes an honest sender puts three or four
_MAX_ITEMS = 32
_MAX_LOST = 0x7FFFFF

_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says about one stream (RFC 3550 §6.4.1)."""

    ssrc: int
    """Of the stream that is reported on."""
    fraction_lost: float
    """Since the last report, 0…1 in steps of 1/256."""
    lost_packets: int
    """Since the beginning; negative where duplicates outweigh losses."""
    highest_sequence: int
    """Extended by the count of wraps, 32 bits."""
    jitter: int
    """Interarrival jitter in clock units."""
    last_report: int = 0
    """Middle 32 bits of the NTP time of the last sender report that came, 0 for none."""
    delay_since_last_report: int = 0
    """Units of 1/65536 s between that report's arrival and this one's sending."""


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What a sender says about itself and about what it receives."""

    ssrc: int
    ntp_time: int
    """64 bits, see above."""
    rtp_timestamp: int
    """The same moment on the stream's clock."""
    sent_packets: int
    sent_bytes: int
    """Payload only."""
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """What someone says who sends nothing itself."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """Names of sources; of the items only CNAME is kept."""

    cnames: tuple[tuple[int, str], ...]
    """SSRC and canonical name."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Those sources are gone."""

    ssrcs: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """NACK, PLI and relatives. Audio answers none of them; they are counted."""

    packet_type: int
    """`TRANSPORT_FEEDBACK` or `PAYLOAD_FEEDBACK`."""
    format: int
    sender_ssrc: int
    media_ssrc: int
    control: bytes = b""
    """Feedback control information, not interpreted."""


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Goodbye | Feedback


def ntp_time(unix_s: float) -> int:
    """Return a wall clock time as 64 bits of NTP format."""
    return int((unix_s + NTP_UNIX_OFFSET_S) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def middle_bits(ntp: int) -> int:
    """Return the middle 32 bits of an NTP time: units of 1/65536 s, as report blocks use."""
    return ntp >> 16 & 0xFFFF_FFFF


def round_trip_s(block: ReportBlock, arrival_ntp: int) -> float | None:
    """Return the round trip that a report block on our own stream tells (RFC 3550 §6.4.1); None where it tells none."""
    if not block.last_report:
        return None
    elapsed = (middle_bits(arrival_ntp) - block.last_report - block.delay_since_last_report) & 0xFFFF_FFFF
    # A peer whose clock runs a little fast comes out just below zero, which wraps to 18 hours.
    return elapsed / 65536 if elapsed < 1 << 31 else 0.0


def parse_rtcp(datagram: bytes) -> tuple[RtcpPacket, ...]:
    """Read a compound packet, a reduced-size one too (RFC 5506). Never raises."""
    packets: list[RtcpPacket] = []
    at = 0
    for _ in range(_MAX_PACKETS):
        if at + 4 > len(datagram):
            break
        flags, kind, words = _HEADER.unpack_from(datagram, at)
        end = at + 4 + 4 * words
        if flags >> 6 != 2 or end > len(datagram):
            break
        body = datagram[at + 4 : end]
        if flags & 0x20:  # padding; only the last of a compound has it
            if not body or not 0 < body[-1] <= len(body):
                break
            body = body[: -body[-1]]
        packet = _parse_body(kind, flags & 0x1F, body)
        if packet is not None:
            packets.append(packet)
        at = end
    return tuple(packets)


def _parse_body(kind: int, count: int, body: bytes) -> RtcpPacket | None:
    """Read one packet behind its header word; None for what is cut short or unknown."""
    if kind == SENDER_REPORT and len(body) >= _SENDER.size:
        ssrc, ntp, timestamp, sent_packets, sent_bytes = _SENDER.unpack_from(body)
        blocks = _parse_blocks(body[_SENDER.size :], count)
        return SenderReport(ssrc, ntp, timestamp, sent_packets, sent_bytes, blocks)
    if kind == SOURCE_DESCRIPTION:
        return SourceDescription(_parse_cnames(body, count))
    if kind == GOODBYE:
        return _parse_goodbye(body, count)
    if kind == RECEIVER_REPORT and len(body) >= 4:
        return ReceiverReport(int.from_bytes(body[:4]), _parse_blocks(body[4:], count))
    if kind in (TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK) and len(body) >= 8:
        return Feedback(kind, count, int.from_bytes(body[:4]), int.from_bytes(body[4:8]), body[8:])
    return None


def _parse_blocks(body: bytes, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for index in range(min(count, len(body) // _BLOCK.size)):
        ssrc, loss, highest, jitter, last, delay = _BLOCK.unpack_from(body, index * _BLOCK.size)
        lost = loss & 0xFFFFFF
        blocks.append(ReportBlock(ssrc, (loss >> 24) / 256, lost - (lost >> 23 << 24), highest, jitter, last, delay))
    return tuple(blocks)


def _parse_cnames(body: bytes, count: int) -> tuple[tuple[int, str], ...]:
    names: list[tuple[int, str]] = []
    at = 0
    for _ in range(count):
        if at + 4 > len(body):
            break
        ssrc, at = int.from_bytes(body[at : at + 4]), at + 4
        for _ in range(_MAX_ITEMS):
            if at >= len(body) or body[at] == 0:
                break
            if at + 2 > len(body) or at + 2 + body[at + 1] > len(body):
                return tuple(names)
            text = body[at + 2 : at + 2 + body[at + 1]]
            if body[at] == CNAME:
                names.append((ssrc, text.decode("utf-8", "replace")))
            at += 2 + len(text)
        at += 4 - at % 4  # one to four nulls end a chunk on a word boundary
    return tuple(names)


def _parse_goodbye(body: bytes, count: int) -> Goodbye:
    count = min(count, len(body) // 4)
    ssrcs = struct.unpack_from(f"!{count}I", body)
    rest = body[4 * count :]
    reason = rest[1 : 1 + rest[0]] if rest else b""
    return Goodbye(ssrcs, reason.decode("utf-8", "replace"))


def serialise_rtcp(*packets: RtcpPacket) -> bytes:
    """Write a compound packet. A report goes first and a CNAME comes with it (RFC 3550 §6.1): the caller's duty."""
    return b"".join(_serialise_one(packet) for packet in packets)


def _serialise_one(packet: RtcpPacket) -> bytes:
    match packet:
        case SenderReport():
            head = _SENDER.pack(
                packet.ssrc,
                packet.ntp_time,
                packet.rtp_timestamp & 0xFFFF_FFFF,
                packet.sent_packets & 0xFFFF_FFFF,
                packet.sent_bytes & 0xFFFF_FFFF,
            )
            return _frame(SENDER_REPORT, len(packet.blocks), head + _serialise_blocks(packet.blocks))
        case ReceiverReport():
            body = struct.pack("!I", packet.ssrc) + _serialise_blocks(packet.blocks)
            return _frame(RECEIVER_REPORT, len(packet.blocks), body)
        case SourceDescription():
            body = b""
            for ssrc, name in packet.cnames:
                text = name.encode()[:255]
                chunk = struct.pack("!IBB", ssrc, CNAME, len(text)) + text
                body += chunk + bytes(4 - len(chunk) % 4)
            return _frame(SOURCE_DESCRIPTION, len(packet.cnames), body)
        case Goodbye():
            reason = packet.reason.encode()[:255]
            body = struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs)
            if reason:
                body += bytes((len(reason),)) + reason + bytes(-(1 + len(reason)) % 4)
            return _frame(GOODBYE, len(packet.ssrcs), body)
        case Feedback():
            body = struct.pack("!II", packet.sender_ssrc, packet.media_ssrc) + packet.control
            return _frame(packet.packet_type, packet.format, body)


def _serialise_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            min(255, max(0, int(block.fraction_lost * 256))) << 24
            | max(-_MAX_LOST, min(_MAX_LOST, block.lost_packets)) & 0xFFFFFF,
            block.highest_sequence & 0xFFFF_FFFF,
            min(block.jitter, 0xFFFF_FFFF),
            block.last_report,
            block.delay_since_last_report & 0xFFFF_FFFF,
        )
        for block in blocks
    )


def _frame(kind: int, count: int, body: bytes) -> bytes:
    """Put the common header before a body. Raises ValueError when it holds too much."""
    if count > 31 or len(body) % 4:
        raise ValueError("at most 31 entries a packet, in whole words")
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
