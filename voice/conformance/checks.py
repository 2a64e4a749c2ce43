"""Everything that is looked at in each frame of a connection: types, presence, grammar, and what the flow expects."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from voice.conformance import presence
from voice.conformance.contract import LEGACY, SERVER_EVENTS
from voice.conformance.grammar import Grammar
from voice.conformance.types_check import TypesCheck

Frame = dict[str, Any]

_ANYWHERE = frozenset({"session.created", "conversation.created", "rate_limits.updated"})


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the contract does not allow."""

    text: str
    frame: Frame | None = None
    """The frame that shows it; None for what never came."""
    event: str | None = None
    """The type of event that is to blame."""


@dataclass(slots=True)
class Checks:
    """Checks one connection; `receive` each frame as it comes."""

    allowed: Collection[str]
    """Types that the flow may show."""
    types: TypesCheck | None
    violations: list[Violation] = field(default_factory=list)
    grammar: Grammar = field(default_factory=Grammar)

    def receive(self, frame: Frame) -> None:
        """Check the next frame."""
        kind = frame.get("type")
        if not isinstance(kind, str) or kind not in SERVER_EVENTS:
            self._note(f"{kind!r} is no server event of the contract", frame)
            return
        if kind not in self.allowed and kind not in _ANYWHERE:
            more = ": it is a name of the beta" if kind in LEGACY else " here"
            # What it says may be right: the type as such is not to blame.
            self.violations.append(Violation(f"{kind} is not expected{more}", frame))
        faults = [*(self.types(frame) if self.types is not None else ()), *presence.faults(frame)]
        for fault in faults:
            self._note(f"{kind}: {fault.strip()}", frame)
        count = len(self.grammar.violations)
        try:
            self.grammar.feed(frame)
        except (KeyError, TypeError, AttributeError) as error:
            # A frame that lacks what the grammar reads is named above already, where the types are checked.
            if not faults:
                self._note(f"{kind}: cannot be read: {error!r}", frame)
        for text in self.grammar.violations[count:]:
            self._note(text.partition(": ")[2], frame)

    def finish(self) -> None:
        """Note what was left open."""
        count = len(self.grammar.violations)
        for text in self.grammar.finish()[count:]:
            self._note(text.partition(": ")[2], None, "response.done")

    def _note(self, text: str, frame: Frame | None, event: str | None = None) -> None:
        kind = frame.get("type") if frame is not None else event
        self.violations.append(Violation(text, frame, kind if isinstance(kind, str) else None))
