"""The caller's sound on its way to an upstream that finds turns itself, and the turns that it finds.

    our clock    ────────────┬───────────┬──────────
    line 1       0 ──────────┘ lost      │
    line 2            0 ─────────────────┘ rotated      a line begins a little earlier than it is taken, or where the
    line 3                       0 ────────────────     turn under way began: that turn is found again, and is the same

Pure.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import EngineNotice, TurnStarted, TurnStopped

_KEPT_SAMPLES: Final = CORE_RATE_HZ
"""Of silence, for the next line's ears: what was just said may be the beginning of a word."""

_KEPT_SPEECH_SAMPLES: Final = 60 * CORE_RATE_HZ


class Ears:
    """What was sent to the line in use, on the session's clock."""

    def __init__(self) -> None:
        self._recent: deque[AudioFrame] = deque()
        self._recent_samples = 0
        self._turn: str | None = None
        """The turn that the upstream has found and not ended."""
        self._line_starts = 0
        """The sample of the session's clock at which the line's own begins."""
        self._appended_samples = 0
        """To that line."""

    @property
    def has_turn(self) -> bool:
        """True while the caller speaks, as far as the upstream has said."""
        return self._turn is not None

    def hear(self, frame: AudioFrame, append: Callable[[bytes], None] | None) -> None:
        """Take the next of what the caller says; `append` sends it, None while there is no line."""
        recent, samples = self._recent, frame.samples
        recent.append(frame)
        kept_samples = self._recent_samples + samples
        limit = _KEPT_SPEECH_SAMPLES if self._turn is not None else _KEPT_SAMPLES
        while (without := kept_samples - recent[0].samples) >= limit:
            recent.popleft()
            kept_samples = without
        self._recent_samples = kept_samples
        if append is not None:
            self._append(frame, samples, append)

    def forget(self) -> None:
        """What was heard so far belongs to no turn."""
        self._recent.clear()
        self._recent_samples, self._turn = 0, None

    def change(self, append: Callable[[bytes], None]) -> None:
        """Another line is taken: tell it what it has to have heard."""
        self._appended_samples = 0
        for frame in self._recent:
            self._append(frame, frame.samples, append)

    def start(self, at_sample: int, name: str) -> EngineNotice | None:
        """The upstream found a turn, on the line's clock. None: it is the one that the line before had found."""
        if self._turn is not None:
            return None
        self._turn = name
        return TurnStarted(self._line_starts + at_sample, name)

    def stop(self, at_sample: int) -> EngineNotice | None:
        """The turn is over. A line that is taken from here on does not hear it: it would find it once more."""
        if self._turn is None:
            return None
        turn, self._turn = self._turn, None
        end = self._line_starts + at_sample
        while self._recent and self._recent[0].pts + self._recent[0].samples <= end:
            self._recent_samples -= self._recent.popleft().samples
        return TurnStopped(end, turn)

    @property
    def turn(self) -> str | None:
        """What this service calls the turn under way."""
        return self._turn

    def _append(self, frame: AudioFrame, samples: int, append: Callable[[bytes], None]) -> None:
        self._line_starts = frame.pts - self._appended_samples
        self._appended_samples += samples
        append(frame.pcm)
