"""The cases of the Autobahn test suite, run by kosoku against an echo over the service's own WebSocket stack."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType, web
from websockets.asyncio.client import connect

from transports.websocket import WebSocketTransport
from voice.protocol.dialect import GA

COMPRESSION = ("12.*", "13.*")
"""Cases that are about nothing else."""


async def echo(request: web.Request) -> web.StreamResponse:
    """Send back each message as it came; the transport itself would answer all but events with an error."""
    transport = await WebSocketTransport.accept(request, GA)
    socket, messages = transport.response, list[WSMessage]()
    receive = socket.receive

    async def noting() -> WSMessage:
        messages.append(await receive())
        return messages[-1]

    socket.receive = noting  # type: ignore[assignment, method-assign]  # what was received is not to be had otherwise
    async for _ in transport.client_events():
        message = messages.pop()
        messages.clear()
        if message.type is WSMsgType.TEXT:
            transport._outbox.send(message.data)
        else:
            transport._outbox.control(socket.send_bytes(message.data))
    await transport.aclose()
    return socket


@pytest.fixture
async def url() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def run_cases() -> Iterator[Callable[..., Awaitable[list[Any]]]]:
    """Kosoku puts stand-ins of other packages, `pkg_resources` among them, where imports find them: not for long."""
    path, modules = sys.path[:], set(sys.modules)
    from kosoku import run_fuzzingclient

    yield run_fuzzingclient
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("pkg_resources", "autobahn", "autobahntestsuite"):
            del sys.modules[name]


async def test_no_autobahn_case_fails(url: str, run_cases: Callable[..., Awaitable[list[Any]]]) -> None:
    results = await run_cases(url, exclude_cases=COMPRESSION, concurrency=4)
    assert len(results) > 290
    assert [result.case_id for result in results if not result.passed] == []


async def test_compression_is_refused(url: str) -> None:
    async with connect(url, compression="deflate") as client:
        assert client.response is not None
        assert client.request is not None
        assert "permessage-deflate" in client.request.headers["Sec-WebSocket-Extensions"]
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        await client.send("plain")
        assert await client.recv() == "plain"
