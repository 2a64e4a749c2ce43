"""RTP packets (RFC 3550 §5), their header extensions (RFC 8285), and what tells datagrams on one port apart.

Reading is lenient and bounded and never raises: what is no RTP packet is None. Writing is strict.
"""

import struct
from enum import Enum
from typing import NamedTuple

RTP_VERSION = 2
HEADER_BYTES = 12
MAX_PACKET_BYTES = 2048
"""More than any path carries: a longer datagram is not looked at."""

_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
_ONE_BYTE_PROFILE = 0xBEDE
_TWO_BYTE_PROFILE, _TWO_BYTE_MASK = 0x1000, 0xFFF0  # the low four bits are application bits (RFC 8285 §4.3)
_ONE_BYTE_STOP = 15
_MAX_EXTENSIONS = 32


class Datagram(Enum):
    """What arrived on a port that carries several protocols (RFC 7983 §7, RFC 5761 §4)."""

    STUN = "stun"
    DTLS = "dtls"
    TURN_CHANNEL = "turn channel"
    RTP = "rtp"
    RTCP = "rtcp"
    UNKNOWN = "unknown"


def classify(datagram: bytes) -> Datagram:
    """Tell by the first two octets what a datagram is. Looks no further: what is named RTP may still be junk."""
    if len(datagram) < 2:
        return Datagram.UNKNOWN
    first = datagram[0]
    if 128 <= first <= 191:
        # 192…223 in the second octet are RTCP's packet types; as RTP they would be marker + PT 64…95, which no
        # one may negotiate beside rtcp-mux (RFC 5761 §4).
        return Datagram.RTCP if 192 <= datagram[1] <= 223 else Datagram.RTP
    if first <= 3:
        return Datagram.STUN
    if 20 <= first <= 63:
        return Datagram.DTLS
    if 64 <= first <= 79:
        return Datagram.TURN_CHANNEL
    return Datagram.UNKNOWN


class RtpPacket(NamedTuple):
    """One RTP packet, padding removed. A tuple, because one is made fifty times a second for every call."""

    payload_type: int
    """0…127."""
    sequence: int
    """16 bits."""
    timestamp: int
    """32 bits, in units of the payload's clock."""
    ssrc: int
    """32 bits."""
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    """At most 15."""
    extension_profile: int = 0
    """The 16 bits "defined by profile"; 0 with an empty `extension` means that there is none."""
    extension: bytes = b""
    """Header extension as it stands on the wire, whole 32-bit words."""


def parse_rtp(datagram: bytes) -> RtpPacket | None:
    """Read a packet; None for what is none. Never raises."""
    size = len(datagram)
    if not HEADER_BYTES <= size <= MAX_PACKET_BYTES:
        return None
    flags, kind, sequence, timestamp, ssrc = _FIXED.unpack_from(datagram)
    if flags == 0x80:  # no padding, extension or CSRC: every packet of a telephone call
        return RtpPacket(kind & 0x7F, sequence, timestamp, ssrc, datagram[HEADER_BYTES:], kind > 0x7F)
    if flags >> 6 != RTP_VERSION:
        return None
    start = HEADER_BYTES + 4 * (flags & 0x0F)
    if start > size:
        return None
    csrcs = struct.unpack_from(f"!{flags & 0x0F}I", datagram, HEADER_BYTES)
    profile, extension = 0, b""
    if flags & 0x10:
        if start + 4 > size:
            return None
        profile, words = _EXTENSION.unpack_from(datagram, start)
        end = start + 4 + 4 * words
        if end > size:
            return None
        extension, start = datagram[start + 4 : end], end
    if flags & 0x20:
        padding = datagram[-1]
        if not 0 < padding <= size - start:
            return None
        size -= padding
    return RtpPacket(
        kind & 0x7F, sequence, timestamp, ssrc, datagram[start:size], kind > 0x7F, csrcs, profile, extension
    )


def serialise_rtp(packet: RtpPacket) -> bytes:
    """Write a packet, without padding.

    Raises:
        ValueError: a field is out of its range.
    """
    payload_type, sequence, timestamp, ssrc, payload, marker, csrcs, profile, extension = packet
    if not 0 <= payload_type <= 0x7F:
        raise ValueError(f"payload type {payload_type} is not within 0-127")
    if len(csrcs) > 15 or len(extension) % 4 or len(extension) > 4 * 0xFFFF:
        raise ValueError("at most 15 CSRCs, and extensions in whole words")
    has_extension = bool(profile or extension)
    flags = RTP_VERSION << 6 | has_extension << 4 | len(csrcs)
    try:
        head = _FIXED.pack(flags, marker << 7 | payload_type, sequence, timestamp, ssrc)
        if csrcs:
            head += struct.pack(f"!{len(csrcs)}I", *csrcs)
        if has_extension:
            head += _EXTENSION.pack(profile, len(extension) // 4) + extension
    except struct.error as error:
        raise ValueError(f"a header field is out of range: {error}") from error
    return head + payload


def header_extensions(packet: RtpPacket) -> dict[int, bytes]:
    """Return a packet's header extension elements by id (RFC 8285); what is cut or of another profile is left out."""
    profile, data = packet.extension_profile, packet.extension
    if profile == _ONE_BYTE_PROFILE:
        one_byte = True
    elif profile & _TWO_BYTE_MASK == _TWO_BYTE_PROFILE:
        one_byte = False
    else:
        return {}
    elements: dict[int, bytes] = {}
    at = 0
    while at < len(data) and len(elements) < _MAX_EXTENSIONS:
        if data[at] == 0:  # padding between elements
            at += 1
            continue
        if one_byte:
            identifier, length, at = data[at] >> 4, (data[at] & 0x0F) + 1, at + 1
            if identifier == _ONE_BYTE_STOP:
                break
        else:
            if at + 2 > len(data):
                break
            identifier, length, at = data[at], data[at + 1], at + 2
        if at + length > len(data):
            break
        elements[identifier] = data[at : at + length]
        at += length
    return elements


def serialise_extensions(elements: dict[int, bytes]) -> tuple[int, bytes]:
    """Return profile and bytes of a header extension: one-byte form where it fits, else two-byte (RFC 8285 §4).

    Raises:
        ValueError: an id or a value that no form carries.
    """
    if all(0 < key < _ONE_BYTE_STOP and 0 < len(value) <= 16 for key, value in elements.items()):
        profile = _ONE_BYTE_PROFILE
        data = b"".join(bytes((key << 4 | len(value) - 1,)) + value for key, value in elements.items())
    elif all(0 < key < 256 and len(value) < 256 for key, value in elements.items()):
        profile = _TWO_BYTE_PROFILE
        data = b"".join(bytes((key, len(value))) + value for key, value in elements.items())
    else:
        raise ValueError("extension ids are 1-255 and values at most 255 bytes")
    return profile, data + bytes(-len(data) % 4)


def sequence_delta(later: int, earlier: int) -> int:
    """Return how far 16-bit `later` is ahead of `earlier` on the shorter way round: -32768…32767."""
    return ((later - earlier + 0x8000) & 0xFFFF) - 0x8000


def timestamp_delta(later: int, earlier: int) -> int:
    """Return how far 32-bit `later` is ahead of `earlier` on the shorter way round."""
    return ((later - earlier + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
