"""Which cache slot belongs to which session: the least recently used one is given away. Pure."""

from collections import OrderedDict


class Slots:
    """A fixed number of prompt caches, each of one session."""

    def __init__(self, count: int) -> None:
        """`count` sessions keep their prompt cached."""
        self._free = list(range(count - 1, -1, -1))
        self._owned: OrderedDict[str, int] = OrderedDict()
        self._in_use: dict[str, int] = {}
        self._ended: set[str] = set()

    def acquire(self, session: str) -> int:
        """Return the session's slot, taking one for it if it has none. The caller ends with `done`.

        Raises: LookupError, if every slot is in use by another session.
        """
        if session not in self._owned:
            self._owned[session] = self._free.pop() if self._free else self._take_oldest()
        self._ended.discard(session)
        self._owned.move_to_end(session)
        self._in_use[session] = self._in_use.get(session, 0) + 1
        return self._owned[session]

    def done(self, session: str) -> None:
        """The session's slot is idle and may be given away."""
        self._in_use[session] -= 1
        if not self._in_use[session]:
            del self._in_use[session]
            if session in self._ended:
                self.release(session)

    def release(self, session: str) -> None:
        """The session has ended: its slot is the next to be given away, as soon as it is idle."""
        if session in self._in_use:
            self._ended.add(session)
        elif session in self._owned:
            self._ended.discard(session)
            self._free.append(self._owned.pop(session))

    def _take_oldest(self) -> int:
        for session in self._owned:
            if session not in self._in_use:
                return self._owned.pop(session)
        raise LookupError("every cache slot is in use")
