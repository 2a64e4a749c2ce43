"""What Prometheus is told about calls and their media."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from transports.rtp.quality import CallQuality, MediaTraffic

_MOS = (1.5, 2.0, 2.5, 3.0, 3.3, 3.6, 3.9, 4.1, 4.3)
_MILLISECONDS = (5, 10, 20, 40, 80, 150, 300, 600)


class MediaCollector(Collector):
    """Reads a kind of media's sums when Prometheus asks: counting costs an addition a packet."""

    def __init__(self, kind: str, traffic: MediaTraffic) -> None:
        """`kind` goes before the names: `phone`, `webrtc`."""
        self._kind = kind
        self._traffic = traffic

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics as they stand."""
        traffic, name = self._traffic, f"voice_{self._kind}"
        packets = CounterMetricFamily(f"{name}_rtp_packets", "RTP packets.", labels=["what"])
        for what in ("received", "sent", "lost", "late", "rejected", "unsent"):
            packets.add_metric([what], getattr(traffic, f"{what}_packets"))
        yield packets
        heard = CounterMetricFamily(
            f"{name}_repaired_seconds", "Audio in place of packets that were lost.", labels=["how"]
        )
        heard.add_metric(["concealed"], traffic.concealed_ms / 1000)
        heard.add_metric(["recovered"], traffic.recovered_ms / 1000)
        yield heard
        trips = CounterMetricFamily(f"{name}_reports", "Reports of peers on our audio.", labels=["with"])
        trips.add_metric(["any"], traffic.reports)
        trips.add_metric(["round_trip"], traffic.round_trips)
        yield trips
        sums = CounterMetricFamily(f"{name}_reported", "Sums over those reports.", labels=["what"])
        sums.add_metric(["lost_share"], traffic.far_lost_share_sum)
        sums.add_metric(["jitter_ms"], traffic.jitter_ms_sum)
        sums.add_metric(["round_trip_ms"], traffic.round_trip_ms_sum)
        yield sums


class PhoneMetrics:
    """Meters of the phone line."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Registers them."""
        self.traffic = MediaTraffic()
        registry.register(MediaCollector("phone", self.traffic))
        self.active = Gauge("voice_phone_calls", "Calls up now", registry=registry)
        self.trunk_up = Gauge("voice_phone_trunk_up", "Whether a trunk answers OPTIONS", ["trunk"], registry=registry)
        self.refused = Counter("voice_phone_calls_refused", "Calls refused", ["status"], registry=registry)
        self._ended = Counter("voice_phone_calls_ended", "Calls ended", ["codec"], registry=registry)
        self._mos = Histogram("voice_phone_mos", "Estimate of how calls sounded", buckets=_MOS, registry=registry)
        self._loss = Histogram(
            "voice_phone_loss", "Share of packets not heard", buckets=(0.001, 0.01, 0.03, 0.1), registry=registry
        )
        self._jitter = Histogram("voice_phone_jitter_ms", "Jitter", buckets=_MILLISECONDS, registry=registry)
        self._trip = Histogram("voice_phone_round_trip_ms", "Round trip", buckets=_MILLISECONDS, registry=registry)

    def end(self, codec: str, quality: CallQuality) -> None:
        """A call that was up is over."""
        self.active.dec()
        self._ended.labels(codec).inc()
        self._mos.observe(quality.mos)
        self._loss.observe(quality.loss)
        self._jitter.observe(quality.jitter_ms)
        if quality.round_trip_ms is not None:
            self._trip.observe(quality.round_trip_ms)
