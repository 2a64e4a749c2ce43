"""What a run found out: each flow's outcome, and from them what holds of the events."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from voice.conformance.checks import Violation
from voice.conformance.contract import CLIENT_EVENTS, LEGACY, PLAYING_LEG_ONLY, SERVER_EVENTS
from voice.conformance.flow import Flow

Outcome = Literal["held", "failed", "not served", "skipped"]

_LEGACY_REASON = "a name of the beta, not to be sent"
_LEG_REASON = "only a WebRTC or SIP leg shows it"


@dataclass(slots=True)
class FlowResult:
    """How one flow went."""

    flow: Flow
    outcome: Outcome
    reason: str = ""
    """Why it did not hold, in a sentence."""
    violations: list[Violation] = field(default_factory=list)
    """Each with the frame that shows it."""
    sent: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    transcript: list[dict[str, Any]] = field(default_factory=list)
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EventResult:
    """What is known of one type of event."""

    type: str
    outcome: Outcome
    reason: str = ""


@dataclass(slots=True)
class Report:
    """A whole run."""

    url: str
    results: list[FlowResult]
    notes: list[str] = field(default_factory=list)
    """What the reader has to know: a missing SDK, missing speech."""

    @property
    def has_failed(self) -> bool:
        """True when something of the contract does not hold. Parts that are honestly not served are no failure."""
        return any(result.outcome == "failed" for result in self.results)

    def of(self, kind: str) -> list[FlowResult]:
        """Return the results of one kind."""
        return [result for result in self.results if result.flow.kind == kind]

    def client_events(self) -> list[EventResult]:
        """Return what is known of each client event: it holds when a flow that sends it holds."""
        return [self._client_event(type) for type in CLIENT_EVENTS]

    def server_events(self) -> list[EventResult]:
        """Return what is known of each server event: it holds when it came and every one of it was right."""
        return [self._server_event(type) for type in SERVER_EVENTS]

    def _client_event(self, type: str) -> EventResult:
        sending = [result for result in self.results if type in result.flow.sends and type in result.sent]
        if any(result.outcome == "held" for result in sending):
            return EventResult(type, "held")
        failed = [result for result in sending if result.outcome == "failed"]
        if failed:
            return EventResult(type, "failed", f"{failed[0].flow.name}: {failed[0].reason}")
        return EventResult(type, "skipped", _why_not(result for result in self.results if type in result.flow.sends))

    def _server_event(self, type: str) -> EventResult:
        for result in self.results:
            for violation in result.violations:
                if violation.event == type:
                    return EventResult(type, "failed", f"{result.flow.name}: {violation.text}")
        if any(type in result.seen for result in self.results):
            return EventResult(type, "held")
        if type in LEGACY:
            return EventResult(type, "skipped", _LEGACY_REASON)
        showing = [result for result in self.results if type in result.flow.shows]
        failed = [result for result in showing if result.outcome == "failed"]
        if failed:
            return EventResult(type, "failed", f"{failed[0].flow.name}: {failed[0].reason}")
        if type in PLAYING_LEG_ONLY:
            return EventResult(type, "skipped", _LEG_REASON)
        outcome: Outcome = "not served" if any(each.outcome == "not served" for each in showing) else "skipped"
        return EventResult(type, outcome, _why_not(showing))


def _why_not(results: Any) -> str:
    for result in results:
        if result.reason:
            return f"{result.flow.name}: {result.reason}"
    return "no flow of this run shows it"


def count(results: Sequence[FlowResult] | Sequence[EventResult]) -> str:
    """Return `held of all`."""
    return f"{sum(result.outcome == 'held' for result in results)} of {len(results)}"
