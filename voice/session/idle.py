"""The idle timeout (contract 4.12): how long nobody has spoken since the agent was heard to its end.

    response starts ─► off     it is over, and its audio played ─► armed ─► `idle_timeout_ms` later: due
                               the caller speaks or commits ─► off

Where the server plays, the transport says when audio is over. Where the client plays (WebSocket), the end is reckoned:
each run of audio plays behind the one before it, or at once when none is playing.
"""

from voice.protocol.session_config import SessionConfig
from voice.protocol.session_fields import ServerVad


class IdleTimer:
    """Keeps the time since the agent was last heard. Seconds are those of `Session.advance`."""

    def __init__(self, *, server_plays: bool) -> None:
        """Off; a session begins with nobody to wait for."""
        self._server_plays = server_plays
        self._audible_until_s = 0.0
        self._silent_since_s: float | None = None
        self._waits_for_playout = False

    def due_s(self, config: SessionConfig) -> float | None:
        """When the timeout is over, by the configuration as it stands; None: it does not run."""
        if self._silent_since_s is None:
            return None
        detection = config.audio.input.turn_detection
        if not isinstance(detection, ServerVad) or detection.idle_timeout_ms is None:
            return None
        return self._silent_since_s + detection.idle_timeout_ms / 1000

    def switch_on(self, now_s: float) -> None:
        """Somebody asks for a timeout: the silence before does not count."""
        if self._silent_since_s is not None:
            self._silent_since_s = max(self._silent_since_s, now_s)

    def note_audio(self, duration_ms: float, now_s: float) -> None:
        """Audio goes out to a client that plays it."""
        self._audible_until_s = max(self._audible_until_s, now_s) + duration_ms / 1000

    def note_cut(self) -> None:
        """What has not been played is dropped."""
        self._audible_until_s = 0.0

    def arm(self, now_s: float, *, is_playing: bool) -> None:
        """A response is over; `is_playing`: the server still plays it, and `note_played` is to follow."""
        if self._server_plays:
            self._waits_for_playout = is_playing
            self._silent_since_s = None if is_playing else now_s
        else:
            self._silent_since_s = max(now_s, self._audible_until_s)

    def note_played(self, now_s: float) -> None:
        """The server has played all that there was."""
        if self._waits_for_playout:
            self._waits_for_playout = False
            self._silent_since_s = now_s

    def disarm(self) -> None:
        """The agent answers, or the caller speaks: nobody is waited for."""
        self._waits_for_playout = False
        self._silent_since_s = None
