"""From frames to packets: encoder, sequence and timestamps of one outgoing stream, with DTMF in its place.

tick         0      1      2      3      4
timestamp    t      +f     +f     +f     +f       always runs on with time, whatever is sent
sends        audio  audio  event  event  audio    one packet a tick; skipped ticks leave a gap in timestamps only
"""

from transports.rtp.codecs import Codec, Encoder
from transports.rtp.dtmf import DtmfSender
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.statistics import SendingStatistics

FRAME_MS = 20


class OutboundAudio:
    """Our own stream: one packet for every frame of 20 ms."""

    def __init__(
        self,
        codec: Codec,
        encoder: Encoder,
        payload_type: int,
        *,
        ssrc: int,
        sequence: int = 0,
        timestamp: int = 0,
        dtmf: DtmfSender | None = None,
    ) -> None:
        """`ssrc`, `sequence` and `timestamp` are drawn at random by the owner (RFC 3550 §5.1)."""
        self._encoder = encoder
        self._payload_type = payload_type
        self._step = codec.clock_hz * FRAME_MS // 1000
        self._sequence, self._timestamp = sequence & 0xFFFF, timestamp & 0xFFFF_FFFF
        self._marker = True  # first packet of a talkspurt, and after every pause (RFC 3551 §4.1)
        self.dtmf = dtmf
        self.statistics = SendingStatistics(ssrc, codec.clock_hz)

    @property
    def ssrc(self) -> int:
        """Of the stream."""
        return self.statistics.ssrc

    def skip(self, frames: int) -> None:
        """Let time pass without sending: after a stall, on hold."""
        self._timestamp = (self._timestamp + frames * self._step) & 0xFFFF_FFFF
        self._marker = True

    def packet(self, pcm: bytes, now_s: float) -> bytes:
        """Return the datagram for this tick, unprotected; `pcm` is 20 ms of 24 kHz, dropped while a key is sent."""
        timestamp = self._timestamp
        self._timestamp = (timestamp + self._step) & 0xFFFF_FFFF
        event = self.dtmf.next_packet(timestamp) if self.dtmf is not None else None
        if event is None:
            payload = self._encoder.encode(pcm)
            packet = RtpPacket(self._payload_type, self._sequence, timestamp, self.ssrc, payload, self._marker)
            self._marker = False
        else:
            packet = RtpPacket(
                event.payload_type, self._sequence, event.timestamp, self.ssrc, event.payload, event.marker
            )
            self._marker = True
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.statistics.send(timestamp, len(packet.payload), now_s)
        return serialise_rtp(packet)
