"""Semantic turns (contract 3.6): whether a pause is the end of the turn, asked once a pause.

silence began ─► 200 ms ─► asked ─┬─ complete ─► the turn ends
       │                          └─ not, or no answer ─► it ends after the longest wait of the eagerness
       └─ speech resumed: an answer that is still under way counts no more
"""

from dataclasses import dataclass
from typing import Literal

from voice.session.input_buffer import to_samples

LONGEST_WAIT_MS: dict[Literal["low", "medium", "high", "auto"], int] = {
    "low": 8000,
    "medium": 4000,
    "high": 2000,
    "auto": 4000,
}
"""How long a caller who has not finished may be silent, by eagerness (contract 3.6)."""

THRESHOLD = 0.5
"""Of voice activity, and of the probability that a turn is complete."""

PREFIX_MS = 300
"""Audio before the detected start that belongs to the turn, as with `server_vad`."""

CONTEXT_MS = 8000
"""What is judged at most: the end of the turn."""

_ASK_AFTER_MS = 200
"""The model was trained on turns with so much silence behind them; shorter gaps lie between words."""


@dataclass(slots=True)
class Pause:
    """The pause that a turn is in, if any."""

    began: int | None = None
    """Sample of the session's clock at which silence began."""
    _is_asked: bool = False

    def begin(self, at_sample: int) -> None:
        """The caller has just fallen silent."""
        self.began, self._is_asked = at_sample, False

    def end(self) -> None:
        """The caller goes on, or the turn is over."""
        self.began = None

    def is_due(self, heard_until: int) -> bool:
        """True once a pause: it has lasted long enough to be judged."""
        if self.began is None or self._is_asked or heard_until - self.began < to_samples(_ASK_AFTER_MS):
            return False
        self._is_asked = True
        return True
