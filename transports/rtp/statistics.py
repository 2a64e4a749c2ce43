"""What one stream tells about its path: loss, jitter, round trip, and how good the call probably sounds.

Receiving follows RFC 3550 §A.1, §A.3 and §A.8; the estimate of quality is the E-model (ITU-T G.107) cut down to delay
and loss. Time is an argument: seconds of any monotonic clock, and NTP format where RTCP wants it.
"""

from dataclasses import dataclass

from transports.rtp.packet import sequence_delta, timestamp_delta
from transports.rtp.rtcp import ReceiverReport, ReportBlock, SenderReport, middle_bits, round_trip_s

_MAX_DROPOUT = 3000
"""A larger step ahead is a source that started anew, not a loss (RFC 3550 §A.1)."""

_R_BEST = 93.2
_BASE_DELAY_MS = 30.0
"""Packetising and playing at the far end, which no report tells."""


@dataclass(frozen=True, slots=True)
class CodecImpairment:
    """How much a codec and its concealment cost, in the E-model's terms (ITU-T G.113)."""

    equipment: float
    """Ie: points of R lost without any packet loss."""
    loss_robustness: float
    """Bpl: per cent of loss that costs half of what is left."""


IMPAIRMENTS = {
    "PCMU": CodecImpairment(0.0, 25.1),
    "PCMA": CodecImpairment(0.0, 25.1),
    # G.113 has no figures on the narrow-band scale for these two: taken as G.711 with concealment, and as somewhat
    # better than it. An estimate for comparing calls, not a measurement.
    "G722": CodecImpairment(0.0, 25.1),
    "opus": CodecImpairment(0.0, 30.0),
}


def estimate_mos(delay_ms: float, loss: float, codec: str = "PCMU") -> float:
    """Return the mean opinion score, 1.0…4.5, to expect of one way of mouth-to-ear delay and a share of loss 0…1."""
    impairment = IMPAIRMENTS.get(codec, IMPAIRMENTS["PCMU"])
    loss_percent = 100 * min(1.0, max(0.0, loss))
    equipment = impairment.equipment + (95 - impairment.equipment) * loss_percent / (
        loss_percent + impairment.loss_robustness
    )
    delay_cost = 0.024 * delay_ms + 0.11 * max(0.0, delay_ms - 177.3)
    rating = _R_BEST - delay_cost - equipment
    if rating <= 0:
        return 1.0
    return max(1.0, min(4.5, 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6))


class ReceptionStatistics:
    """Counts one incoming stream (one SSRC) and writes report blocks about it."""

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        """`clock_hz` is the RTP clock, which for G.722 is not the sampling rate."""
        self.ssrc = ssrc
        self._clock_hz = clock_hz
        self.received_packets = 0
        self.received_bytes = 0
        """Payload only."""
        self._base = 0  # extended number of the first packet
        self._highest = 0  # extended number of the newest
        self._last_timestamp = 0
        self._last_arrival_s = 0.0
        self._jitter = 0.0  # in clock units
        self._expected_before = 0
        self._received_before = 0
        self._report_middle = 0  # of the last sender report
        self._report_arrival_s = 0.0

    def receive(self, sequence: int, timestamp: int, payload_bytes: int, arrival_s: float) -> None:
        """Count a packet."""
        if not self.received_packets:
            self._base = self._highest = sequence
            self._last_timestamp, self._last_arrival_s = timestamp, arrival_s
        else:
            step = sequence_delta(sequence, self._highest & 0xFFFF)
            if abs(step) > _MAX_DROPOUT:
                self._restart(sequence)
            elif step > 0:
                self._highest += step
            if timestamp != self._last_timestamp:  # packets of one moment, as DTMF has them, say nothing on jitter
                passed = (arrival_s - self._last_arrival_s) * self._clock_hz
                difference = abs(passed - timestamp_delta(timestamp, self._last_timestamp))
                if difference < self._clock_hz:  # a jump of the clock by a second is a new beginning, not jitter
                    self._jitter += (difference - self._jitter) / 16
                self._last_timestamp, self._last_arrival_s = timestamp, arrival_s
        self.received_packets += 1
        self.received_bytes += payload_bytes

    def _restart(self, sequence: int) -> None:
        """Begin a new count of sequence numbers, keeping the losses counted so far."""
        lost = self.lost_packets
        self._highest = sequence
        self._base = sequence - self.received_packets - lost

    @property
    def expected_packets(self) -> int:
        """How many the sender has sent since the first one that came."""
        return self._highest - self._base + 1 if self.received_packets else 0

    @property
    def lost_packets(self) -> int:
        """Expected less received; negative where duplicates came."""
        return self.expected_packets - self.received_packets

    @property
    def loss(self) -> float:
        """Share of packets that did not come, 0…1, since the beginning."""
        return max(0, self.lost_packets) / self.expected_packets if self.expected_packets else 0.0

    @property
    def jitter_ms(self) -> float:
        """Smoothed interarrival jitter."""
        return self._jitter * 1000 / self._clock_hz

    def receive_sender_report(self, report: SenderReport, arrival_s: float) -> None:
        """Note when a report of this source came, for the round trip that its sender computes."""
        self._report_middle = middle_bits(report.ntp_time)
        self._report_arrival_s = arrival_s

    def report_block(self, now_s: float) -> ReportBlock:
        """Return the block to send now; the fraction lost counts from the last call on."""
        expected, received = self.expected_packets, self.received_packets
        expected_now, received_now = expected - self._expected_before, received - self._received_before
        self._expected_before, self._received_before = expected, received
        lost_now = expected_now - received_now
        fraction = lost_now / expected_now if expected_now > 0 and lost_now > 0 else 0.0
        delay = int((now_s - self._report_arrival_s) * 65536) if self._report_middle else 0
        return ReportBlock(
            self.ssrc,
            min(fraction, 255 / 256),
            self.lost_packets,
            self._highest,
            int(self._jitter),
            self._report_middle,
            delay,
        )


class SendingStatistics:
    """Counts our own stream and keeps what the far end reports about it."""

    def __init__(self, ssrc: int, clock_hz: int) -> None:
        """`clock_hz` is the RTP clock of the stream."""
        self.ssrc = ssrc
        self._clock_hz = clock_hz
        self.sent_packets = 0
        self.sent_bytes = 0
        """Payload only."""
        self._last_timestamp = 0
        self._last_sent_s = 0.0
        self.far_loss = 0.0
        """Share that did not reach the far end in its last report's interval, 0…1."""
        self.far_jitter_ms = 0.0
        """Jitter that the far end sees."""
        self.round_trip_ms: float | None = None
        """None until a report tells it."""

    def send(self, timestamp: int, payload_bytes: int, now_s: float) -> None:
        """Count a packet that goes out now."""
        self.sent_packets += 1
        self.sent_bytes += payload_bytes
        self._last_timestamp, self._last_sent_s = timestamp, now_s

    def receive_report(self, report: SenderReport | ReceiverReport, arrival_ntp: int) -> bool:
        """Take over what a peer says of this stream. False when it says nothing of it."""
        for block in report.blocks:
            if block.ssrc == self.ssrc:
                self.far_loss = block.fraction_lost
                self.far_jitter_ms = block.jitter * 1000 / self._clock_hz
                trip_s = round_trip_s(block, arrival_ntp)
                if trip_s is not None:
                    self.round_trip_ms = trip_s * 1000
                return True
        return False

    def sender_report(self, now_s: float, now_ntp: int, blocks: tuple[ReportBlock, ...] = ()) -> SenderReport:
        """Return the report to send now; its RTP timestamp is carried on from the last packet's."""
        since = int((now_s - self._last_sent_s) * self._clock_hz) if self.sent_packets else 0
        timestamp = (self._last_timestamp + since) & 0xFFFF_FFFF
        return SenderReport(self.ssrc, now_ntp, timestamp, self.sent_packets, self.sent_bytes, blocks)

    def far_buffer_ms(self) -> float:
        """Estimate how much of what was sent the far end has not played: half the trip and its jitter buffer.

        Without a report 40 ms, what a buffer of two packets holds. A far jitter buffer holds about three times the
        jitter it sees and hardly ever under one packet.
        """
        if self.round_trip_ms is None:
            return 40.0
        return min(500.0, self.round_trip_ms / 2 + max(20.0, 3 * self.far_jitter_ms))
