"""`GET /metrics`: the process's registry in the text format of Prometheus, with the traffic of the WebSockets in it."""

from collections.abc import Iterable

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from transports.outbox import Traffic


class TrafficCollector(Collector):
    """Reads the sums when Prometheus asks: counting costs an addition, not a locked counter, per event."""

    def __init__(self, traffic: Traffic) -> None:
        """`traffic` is what all WebSocket transports of the process add to."""
        self._traffic = traffic

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics as they stand."""
        traffic = self._traffic
        events = CounterMetricFamily("voice_websocket_events", "Events on WebSockets.", labels=["direction"])
        events.add_metric(["received"], traffic.received_events)
        events.add_metric(["sent"], traffic.sent_events)
        yield events
        size = CounterMetricFamily("voice_websocket_characters", "Characters on WebSockets.", labels=["direction"])
        size.add_metric(["received"], traffic.received_chars)
        size.add_metric(["sent"], traffic.sent_chars)
        yield size
        yield CounterMetricFamily(
            "voice_websocket_slow_consumers", "Clients given up since they did not read.", value=traffic.slow_consumers
        )


def exposition(request: web.Request, registry: CollectorRegistry) -> web.Response:
    """Answer in the format that the scraper accepts."""
    encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=encode(registry), headers={hdrs.CONTENT_TYPE: content_type})
