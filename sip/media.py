"""The two ends of a negotiated audio stream: what we bring (`LocalMedia`) and what came out (`Agreement`)."""

from dataclasses import dataclass
from enum import Enum

from sip.codecs import G722, OPUS, PCMA, PCMU, Codec
from sip.crypto import DEFAULT_SUITES, Crypto, Srtp
from sip.sdp import Connection, Media, SessionDescription

MAX_PTIME_MS = 60


class Direction(Enum):
    """Who sends, seen from the side that wrote it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        """Whether the writer receives."""
        return self in (Direction.SENDRECV, Direction.RECVONLY)

    @classmethod
    def of(cls, *, sends: bool, receives: bool) -> "Direction":
        """Return the direction of somebody who sends and receives so."""
        if sends:
            return cls.SENDRECV if receives else cls.SENDONLY
        return cls.RECVONLY if receives else cls.INACTIVE

    def answer(self, wish: "Direction") -> "Direction":
        """Return what answers this offered direction, when we would like `wish` (RFC 3264 §6.1)."""
        return Direction.of(sends=wish.sends and self.receives, receives=wish.receives and self.sends)


def direction_of(session: SessionDescription, media: Media) -> Direction:
    """Return a stream's direction: its own attribute, else the session's, else both ways.

    A null address means that the writer does not want to receive: the old way to hold (RFC 3264 §8.4).
    """
    found = next((one for one in Direction if media.has(one.value)), None)
    if found is None:
        found = next((one for one in Direction if session.has(one.value)), Direction.SENDRECV)
    if session.connection_of(media).is_null:
        return Direction.of(sends=found.sends, receives=False)
    return found


@dataclass(frozen=True, slots=True)
class LocalMedia:
    """What this side brings to a call. Change it (`dataclasses.replace`) and offer again to hold or to move."""

    address: str
    """The address that the peer is to send to: the public one behind NAT."""
    port: int
    codecs: tuple[Codec, ...] = (PCMU, PCMA, G722, OPUS)
    """In order of preference."""
    direction: Direction = Direction.SENDRECV
    """SENDONLY or INACTIVE holds the peer."""
    dtmf: bool = True
    """Offer and take telephone-event."""
    ptime_ms: int = 20
    rtcp_mux: bool = True
    srtp: Srtp = Srtp.OFF
    suites: tuple[str, ...] = DEFAULT_SUITES
    prefer_ours: bool = True
    """Choose by our order, not by the offerer's."""

    @property
    def connection(self) -> Connection:
        """The `c=` line."""
        return Connection(self.address, "IP6" if ":" in self.address else "IP4")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How audio flows. Equal agreements mean that nothing of the media has to be touched."""

    codec: Codec
    """Under the peer's payload type: what we send."""
    receive_payload_type: int
    remote_address: str
    remote_port: int
    """Where to send, until symmetric RTP has learned better. 0.0.0.0 while the peer holds in the old way."""
    remote_rtcp_address: str
    remote_rtcp_port: int
    rtcp_mux: bool
    direction: Direction
    """Ours."""
    ptime_ms: int
    """Of the packets that we send."""
    send_event_type: int | None = None
    """Payload type for DTMF that we send, None when the peer takes none."""
    receive_event_type: int | None = None
    event_clock_hz: int = 8_000
    local_crypto: Crypto | None = None
    """What we encrypt with; None for plain RTP."""
    remote_crypto: Crypto | None = None
    comfort_noise: bool = False
    """Whether the peer takes payload type 13 (RFC 3389)."""

    @property
    def is_held(self) -> bool:
        """Whether the peer does not listen: nothing is sent, and the media timeout rests."""
        return not self.direction.sends


def remote_ptime_ms(media: Media, ours_ms: int) -> int:
    """Return the packet length to send: what the peer prefers within what it can take, in steps of 10 ms."""
    wished = _milliseconds(media.get("ptime")) or ours_ms
    longest = min(_milliseconds(media.get("maxptime")) or MAX_PTIME_MS, MAX_PTIME_MS)
    return max(10, min(wished, longest) // 10 * 10)


def _milliseconds(value: str | None) -> int | None:
    """Read `20`, and `20.0` as some write it."""
    whole = (value or "").partition(".")[0]
    return int(whole) if whole.isascii() and whole.isdecimal() and 0 < len(whole) < 5 else None


def remote_rtcp(session: SessionDescription, media: Media) -> tuple[str, int]:
    """Return where RTCP goes without rtcp-mux: the `a=rtcp` attribute (RFC 3605), else the next port."""
    address = session.connection_of(media).address
    parts = (media.get("rtcp") or "").split()
    if parts and parts[0].isascii() and parts[0].isdecimal() and len(parts[0]) <= 5 and 0 < int(parts[0]) < 65536:
        return parts[3] if len(parts) >= 4 else address, int(parts[0])
    return address, min(media.port + 1, 65535)
