"""The audio of one call: from datagrams to frames and back, in the callback of the socket and in the ticks.

datagram ─► SRTP ─► RTP ─► jitter buffer                          in the socket's callback
tick     ─► jitter buffer ─► Opus, PCMU, PCMA ─► 20 ms ─► session
         ─► playout ─► codec ─► RTP ─► SRTP ─► socket              the same tick: no thread, no task, no queue
RTCP     reports every 2.5 s, the first after half a second: a peer's jitter buffer is known early
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from transports.live_audio import LiveAudio
from transports.rtp.codecs import make_decoder, make_encoder
from transports.rtp.errors import SrtpError
from transports.rtp.inbound import InboundAudio
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import Datagram, classify, parse_rtp
from transports.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    SenderReport,
    SourceDescription,
    ntp_time,
    parse_rtcp,
    serialise_rtcp,
)
from transports.rtp.srtp import SrtpLeg
from transports.rtp.statistics import ReceptionStatistics
from transports.webrtc.description import Direction, Format

_REPORT_TICKS = 125
_FIRST_REPORT_TICKS = 25
_CNAME = "agent"


@dataclass(slots=True)
class MediaTraffic:
    """Sums over all legs of a process, for metrics. Only the event loop adds."""

    received_packets: int = 0
    sent_packets: int = 0
    lost_packets: int = 0
    """Of what peers have sent."""
    late_packets: int = 0
    rejected_packets: int = 0
    """Forged, replayed or broken."""
    concealed_ms: float = 0.0
    recovered_ms: float = 0.0
    """Given back by in-band FEC."""
    unsent_packets: int = 0
    round_trip_ms_sum: float = 0.0
    round_trips: int = 0
    far_lost_share_sum: float = 0.0
    """Of each report a peer made, the share that did not reach it."""
    reports: int = 0
    jitter_ms_sum: float = 0.0
    """Over the same reports: what this end saw."""


class MediaLeg:
    """One call's RTP. Feed it datagrams and ticks; it hears and speaks through a `LiveAudio`."""

    def __init__(
        self,
        formats: tuple[Format, ...],
        direction: Direction,
        srtp: SrtpLeg,
        send: Callable[[bytes], None],
        audio: LiveAudio,
        traffic: MediaTraffic | None = None,
        *,
        ssrc: int,
    ) -> None:
        """The first of `formats` is spoken, all are understood. `direction` is the peer's."""
        self._codecs = {each.payload_type: each.codec for each in formats}
        self._srtp = srtp
        self._send = send
        self._audio = audio
        self._traffic = traffic or MediaTraffic()
        self._speaks = direction in ("sendrecv", "recvonly")
        self._inbound: InboundAudio | None = None
        self._inbound_type = -1
        self._reception: ReceptionStatistics | None = None
        chosen = formats[0]
        self._encoder = make_encoder(chosen.codec)
        self._outbound = OutboundAudio(
            chosen.codec,
            self._encoder,
            chosen.payload_type,
            ssrc=ssrc,
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(32),
        )
        self._audio.playout.far_buffer_ms = self._outbound.statistics.far_buffer_ms()
        self._until_report = _FIRST_REPORT_TICKS
        self._counted = (0, 0, 0.0, 0.0)
        self.heard = 0
        """Counts authentic packets of the peer."""
        self.said_goodbye = False
        """True once the peer has ended its stream (RTCP BYE)."""

    @property
    def inbound(self) -> InboundAudio | None:
        """The peer's stream; None before its first packet."""
        return self._inbound

    @property
    def outbound(self) -> OutboundAudio:
        """Ours."""
        return self._outbound

    # ---- in the socket's callback

    def receive(self, datagram: bytes) -> None:
        """Take a protected datagram."""
        if classify(datagram) is Datagram.RTCP:
            self._receive_rtcp(datagram)
            return
        opened = self._srtp.unprotect(datagram)
        packet = parse_rtp(opened) if opened is not None else None
        if packet is None:
            self._traffic.rejected_packets += 1
            return
        self.heard += 1
        now_s = time.monotonic()
        codec = self._codecs.get(packet.payload_type)
        if codec is None:
            if self._inbound is not None:
                self._inbound.buffer.pass_by(packet)
            return
        if self._inbound is None or packet.payload_type != self._inbound_type:
            self._inbound = InboundAudio(codec, make_decoder(codec))
            self._inbound_type = packet.payload_type
            self._counted = (0, 0, 0.0, 0.0)
            self._reception = None
        if self._reception is None or self._reception.ssrc != packet.ssrc:
            self._reception = ReceptionStatistics(packet.ssrc, codec.clock_hz)
        self._traffic.received_packets += 1
        self._reception.receive(packet.sequence, packet.timestamp, len(packet.payload), now_s)
        self._inbound.receive(packet, now_s * 1000)

    def _receive_rtcp(self, datagram: bytes) -> None:
        opened = self._srtp.unprotect_rtcp(datagram)
        if opened is None:
            self._traffic.rejected_packets += 1
            return
        self.heard += 1
        now_s, now_ntp = time.monotonic(), ntp_time(time.time())
        for packet in parse_rtcp(opened):
            if isinstance(packet, SenderReport | ReceiverReport):
                if (
                    isinstance(packet, SenderReport)
                    and self._reception is not None
                    and self._reception.ssrc == packet.ssrc
                ):
                    self._reception.receive_sender_report(packet, now_s)
                if self._outbound.statistics.receive_report(packet, now_ntp):
                    self._heed_report()
            elif isinstance(packet, Goodbye):
                self.said_goodbye = True

    def _heed_report(self) -> None:
        """The peer told how our stream arrives: mend what can be mended, and know what it still holds."""
        statistics, traffic = self._outbound.statistics, self._traffic
        self._encoder.expect_loss(statistics.far_loss)
        self._audio.playout.far_buffer_ms = statistics.far_buffer_ms()
        traffic.reports += 1
        traffic.far_lost_share_sum += statistics.far_loss
        if self._reception is not None:
            traffic.jitter_ms_sum += self._reception.jitter_ms
        if statistics.round_trip_ms is not None:
            traffic.round_trips += 1
            traffic.round_trip_ms_sum += statistics.round_trip_ms

    # ---- in the tick

    def tick(self, now_s: float, skipped: int) -> None:
        """Hear 20 ms and say 20 ms; after a stall, `skipped` ticks pass in silence."""
        if self._inbound is not None:
            for _ in range(skipped + 1):
                self._audio.hear(self._inbound.frame(now_s * 1000))
        frame = self._audio.next_frame()
        if self._speaks:
            if skipped:
                self._outbound.skip(skipped)
            self._send_protected(self._outbound.packet(frame, now_s))
        self._until_report -= 1
        if self._until_report <= 0:
            self._until_report = _REPORT_TICKS - secrets.randbelow(_REPORT_TICKS // 4)
            self._report()

    def _send_protected(self, packet: bytes) -> None:
        self._send(self._srtp.protect(packet))
        self._traffic.sent_packets += 1

    def _report(self) -> None:
        now_s = time.monotonic()
        blocks = (self._reception.report_block(now_s),) if self._reception is not None else ()
        statistics = self._outbound.statistics
        report = (
            statistics.sender_report(now_s, ntp_time(time.time()), blocks)
            if statistics.sent_packets
            else ReceiverReport(statistics.ssrc, blocks)
        )
        self._send_rtcp(serialise_rtcp(report, SourceDescription(((statistics.ssrc, _CNAME),))))
        self.count()

    def _send_rtcp(self, packet: bytes) -> None:
        try:
            self._send(self._srtp.protect_rtcp(packet))
        except SrtpError:
            self._traffic.unsent_packets += 1

    def say_goodbye(self) -> None:
        """Tell the peer that our stream ends (RFC 3550 §6.6)."""
        ssrc = self._outbound.ssrc
        self._send_rtcp(serialise_rtcp(ReceiverReport(ssrc), SourceDescription(((ssrc, _CNAME),)), Goodbye((ssrc,))))

    def count(self) -> None:
        """Add what is new on the peer's stream to the sums."""
        if self._inbound is None:
            return
        counts, frames = self._inbound.buffer.counts, self._inbound.counts
        before, now = self._counted, (counts.lost, counts.late, frames.concealed_ms, frames.recovered_ms)
        self._counted = now
        traffic = self._traffic
        traffic.lost_packets += now[0] - before[0]
        traffic.late_packets += now[1] - before[1]
        traffic.concealed_ms += now[2] - before[2]
        traffic.recovered_ms += now[3] - before[3]
