"""A small MCP server for the kit's flows: streamable HTTP, two tools, one of which fails.

Only for a server under test on this machine; for one elsewhere the user names an MCP server that it can reach
(`--mcp`), with tools named `price` and `broken` like these.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

_ARGUMENTS = {"type": "object", "properties": {"article": {"type": "string"}}, "required": ["article"]}
_TOOLS = [
    {"name": "price", "description": "Tells the price of an article.", "inputSchema": _ARGUMENTS},
    {"name": "broken", "description": "Looks up an article.", "inputSchema": _ARGUMENTS},
]
_METHOD_NOT_FOUND = -32601


@asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[str]:
    """Serve on a port of this machine, 0 for a free one; gives the URL."""
    application = web.Application()
    application.router.add_post("/mcp", _answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    finally:
        await runner.cleanup()


async def _answer(request: web.Request) -> web.Response:
    try:
        message = await request.json()
        method, id = message["method"], message.get("id")
    except (ValueError, KeyError, TypeError):
        return web.Response(status=400)
    if id is None:
        return web.Response(status=202)  # a notification
    result = _result(method, message.get("params") or {})
    if result is None:
        error = {"code": _METHOD_NOT_FOUND, "message": f"Method not found: {method}"}
        return web.json_response({"jsonrpc": "2.0", "id": id, "error": error})
    return web.json_response({"jsonrpc": "2.0", "id": id, "result": result})


def _result(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params.get("protocolVersion", "2025-06-18"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "conformance", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": _TOOLS}
    if method == "tools/call":
        failed = params.get("name") != "price"
        text = "the catalogue is closed" if failed else "It costs 40 euros."
        return {"content": [{"type": "text", "text": text}], "isError": failed}
    return None
