"""One connection to an MCP server, held by a task of its own and opened again when it was lost.

    session() ──► task: connect, agree on a version ──► ready ──► … ──► leave() | lost
                          │ fails: ConnectionFailed                        └── the next session() connects again

The `mcp` package wants a connection closed by the task that opened it, and ends the whole connection when one request
meets a dead network; so calls come and go in tasks of the session, and the connection lives beside them.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import structlog
from mcp import Client, ClientSession, Implementation, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Tool
from pydantic import ValidationError

from tools.mcp_http import GuardedTransport
from voice.tooling import RemoteServer

CLOSE_GRACE_S = 1.0
"""What a server gets to be told good-bye in."""

_CLIENT = Implementation(name="realtime-voice-agent", version="1")
_SHORTEST_SECRET = 8
"""Shorter header values are words such as `en`, which answers hold by chance."""

_log = structlog.get_logger(__name__)

# These write URLs, session ids and the bodies of answers, in which secrets of our clients may stand; what happened is
# logged by this package.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class ConnectionFailed(Exception):
    """The server cannot be reached, or does not speak the protocol. The text is fit for a client: no secrets."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a connection takes."""

    max_body_bytes: int
    private_addresses: bool
    connect_timeout_s: float


@dataclass(slots=True)
class McpConnection:
    """Belongs to one event loop and one session."""

    server: RemoteServer
    limits: ConnectionLimits
    tools: dict[str, Tool] = field(default_factory=dict)
    """As the server described them last."""
    busy: int = 0
    """Calls under way."""
    used_at_s: float = 0.0
    _task: asyncio.Task[None] | None = None
    _unwinding: set[asyncio.Task[None]] = field(default_factory=set)
    _ready: asyncio.Future[ClientSession] | None = None
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_open(self) -> bool:
        """True while there is a connection, or one is being made."""
        return self._task is not None and not self._task.done() and not self._leaving.is_set()

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the connection from being closed to make room."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self.used_at_s = time.monotonic()

    async def session(self) -> ClientSession:
        """Return the way to the server, connecting where it is needed. Raises: ConnectionFailed, MCPError."""
        if not self.is_open or self._ready is None:
            self._ready = asyncio.get_running_loop().create_future()
            # Whoever waits may have been cancelled; then nobody asks what became of it.
            self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
            self._leaving = asyncio.Event()
            name = f"mcp {self.server.label[:40]}"
            self._task = asyncio.create_task(self._hold(self._ready, self._leaving), name=name)
        return await asyncio.shield(self._ready)

    def give_up(self) -> None:
        """Let this connection end by itself; the next `session` opens another."""
        self._leaving.set()
        if self._task is not None and not self._task.done():
            self._unwinding.add(self._task)
            self._task.add_done_callback(self._unwinding.discard)
            if self._ready is not None and not self._ready.done():
                self._task.cancel()

    async def aclose(self) -> None:
        """Say good-bye, within `CLOSE_GRACE_S`, and at most as long again. Safe to call twice."""
        self.give_up()
        for _ in range(2):
            tasks = set(self._unwinding)
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_GRACE_S)
            for task in self._unwinding:
                task.cancel()

    async def _hold(self, ready: asyncio.Future[ClientSession], leaving: asyncio.Event) -> None:
        try:
            async with self._http_client() as http:
                transport = streamable_http_client(
                    self.server.url, http_client=http, max_sse_event_size=self.limits.max_body_bytes
                )
                async with Client(transport, client_info=_CLIENT, cache=None) as client:
                    ready.set_result(client.session)
                    await leaving.wait()
        except asyncio.CancelledError:
            if not ready.done():
                ready.set_exception(ConnectionFailed("the connection was given up"))
            raise
        except Exception as error:  # noqa: BLE001 -- the boundary of this task; a group may hold anything
            if not ready.done():
                ready.set_exception(_reason(error))
            else:
                _log.info("mcp_connection_lost", server=self.server.label, reason=_name_of(error))

    def _http_client(self) -> httpx2.AsyncClient:
        timeout = httpx2.Timeout(self.limits.connect_timeout_s, read=None)
        transport = GuardedTransport(
            private_addresses=self.limits.private_addresses, max_body_bytes=self.limits.max_body_bytes
        )
        headers = {**self.server.headers, "accept-encoding": "identity"}
        if self.server.authorization is not None:
            headers["authorization"] = f"Bearer {self.server.authorization}"
        return httpx2.AsyncClient(transport=transport, headers=headers, timeout=timeout, trust_env=False)

    def scrub(self, text: str) -> str:
        """Return a text of the server's in which none of the secrets stands that it was sent."""
        for secret in self._secrets():
            text = text.replace(secret, "[secret]")
        return text

    def _secrets(self) -> Iterator[str]:
        values = [*self.server.headers.values(), self.server.authorization or ""]
        for value in values:
            # The whole value first, then what stands behind a scheme such as `Bearer`.
            for secret in (value, value.rpartition(" ")[2]):
                if len(secret) >= _SHORTEST_SECRET:
                    yield secret


def _reason(error: BaseException) -> Exception:
    """Return what stands at the bottom of an exception group, in words without a URL."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case MCPError():
            return error
        case httpx2.TransportError() | httpx2.StreamError() | OSError():
            return ConnectionFailed(f"it cannot be reached ({_name_of(error)})")
        case ValidationError():
            return ConnectionFailed("it does not speak the protocol")
        case _:
            return ConnectionFailed(f"the connection failed ({_name_of(error)})")


def _name_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
