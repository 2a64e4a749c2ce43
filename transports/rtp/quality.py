"""How calls go: sums over all legs of a process for metrics, and one call's loss, jitter, round trip and MOS."""

from dataclasses import dataclass

from transports.rtp.inbound import InboundAudio
from transports.rtp.statistics import ReceptionStatistics, SendingStatistics, estimate_mos


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


@dataclass(frozen=True, slots=True)
class CallQuality:
    """One call so far."""

    loss: float = 0.0
    """Share of the peer's packets that were not heard, 0…1: lost or too late."""
    jitter_ms: float = 0.0
    round_trip_ms: float | None = None
    """None until the peer has reported."""
    far_loss: float = 0.0
    """Share of ours that did not reach the peer, by its last report."""
    mos: float = 4.4
    """What the caller's voice probably sounds like here (E-model), 1.0…4.5."""

    @classmethod
    def of(
        cls,
        inbound: InboundAudio | None,
        reception: ReceptionStatistics | None,
        sending: SendingStatistics,
        codec: str,
    ) -> "CallQuality":
        """Return what the streams of a leg tell."""
        if inbound is None or reception is None:
            return cls(round_trip_ms=sending.round_trip_ms, far_loss=sending.far_loss)
        counts = inbound.buffer.counts
        missed = counts.lost + counts.late
        loss = missed / (missed + counts.played) if counts.played else 0.0
        delay_ms = (sending.round_trip_ms or 0.0) / 2 + inbound.buffer.target_ms + 30.0
        mos = estimate_mos(delay_ms, loss, codec)
        return cls(loss, reception.jitter_ms, sending.round_trip_ms, sending.far_loss, mos)


class StreamMeter:
    """Adds what is new on one stream to the sums."""

    def __init__(self, traffic: MediaTraffic) -> None:
        """`traffic` is the process's."""
        self.traffic = traffic
        self._counted = (0, 0, 0.0, 0.0)

    def restart(self) -> None:
        """Another stream takes the place of the one that was counted."""
        self._counted = (0, 0, 0.0, 0.0)

    def count(self, audio: InboundAudio) -> None:
        """Add the difference since the last call."""
        counts, frames = audio.buffer.counts, audio.counts
        before, now = self._counted, (counts.lost, counts.late, frames.concealed_ms, frames.recovered_ms)
        self._counted = now
        self.traffic.lost_packets += now[0] - before[0]
        self.traffic.late_packets += now[1] - before[1]
        self.traffic.concealed_ms += now[2] - before[2]
        self.traffic.recovered_ms += now[3] - before[3]

    def note_report(self, sending: SendingStatistics, reception: ReceptionStatistics | None) -> None:
        """A peer has reported on our stream."""
        traffic = self.traffic
        traffic.reports += 1
        traffic.far_lost_share_sum += sending.far_loss
        if reception is not None:
            traffic.jitter_ms_sum += reception.jitter_ms
        if sending.round_trip_ms is not None:
            traffic.round_trips += 1
            traffic.round_trip_ms_sum += sending.round_trip_ms
