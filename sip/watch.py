"""Whether peers are there: each is asked by OPTIONS now and then, time as an argument.

  UNKNOWN   asked at once        any answer but 503 → UP        none, or 503 → DOWN
  UP        every 30 s           two failures in a row → DOWN
  DOWN      every 10 s           any answer but 503 → UP

Even a 404 or 405 is a sign of life: the peer has read the request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

ASK_UP_S = 30.0
ASK_DOWN_S = 10.0
_FAILURES = 2
_NO_SIGN_OF_LIFE = (408, 503)


@dataclass(slots=True)
class _Peer:
    uri: str
    is_up: bool | None = None
    failures: int = 0
    ask_at: float | None = 0.0
    """None while an answer is waited for."""


class Watch:
    """Keeps the state of some peers, by name."""

    def __init__(self, peers: Mapping[str, str], changed: Callable[[str, bool, int], None]) -> None:
        """`peers` are URIs by name. `changed` is told who is up or down now, and the status that showed it."""
        self._peers = {name: _Peer(uri) for name, uri in peers.items()}
        self._changed = changed

    def is_up(self, name: str) -> bool | None:
        """Say whether a peer is there; None before it has been found out."""
        return self._peers[name].is_up

    def take_due(self, now: float) -> list[tuple[str, str]]:
        """Return name and URI of those to ask now; `answered` must follow for each."""
        due = [(name, peer) for name, peer in self._peers.items() if peer.ask_at is not None and now >= peer.ask_at]
        for _, peer in due:
            peer.ask_at = None
        return [(name, peer.uri) for name, peer in due]

    def answered(self, now: float, name: str, status: int) -> None:
        """Take the final status: 408 where none came, 503 where nothing could be sent."""
        peer = self._peers[name]
        is_alive = status not in _NO_SIGN_OF_LIFE
        peer.failures = 0 if is_alive else peer.failures + 1
        before = peer.is_up
        if is_alive:
            peer.is_up = True
        elif not before or peer.failures >= _FAILURES:
            peer.is_up = False
        peer.ask_at = now + (ASK_UP_S if is_alive else ASK_DOWN_S)
        if peer.is_up is not before and peer.is_up is not None:
            self._changed(name, peer.is_up, status)
