"""A real MCP server on loopback, made with the official package, and what goes wrong with such servers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel

from voice.tooling import RemoteServer

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


WAITING: list[asyncio.Event] = []
"""Set by the tool `wait` when it begins."""


class Total(BaseModel):
    total: int


def make_server() -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("shop", log_level="CRITICAL")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def search(query: str, limit: int = 3) -> str:
        """Search the shop."""
        return f"{limit} results for {query}"

    @server.tool()
    async def wait(seconds: float) -> str:
        for event in WAITING:
            event.set()
        await asyncio.sleep(seconds)
        return "waited"

    @server.tool()
    def fail() -> str:
        raise ValueError("out of stock")

    @server.tool()
    def long() -> str:
        return "é" * 40_000

    @server.tool()
    def huge() -> str:
        return "x" * 200_000

    @server.tool()
    def add(a: int, b: int) -> Total:
        return Total(total=a + b)

    return server


def lie(server: MCPServer[Any]) -> None:
    """Have `add` answer what its schema does not allow, without the server's own check."""

    async def lying(*_: Any, **__: Any) -> CallToolResult:
        content = [TextContent(text="five")]
        return CallToolResult(content=content, structured_content={"total": "five"})

    server._tool_manager.call_tool = lying  # type: ignore[method-assign]


@dataclass
class Endpoint:
    """The HTTP side of it, which a test may break."""

    app: Any
    port: int = 0
    status: int | None = None
    """Answer every POST with this."""
    hangs: bool = False
    is_old: bool = False
    """Know nothing of the newest protocol, so that there is a handshake and a session."""
    lose_session: bool = False
    """Answer the next POST of an established session as a server does that was started anew."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of every request."""
    methods: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """A request has come."""

    def server(self, label: str = "shop", **more: Any) -> RemoteServer:
        return RemoteServer(label, f"http://127.0.0.1:{self.port}/mcp", **more)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.headers.append({key.decode(): value.decode() for key, value in scope["headers"]})
            self.methods.append(scope["method"])
            self.arrived.set()
            if self.hangs:
                await asyncio.sleep(60)
            status = 400 if self.is_old and self.headers[-1].get("mcp-method") == "server/discover" else self.status
            if self.lose_session and "mcp-session-id" in self.headers[-1]:
                self.lose_session, status = False, 404
            if status is not None:
                await send({"type": "http.response.start", "status": status, "headers": []})
                await send({"type": "http.response.body", "body": b"no"})
                return
        await self.app(scope, receive, send)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serving(
    server: MCPServer[Any], port: int = 0, **options: Any
) -> AsyncIterator[tuple[Endpoint, Callable[[], Awaitable[None]]]]:
    """Serve on a free port; the second value ends the server at once, in the middle of whatever it does."""
    endpoint = Endpoint(server.streamable_http_app(**options))
    listener = socket.create_server(("127.0.0.1", port))
    # asyncio does that for the sockets that it makes itself; without, every answer takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    endpoint.port = listener.getsockname()[1]
    config = uvicorn.Config(endpoint, log_config=None, ws="none", timeout_graceful_shutdown=0)
    running = _Server(config)
    task = asyncio.create_task(running.serve([listener]))

    async def die() -> None:
        running.should_exit = running.force_exit = True
        for connection in list(running.server_state.connections):
            connection.transport.abort()
        await task

    try:
        await running.is_up.wait()
        yield endpoint, die
    finally:
        running.should_exit = running.force_exit = True
        await task
        listener.close()


@pytest.fixture
def make_shop() -> Callable[[], MCPServer[Any]]:
    return make_server


@pytest.fixture
def lying() -> Callable[[MCPServer[Any]], None]:
    return lie


@pytest.fixture
def waiting() -> asyncio.Event:
    WAITING[:] = [asyncio.Event()]
    return WAITING[0]


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture
async def shop() -> AsyncIterator[Endpoint]:
    async with serving(make_server()) as (endpoint, _):
        yield endpoint
