"""A short way for the frames that come fifty times a second on every WebSocket, beside aiohttp's.

    bytes ─► Cutter ─┬─ a text, and the reader is at rest ─► `take`, in the middle of reading
                     └─ all else, or `take` declines ──────► aiohttp: a queue, a future, a task to be woken

Control frames, fragments, closing, and all that is wrong are aiohttp's, and so is a text behind something that its
reader has not come to: the order stays. Measured by `bench.relay`, which counts sessions a core.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from voice.framing import Cutter, unmasked

_MAX_BYTES: Final = 11_000
"""Of a text that goes the short way: an append of 8 KiB of audio. Longer ones are aiohttp's as they come."""


class DirectReading(asyncio.Protocol):
    """Stands before the protocol that aiohttp reads by, on the stream of one upgraded connection."""

    def __init__(self, inner: asyncio.Protocol, take: Callable[[str], bool], *, knows_frames: bool = True) -> None:
        """`take` must not raise; it returns False for a text that it does not take now.

        `knows_frames`: the stream begins with a frame here; where it does not, all of it goes to aiohttp.
        """
        self._inner = inner
        self._take = take
        self._cutter = Cutter(_MAX_BYTES, masked=True) if knows_frames else None
        self.is_at_rest = False
        """The reader of aiohttp's queue waits, and nothing is on its way to it. Set by the reader."""

    @classmethod
    def install(
        cls, stream: asyncio.WriteTransport, take: Callable[[str], bool], *, was_early: bool
    ) -> "DirectReading":
        """Go between. `was_early`: the client has not waited for the answer to its handshake (RFC 6455 §4.1)."""
        inner = stream.get_protocol()
        assert isinstance(inner, asyncio.Protocol)
        reading = cls(inner, take, knows_frames=not was_early)
        stream.set_protocol(reading)
        return reading

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._cutter is None:
            self._inner.data_received(data)
            return
        rest: list[bytes] = []  # in one piece: aiohttp may copy what it has not parsed yet each time that it is fed
        for frame, start in self._cutter.feed(data):
            if not (start and self.is_at_rest and self._take_text(frame, start)):
                self.is_at_rest = False
                rest.append(frame)
        if rest:
            self._inner.data_received(rest[0] if len(rest) == 1 else b"".join(rest))

    def _take_text(self, frame: bytes, start: int) -> bool:
        try:
            text = unmasked(frame, start).decode()
        except UnicodeDecodeError:
            return False  # aiohttp closes with 1007
        return self._take(text)

    def eof_received(self) -> bool | None:
        """Tell aiohttp."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell aiohttp."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Tell aiohttp."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Tell aiohttp."""
        self._inner.resume_writing()
