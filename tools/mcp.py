"""MCP servers that the client of a session names: lists their tools and runs them (contract 3.4, 4.11).

Implements `voice.tooling.RemoteTools` over streamable HTTP. Whatever a server does ends as a listing with a problem or
as a failed result of one of three kinds:

    tool_execution_error   the tool says that it failed, or the arguments do not fit what it takes
    protocol_error         a JSON-RPC error, no answer in time, a lost connection, an answer that breaks its own schema
    http_error             a refusal on the way there, with its status
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import structlog
from mcp import ClientSession, MCPError
from mcp.types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    REQUEST_TIMEOUT,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    EmbeddedResource,
    PaginatedRequestParams,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from tools.errors import ArgumentsInvalid
from tools.mcp_connection import ConnectionFailed, ConnectionLimits, McpConnection
from tools.mcp_http import Exchange, noting
from tools.mcp_schema import read_arguments, schema_fault, value_fault
from tools.output import cut
from voice.tooling import FailureKind, RemoteListing, RemoteServer, RemoteTool, ToolResult

_NOT_FOUND = 404
_MAX_PAGES = 20
_MAX_NAME = 128
_MAX_MESSAGE_BYTES = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class McpLimits:
    """Bounds of one session's MCP servers."""

    list_timeout_s: float = 10.0
    """To connect and list the tools, all in all."""
    call_timeout_s: float = 30.0
    """For one call, connecting again included."""
    max_connections: int = 16
    """Past it the one that was idle longest is closed; it is opened again when it is needed."""
    max_concurrent_calls: int = 8
    """Calls under way at once; one more fails at once."""
    max_tools: int = 128
    """Of one server; the rest of its list is left out."""
    max_schema_bytes: int = 32 * 1024
    """A tool with a longer one is left out."""
    max_description_bytes: int = 4096
    max_output_bytes: int = 64 * 1024
    """Of a result, which every later response reads again; the rest is cut with a note."""
    max_body_bytes: int = 4 * 1024 * 1024
    """Of one HTTP answer."""
    private_addresses: bool = False
    """Clients may name servers on this machine and its network, too."""


class McpServers:
    """The MCP servers of one session; implements `voice.tooling.RemoteTools`. Belongs to one event loop."""

    def __init__(self, limits: McpLimits | None = None, *, session_id: str = "") -> None:
        """`session_id` is for the logs."""
        self._limits = limits or McpLimits()
        self._connections: dict[str, McpConnection] = {}
        self._log = _log.bind(session=session_id)

    async def list_tools(self, list_id: str, server: RemoteServer) -> RemoteListing:
        """Connect, and ask for the tools. Never raises but `CancelledError`."""
        limits = self._limits
        connection = McpConnection(
            server, ConnectionLimits(limits.max_body_bytes, limits.private_addresses, limits.list_timeout_s)
        )
        with noting() as exchange:
            try:
                async with asyncio.timeout(limits.list_timeout_s):
                    await self._make_room()
                    self._connections[list_id] = connection
                    with connection.in_use():
                        return await self._list(connection)
            except Exception as error:  # noqa: BLE001 -- whatever a server does to us is its failure
                problem = self._failure(connection, error, exchange, limits.list_timeout_s)
        self._log.warning("mcp_list_failed", server=server.label, kind=problem.kind, reason=problem.output)
        self._connections.pop(list_id, None)
        await connection.aclose()
        return RemoteListing(problem=problem.output)

    async def call(self, list_id: str, name: str, arguments: str) -> ToolResult:
        """Run one call. Never raises but `CancelledError`."""
        connection = self._connections.get(list_id)
        tool = connection.tools.get(name) if connection is not None else None
        if connection is None or tool is None:
            return ToolResult(f"The MCP server has no tool '{name}'.", failed=True)
        if sum(one.busy for one in self._connections.values()) >= self._limits.max_concurrent_calls:
            return ToolResult(f"{name} was not run: too many tools are running already.", failed=True)
        try:
            values = read_arguments(arguments, tool.input_schema)
        except ArgumentsInvalid as error:
            return ToolResult(f"{name} was not run: {error}. Call it again with this corrected.", failed=True)
        started_s = time.monotonic()
        with connection.in_use():
            result = await self._supervise(connection, tool, values)
        if result.failed:
            took_ms = round((time.monotonic() - started_s) * 1000)
            log = self._log.bind(server=connection.server.label, tool=name, ms=took_ms)
            log.warning("mcp_call_failed", kind=result.kind, code=result.code)
        return result

    async def aclose(self) -> None:
        """Let go of every connection, all at once. Safe to call twice."""
        connections, self._connections = list(self._connections.values()), {}
        if connections:
            await asyncio.gather(*(connection.aclose() for connection in connections))

    # --- Listing --------------------------------------------------------------------------------------------------

    async def _make_room(self) -> None:
        opened = [connection for connection in self._connections.values() if connection.is_open]
        if len(opened) < self._limits.max_connections:
            return
        idle = [connection for connection in opened if not connection.busy]
        if not idle:
            raise ConnectionFailed("too many connections to MCP servers are in use")
        await min(idle, key=lambda connection: connection.used_at_s).aclose()

    async def _list(self, connection: McpConnection) -> RemoteListing:
        session = await connection.session()
        listed: dict[str, Tool] = {}
        usable: list[RemoteTool] = []
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
            for tool in page.tools:
                fault = self._fault(tool, listed)
                if fault is not None:
                    self._log.warning(
                        "mcp_tool_left_out", server=connection.server.label, tool=tool.name[:_MAX_NAME], reason=fault
                    )
                elif len(usable) < self._limits.max_tools:
                    listed[tool.name] = tool
                    usable.append(self._usable(connection, tool))
            cursor = page.next_cursor
            if not cursor or len(usable) >= self._limits.max_tools:
                break
        connection.tools = listed
        return RemoteListing(tuple(usable))

    def _fault(self, tool: Tool, listed: dict[str, Tool]) -> str | None:
        if not tool.name or len(tool.name) > _MAX_NAME or not tool.name.isprintable():
            return "its name is empty, too long or not printable"
        if tool.name in listed:
            return "another tool has the same name"
        return schema_fault(tool.input_schema, self._limits.max_schema_bytes)

    def _usable(self, connection: McpConnection, tool: Tool) -> RemoteTool:
        description = connection.scrub(tool.description or "").encode("utf-8", "replace")
        annotations = None
        if tool.annotations is not None:
            annotations = tool.annotations.model_dump(mode="json", by_alias=True, exclude_none=True)
        return RemoteTool(
            tool.name,
            cut(description, self._limits.max_description_bytes),
            _scrubbed(connection, tool.input_schema),
            _scrubbed(connection, annotations) if annotations else None,
        )

    # --- Calling --------------------------------------------------------------------------------------------------

    async def _supervise(self, connection: McpConnection, tool: Tool, values: dict[str, Any]) -> ToolResult:
        with noting() as exchange:
            try:
                async with asyncio.timeout(self._limits.call_timeout_s):
                    if not connection.is_open:
                        await self._make_room()
                    answer = await self._ask(connection, tool.name, values, exchange)
            except Exception as error:  # noqa: BLE001 -- whatever a server does to us is the call's failure
                if isinstance(error, MCPError) and error.code == CONNECTION_CLOSED:
                    connection.give_up()  # it says so before its task has noticed
                return self._failure(connection, error, exchange, self._limits.call_timeout_s)
        words = connection.scrub(_render(answer))
        output = cut(words.encode("utf-8", "replace"), self._limits.max_output_bytes)
        if answer.is_error:
            return ToolResult(output or f"{tool.name} failed without a word.", failed=True)
        fault = _answer_fault(answer, tool)
        if fault is not None:
            return _failed(f"The MCP server broke its own schema: {fault}.", "protocol_error", INTERNAL_ERROR)
        return ToolResult(output)

    async def _ask(
        self, connection: McpConnection, name: str, values: dict[str, Any], exchange: Exchange
    ) -> CallToolResult:
        """Call; once more where the server has forgotten the session, which it says before it does anything."""
        was_open = connection.is_open
        try:
            return await _call(await connection.session(), name, values)
        except MCPError:
            if not was_open or exchange.refused != _NOT_FOUND:
                raise
        exchange.refused = None
        await connection.aclose()
        return await _call(await connection.session(), name, values)

    def _failure(self, connection: McpConnection, error: Exception, exchange: Exchange, timeout_s: float) -> ToolResult:
        """Say what went wrong, without secrets: in a listing, a log, or an `mcp_call` item."""
        name = f"The MCP server '{connection.server.label}'"
        if exchange.address_refused:
            return _failed(f"{name} has an address that is not public.", "protocol_error", CONNECTION_CLOSED)
        if exchange.refused is not None:
            return _failed(f"{name} answered with HTTP status {exchange.refused}.", "http_error", exchange.refused)
        match error:
            case TimeoutError():
                return _failed(f"{name} gave no answer within {timeout_s:g} s.", "protocol_error", REQUEST_TIMEOUT)
            case MCPError(code=code, message=message):
                words = cut(connection.scrub(message).encode("utf-8", "replace"), _MAX_MESSAGE_BYTES)
                return _failed(f"{name} failed: {words}", "protocol_error", code)
            case ConnectionFailed():
                return _failed(f"{name} cannot be used: {error}.", "protocol_error", CONNECTION_CLOSED)
            case ValidationError():
                return _failed(f"{name} answered what the protocol does not allow.", "protocol_error", INTERNAL_ERROR)
            case _:
                self._log.error("mcp_failed", server=connection.server.label, exception=type(error).__name__)
                return _failed(f"{name} failed ({type(error).__name__}).", "protocol_error", INTERNAL_ERROR)


async def _call(session: ClientSession, name: str, values: dict[str, Any]) -> CallToolResult:
    # Not `session.call_tool`: it would run the whole of the server's own output schema over the answer (`mcp_schema`).
    request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=values))
    return await session.send_request(request, CallToolResult)


def _failed(words: str, kind: FailureKind, code: int) -> ToolResult:
    return ToolResult(words, failed=True, kind=kind, code=code)


def _answer_fault(answer: CallToolResult, tool: Tool) -> str | None:
    if tool.output_schema is None:
        return None
    if answer.structured_content is None:
        return "the structured content is missing"
    return value_fault(answer.structured_content, tool.output_schema)


def _render(answer: CallToolResult) -> str:
    """Return an answer as text: an engine reads words, so pictures and sounds are only named."""
    parts = []
    for block in answer.content:
        match block:
            case TextContent(text=text):
                parts.append(text)
            case EmbeddedResource(resource=TextResourceContents(text=text)):
                parts.append(text)
            case ResourceLink(uri=uri):
                parts.append(f"[{uri}]")
            case _:
                parts.append(f"[{block.type}]")
    if not parts and answer.structured_content is not None:
        return to_json(answer.structured_content, inf_nan_mode="null").decode()
    return "\n".join(parts)


def _scrubbed(connection: McpConnection, value: dict[str, Any]) -> dict[str, Any]:
    scrubbed: dict[str, Any] = from_json(connection.scrub(to_json(value, inf_nan_mode="null").decode()))
    return scrubbed
