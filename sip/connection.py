"""A TCP or TLS connection as a flow: framing, bounded writing, keep-alives; the idle and the slow are closed.

No task: asyncio calls `data_received`, the core answers within it. One that is still being made keeps what is to be
sent until it stands.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from sip.flow import Address
from sip.message import Rejection, Request, Response
from sip.stream import Ping, StreamFramer

Received = Request | Response | Rejection


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of every connection."""

    unsent_bytes: int = 256 * 1024
    """What may wait for a peer that does not read; past that the connection is cut."""
    message_s: float = 20.0
    """How long a message may take from its first byte to its last."""
    idle_s: float = 3600.0
    """A connection on which nothing has come for so long is closed; phones send keep-alives every two minutes."""
    first_message_s: float = 30.0
    """How long a new connection of theirs may say nothing."""


class StreamFlow(asyncio.Protocol):
    """One connection, theirs or ours."""

    def __init__(
        self,
        transport: str,
        local: Address,
        remote: Address,
        limits: ConnectionLimits,
        receive: Callable[["Received", "StreamFlow"], None],
        closed: Callable[["StreamFlow"], None],
        now: Callable[[], float],
    ) -> None:
        """`local` is the listener's address; `receive` takes every message, `closed` the end, once."""
        self.transport = transport
        self.local = local
        self.remote = remote
        self._limits = limits
        self._receive = receive
        self._closed = closed
        self._now = now
        self._framer = StreamFramer()
        self._pipe: asyncio.Transport | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._ended = False
        self._heard_at = now()
        self._part_since: float | None = None
        self._has_spoken = False

    # --- flow -------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether something may still be sent."""
        return not self._ended

    def send(self, data: bytes) -> bool:
        """Send, or keep it until the connection stands. False: it will never arrive."""
        if self._ended:
            return False
        if self._pipe is None:
            self._waiting.append(data)
            self._waiting_bytes += len(data)
            return self._waiting_bytes <= self._limits.unsent_bytes
        if self._pipe.get_write_buffer_size() + len(data) > self._limits.unsent_bytes:
            self.abort()
            return False
        self._pipe.write(data)
        return True

    def toward(self, port: int) -> "StreamFlow":
        """Return itself: responses take the connection that the request came by."""
        return self

    def close(self) -> None:
        """Send what waits, then close."""
        if self._pipe is None:
            self.connection_lost(None)
        else:
            self._pipe.close()

    def abort(self) -> None:
        """Close at once."""
        if self._pipe is not None:
            self._pipe.abort()
        self.connection_lost(None)

    def is_overdue(self, now: float) -> bool:
        """Say whether the peer has been silent, or in the middle of a message, for too long."""
        if self._part_since is not None and now - self._part_since > self._limits.message_s:
            return True
        return now - self._heard_at > (self._limits.idle_s if self._has_spoken else self._limits.first_message_s)

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited."""
        pipe = cast(asyncio.Transport, transport)  # uvloop's are none of asyncio's classes
        if self._ended:
            pipe.abort()
            return
        self._pipe = pipe
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            pipe.write(data)

    def data_received(self, data: bytes) -> None:
        """Cut the bytes into messages."""
        self._heard_at = self._now()
        for found in self._framer.receive(data):
            if self._ended:
                return
            self._has_spoken = True
            if isinstance(found, Ping):
                self.send(b"\r\n")
            else:
                self._receive(found, self)
        if self._framer.failed:
            self.close()
        partial = self._framer.buffered_bytes > 0
        self._part_since = (self._part_since or self._heard_at) if partial else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that it is over, once."""
        if not self._ended:
            self._ended = True
            self._waiting.clear()
            self._closed(self)
