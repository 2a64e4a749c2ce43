"""What waits to be sent on one WebSocket: bounded in bytes, filled without awaiting, drained by the event loop.

    queued bytes   0 ──────── high water ─────────────── limit ──────── limit + largest event
    new audio      taken      held by `wait_playable`
    client events  read       read                       not read until it sinks
    new events     taken      taken                      taken          slow consumer: socket aborted

The event loop's own write buffer *is* the queue: no second one in front of it, no task that carries messages over,
and the order of calls is the order on the wire. The largest event is left out of the limit, because one retrieved
item may be larger than all the rest and says nothing about how fast its client reads.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from voice.framing import text_frame

log = structlog.get_logger(__name__)

POLL_S = 0.02
"""How often a congested outbox is looked at; its contents last for seconds."""


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """When an outbox is full, and for how long its client may stand still."""

    high_water_bytes: int = 512 * 1024
    """Above it no audio is taken. Eight seconds of 24 kHz PCM in base64: what a barge-in may find under way."""
    limit_bytes: int = 4 * 1024 * 1024
    """Above it the client is a slow consumer. A minute of 24 kHz PCM in base64."""
    stall_s: float = 20.0
    """A client that took nothing for so long, while something had to wait for it, is gone."""


@dataclass(slots=True)
class Traffic:
    """Counts of all WebSocket sessions of a process, for the metrics. Plain sums: only the event loop adds."""

    received_events: int = 0
    received_chars: int = 0
    sent_events: int = 0
    sent_chars: int = 0
    slow_consumers: int = 0


class Socket(Protocol):
    """The part of `aiohttp.web.WebSocketResponse` that matters here."""

    @property
    def closed(self) -> bool:
        """True from before the close frame is written: nothing may come behind it."""
        ...


class Outbox:
    """Sends text messages at once and in order; gives the socket up when its client does not read."""

    def __init__(
        self, socket: Socket, stream: asyncio.WriteTransport, limits: OutboxLimits, traffic: Traffic | None = None
    ) -> None:
        """`stream` is under `socket`. Frames are written as they are: no extension may be agreed on."""
        self._socket = socket
        self._stream = stream
        self._limits = limits
        self._traffic = traffic or Traffic()
        # Half of a limit that was set low: waiting audio must leave room for the events that go between.
        self._high_water_bytes = min(limits.high_water_bytes, limits.limit_bytes // 2)
        self._largest_chars = 0
        self.abandoned = False
        """True once the client was found too slow. What is sent from then on is dropped."""

    @property
    def queued_bytes(self) -> int:
        """What the kernel has not taken yet."""
        return self._stream.get_write_buffer_size()

    @property
    def over_limit(self) -> bool:
        """True while the client has to read before anything more is done for it."""
        return self.queued_bytes > self._limits.limit_bytes

    def send(self, text: str) -> None:
        """Queue one message. Dropped when the client is gone; a full outbox gives the client up."""
        if self.abandoned or self._socket.closed or self._stream.is_closing():
            return
        queued = self._stream.get_write_buffer_size()
        if not queued:
            self._largest_chars = 0
        elif queued - self._largest_chars > self._limits.limit_bytes:
            self._abandon("does not keep up", queued)
            return
        self._largest_chars = max(self._largest_chars, len(text))
        self._traffic.sent_events += 1
        self._traffic.sent_chars += len(text)
        # Past aiohttp's writer, whose coroutine costs as much as the frame: it counts what it may have to wait for.
        self._stream.write(text_frame(text))

    def control(self, sending: Coroutine[Any, Any, None]) -> None:
        """Send a ping or pong of aiohttp's; not to a client that does not read, where they would only pile up.

        The coroutine is stepped by hand: aiohttp only awaits to compress and to drain above its writer limit, which is
        to be out of reach, so the first step is the last.
        """
        if self.abandoned or self.over_limit or self._stream.is_closing():
            sending.close()
            return
        try:
            sending.send(None)
        except StopIteration:
            return
        except ConnectionError:
            return  # the client went away between two reads: reading says so
        sending.close()
        raise RuntimeError("the WebSocket waited to send: compression or a writer limit is set")

    @property
    def is_playable(self) -> bool:
        """True while there is room for audio, or the client was given up."""
        return self.abandoned or self._stream.get_write_buffer_size() <= self._high_water_bytes

    async def wait_playable(self) -> None:
        """Return when there is room for audio, or the client was given up. Cancelling is safe."""
        await self._wait_below(self._high_water_bytes)

    async def wait_within_limit(self) -> None:
        """Return when the client has read enough of its answers to be read from again. Cancelling is safe."""
        await self._wait_below(self._limits.limit_bytes)

    async def wait_empty(self) -> None:
        """Return when the kernel has everything, or the client was given up. Cancelling is safe."""
        await self._wait_below(0)

    async def _wait_below(self, level_bytes: int) -> None:
        """Poll, since aiohttp's `drain` shares one future: cancelling one waiter would cancel every later one."""
        if self.queued_bytes <= level_bytes:
            return
        clock = asyncio.get_running_loop().time
        lowest, since = self.queued_bytes, clock()
        while (queued := self.queued_bytes) > level_bytes and not self.abandoned:
            if queued < lowest:
                lowest, since = queued, clock()
            elif clock() - since > self._limits.stall_s:
                self._abandon("stands still", queued)
                return
            await asyncio.sleep(POLL_S)

    def _abandon(self, what: str, queued: int) -> None:
        """Drop the connection. No close frame: it would stand behind all that the client does not read."""
        self.abandoned = True
        self._traffic.slow_consumers += 1
        log.warning("slow consumer closed", client=what, queued_bytes=queued)
        self._stream.abort()
