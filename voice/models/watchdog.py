"""Tells a model host that hangs from one that computes for long. Pure: time is an argument.

The host sends a beat each `HostSettings.beat_s`, with how long a model at work has shown no progress; progress is each
token, batch of a prompt, and sentence.

    beats come, models go on           well
    no beat for `silent_s`             the process hangs: it was stopped, or starves
    no progress for `stuck_s`          a model hangs in its runtime; whoever waits for it would wait for ever
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Watchdog:
    """Watches one host process."""

    silent_s: float
    stuck_s: float
    _heard_s: float | None = None
    _without_progress_s: float = 0.0
    _was_silent: bool = False

    def begin(self, now_s: float) -> None:
        """A process has loaded its models."""
        self._heard_s, self._without_progress_s, self._was_silent = now_s, 0.0, False

    def note_beat(self, without_progress_s: float, now_s: float) -> None:
        """A beat has come."""
        self._heard_s, self._without_progress_s = now_s, without_progress_s

    def complaint(self, now_s: float) -> str | None:
        """Say in a few words why the process is to be ended, or None. Ask at even intervals.

        Silence counts when it is seen twice: after a pause of this process's own, beats may be waiting to be read.
        """
        if self._without_progress_s > self.stuck_s:
            return f"a model has made no progress for {self._without_progress_s:.0f} s"
        silent_s = 0.0 if self._heard_s is None else now_s - self._heard_s
        was_silent, self._was_silent = self._was_silent, silent_s > self.silent_s
        return f"nothing was heard of it for {silent_s:.0f} s" if was_silent and self._was_silent else None
