"""Whether a peer is still there: somebody of whom nothing at all is heard for long enough is gone.

Pure: it counts ticks of 20 ms, and looks once a second at a number that grows with whatever comes from the peer.
"""

_TICKS_PER_LOOK = 50


class Presence:
    """Watches one peer."""

    def __init__(self, vanished_s: float) -> None:
        """`vanished_s` of silence, in whole seconds, and the peer is gone."""
        self._vanished_s = vanished_s
        self._heard_before = -1
        self._until_look = _TICKS_PER_LOOK
        self._silent_looks = 0

    def tick(self, heard: int) -> bool:
        """Let 20 ms pass; return True once the peer is gone. `heard` is the number as it is now."""
        self._until_look -= 1
        if self._until_look > 0:
            return False
        self._until_look = _TICKS_PER_LOOK
        self._silent_looks = self._silent_looks + 1 if heard == self._heard_before else 0
        self._heard_before = heard
        return self._silent_looks >= self._vanished_s

    def vouch(self) -> None:
        """Count the silence from here on: the peer was heard of by another way."""
        self._silent_looks = 0
