"""What Prometheus is told about sessions, turns and responses."""

import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from voice.protocol import server_events as wire_events
from voice.protocol.server_events import ServerEvent

_LATENCY_BUCKETS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """The service's own meters, on a registry that the caller gives (a fresh one in tests)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sessions = Gauge("voice_sessions", "Sessions open now", registry=registry)
        self.sessions_ended = Counter("voice_sessions_ended", "Sessions ended", ["how"], registry=registry)
        self.turns = Counter("voice_turns", "Turns of callers", registry=registry)
        self.responses = Counter("voice_responses", "Responses done", ["status"], registry=registry)
        self.interruptions = Counter("voice_interruptions", "Responses cut by a caller", registry=registry)
        self.errors = Counter("voice_client_errors", "Events refused", ["code"], registry=registry)
        self.tool_calls = Counter("voice_tool_calls", "Calls of the service's tools", ["outcome"], registry=registry)
        self.cost_usd = Counter("voice_cost_usd", "What sessions have cost, in dollars", ["model"], registry=registry)
        self.engine_incidents = Counter(
            "voice_engine_incidents",
            "What went wrong with engines, and what was done about it",
            ["engine", "what"],
            registry=registry,
        )
        self.turn_latency_s = Histogram(
            "voice_turn_latency_seconds",
            "From the end of a caller's turn to the first audio of the answer",
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )


@dataclass(slots=True)
class SessionMeter:
    """Watches the events of one session go by."""

    metrics: Metrics
    _turn_ended_s: float | None = field(default=None)

    def note_event(self, event: ServerEvent) -> None:
        """Count what an event says."""
        match event:
            case wire_events.InputAudioBufferCommitted():
                self.metrics.turns.inc()
                self._turn_ended_s = time.monotonic()
            case wire_events.ResponseDone(response=response):
                self.metrics.responses.labels(response.status).inc()
                details = response.status_details
                if details is not None and details.reason == "turn_detected":
                    self.metrics.interruptions.inc()
            case wire_events.ErrorEvent(error=error):
                self.metrics.errors.labels(error.code or "none").inc()

    def note_audio(self) -> None:
        """Audio goes out: the first after a turn is the answer's."""
        if self._turn_ended_s is not None:
            self.metrics.turn_latency_s.observe(time.monotonic() - self._turn_ended_s)
            self._turn_ended_s = None
