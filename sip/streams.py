"""The TCP and TLS side of an endpoint: listeners, connections of both directions, and the tasks that make them.

A connection is accepted by a callback, judged by its source, and only then given a task, for as long as it is being
made: strangers cost no TLS handshake.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType

from sip.connection import ConnectionLimits, Received, StreamFlow
from sip.flow import Address, Flow
from sip.gate import Gate
from sip.routes import is_address, route_to

logger = logging.getLogger("sip")

_CONNECT_S = 5.0
_BACKLOG = 256


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How many connections there may be, and what each may do."""

    each: ConnectionLimits = field(default_factory=ConnectionLimits)
    connections: int = 2_000
    connections_per_host: int = 200


@dataclass(frozen=True, slots=True)
class StreamEvents:
    """Who is told."""

    received: Callable[[Received, StreamFlow], None]
    """Of every message."""
    failed: Callable[[Flow], None]
    """Of a connection that is gone, or never came about."""


class Tasks:
    """Short-lived tasks of one owner, all of a TaskGroup; leaving cancels them."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Tasks":
        """Be ready."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what runs and wait for it."""
        for task in tuple(self._running):
            task.cancel()
        # Not with the error: the group would wrap it, and whoever leaves by one wants it as it is.
        await self._group.__aexit__(None, None, None)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run something."""
        task = self._group.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)


class Streams:
    """Every listener and connection of an endpoint."""

    def __init__(
        self,
        limits: StreamLimits,
        gate: Gate,
        tasks: Tasks,
        events: StreamEvents,
        *,
        tls: ssl.SSLContext | None = None,
        tls_client: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` serves, `tls_client` is for connections of ours."""
        self.listening: dict[str, Address] = {}
        """The addresses that were bound, by transport."""
        self._limits = limits
        self._gate = gate
        self._tasks = tasks
        self._events = events
        self._tls = tls
        self._tls_client = tls_client
        self._streams: dict[tuple[str, Address], StreamFlow] = {}
        self._listeners: list[socket.socket] = []

    def open(self, transport: str, remote: Address) -> StreamFlow:
        """Return the connection to a peer, made now if there is none."""
        known = self._streams.get((transport, remote))
        if known is not None and known.is_open:
            return known
        flow = self._stream(transport, remote)
        self._tasks.spawn(self._connect(flow), f"connect to {remote[0]}:{remote[1]}")
        return flow

    def drop_overdue(self, now: float) -> None:
        """Cut the connections whose peers are silent or dawdling."""
        for flow in [flow for flow in self._streams.values() if flow.is_overdue(now)]:
            flow.abort()

    def close(self) -> None:
        """Listen no more, close every connection. Safe to call twice."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        self.listening.clear()
        for flow in tuple(self._streams.values()):
            flow.close()

    def listen(self, transport: str, host: str, port: int) -> None:
        """Listen at an address. Raises: OSError; its `filename` is the transport."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            error.filename = transport
            raise
        listener.setblocking(False)
        self._listeners.append(listener)
        self.listening[transport] = listener.getsockname()[:2]
        asyncio.get_running_loop().add_reader(listener.fileno(), self._accept, listener, transport)

    def _accept(self, listener: socket.socket, transport: str) -> None:
        for _ in range(_BACKLOG):
            try:
                accepted, source = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # out of file descriptors: those who wait are served later
                logger.error("no connection can be accepted: %s", error)
                return
            remote = source[:2]
            if not self._gate.admit(time.monotonic(), remote) or not self._has_room(remote):
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._tasks.spawn(self._adopt(accepted, self._stream(transport, remote)), f"accept {remote}")

    async def _adopt(self, accepted: socket.socket, flow: StreamFlow) -> None:
        secured = self._tls if flow.transport == "TLS" else None
        timeout = _CONNECT_S if secured else None
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: flow, accepted, ssl=secured, ssl_handshake_timeout=timeout
            )
        except (OSError, TimeoutError) as error:
            self._gate.blame(time.monotonic(), flow.remote[0])
            self._gate.log.note(time.monotonic(), flow.remote, "handshake", 0, f"TLS failed: {type(error).__name__}")
            accepted.close()
            flow.connection_lost(None)

    async def _connect(self, flow: StreamFlow) -> None:
        secured = None
        if flow.transport == "TLS":
            secured = self._tls_client or ssl.create_default_context()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: flow, *flow.remote, ssl=secured)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            logger.warning("no connection to %s:%d over %s: %s", *flow.remote, flow.transport, error)
            flow.connection_lost(None)

    def _has_room(self, remote: Address) -> bool:
        same = sum(1 for _, (host, _) in self._streams if host == remote[0])
        if len(self._streams) < self._limits.connections and same < self._limits.connections_per_host:
            return True
        self._gate.log.note(time.monotonic(), remote, "connection", 0, "too many connections")
        return False

    def _stream(self, transport: str, remote: Address) -> StreamFlow:
        host, port = self.listening.get(transport) or self.listening["TCP"]
        local = (route_to(remote[0]) if is_any(host) and is_address(remote[0]) else host), port
        flow = StreamFlow(
            transport,
            local,
            remote,
            self._limits.each,
            self._events.received,
            self._closed,
            time.monotonic,
        )
        self._streams[transport, remote] = flow
        return flow

    def _closed(self, flow: StreamFlow) -> None:
        if self._streams.get((flow.transport, flow.remote)) is flow:
            del self._streams[flow.transport, flow.remote]
        self._events.failed(flow)


def is_any(host: str) -> bool:
    """Say whether an address stands for all of this machine's."""
    return host in ("0.0.0.0", "::", "")
