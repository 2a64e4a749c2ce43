"""One server over HTTP: what it does wrong becomes an error of ours, and is asked again only where that may help."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest
from aiohttp import web

from voice.errors import EngineError, EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.remote.api import Api, Pool, Server
from voice.remote.retry import RetryPolicy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[Api]]


async def no_sleep(seconds: float) -> None:
    """Return at once."""


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serve a list of handlers, one for each request; return the API of it."""
    runners: list[web.AppRunner] = []
    pool = Pool()

    async def start(*handlers: Handler, attempts: int = 3) -> Api:
        waiting = list(handlers)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await waiting.pop(0)(request)

        app = web.Application()
        app.router.add_post("/v1/ask", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server = Server(
            f"http://127.0.0.1:{runner.addresses[0][1]}/v1/", "sk-secret", {"OpenAI-Project": "p"}, {"api-version": "1"}
        )
        return Api(pool, server, RetryPolicy(attempts=attempts), sleep=no_sleep)

    yield start
    await pool.aclose()
    for runner in runners:
        await runner.cleanup()


def answers(body: object, status: int = 200, **headers: str) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return handle


def fails(status: int, code: str | None = None, **headers: str) -> Handler:
    return answers({"error": {"message": "no", "code": code}}, status, **headers)


def streams(*pieces: bytes, breaks_off: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if breaks_off and request.transport is not None:
            request.transport.abort()
        return response

    return handle


async def all_events(api: Api) -> list[dict[str, object]]:
    async with aclosing(api.stream_events("/ask", json_body={})) as events:
        return [event async for event in events]


async def test_key_headers_and_query_are_sent(serve: Serve) -> None:
    seen: dict[str, str] = {}

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.update(
            key=request.headers["Authorization"],
            project=request.headers["OpenAI-Project"],
            version=request.query["api-version"],
            body=await request.text(),
        )
        return web.json_response({"text": "Hi"})

    assert await (await serve(handle)).fetch_json("/ask", json_body={"a": 1}) == {"text": "Hi"}
    assert seen == {"key": "Bearer sk-secret", "project": "p", "version": "1", "body": json.dumps({"a": 1})}


@pytest.mark.parametrize("fault", [fails(500), fails(503), fails(429), fails(429, **{"retry-after": "1"}), fails(408)])
async def test_what_may_pass_is_asked_again(serve: Serve, fault: Handler) -> None:
    assert await (await serve(fault, fault, answers({"text": "Hi"}))).fetch_json("/ask", json_body={}) == {"text": "Hi"}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (fails(400), EngineError),
        (fails(401, "invalid_api_key"), EngineRefused),
        (fails(403), EngineRefused),
        (fails(404, "model_not_found"), EngineRefused),
        (fails(429, "insufficient_quota"), EngineRefused),
        (fails(429, **{"retry-after": "60"}), EngineOverloaded),
        (answers([1]), EngineProtocolError),
        (answers("x", 302, Location="/elsewhere"), EngineError),
    ],
)
async def test_what_would_fail_again_is_not_asked_again(serve: Serve, fault: Handler, error: type[EngineError]) -> None:
    with pytest.raises(error) as raised:
        await (await serve(fault)).fetch_json("/ask", json_body={})  # a second request would find no handler
    assert "sk-secret" not in raised.value.message


async def test_a_server_that_keeps_failing_is_given_up(serve: Serve) -> None:
    with pytest.raises(EngineUnavailable):
        await (await serve(fails(500), fails(500), attempts=2)).fetch_json("/ask", json_body={})


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    pool = Pool()
    api = Api(pool, Server("http://127.0.0.1:9/v1"), RetryPolicy(attempts=2), sleep=no_sleep)
    with pytest.raises(EngineUnavailable, match="reached"):
        await api.fetch_json("/ask", json_body={})
    await pool.aclose()


async def test_events_are_read_up_to_the_mark(serve: Serve) -> None:
    api = await serve(streams(b'data: {"a": 1}\n\nda', b'ta: {"b": 2}\n\n', b"data: [DONE]\n\n", b"data: x\n\n"))
    assert await all_events(api) == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("pieces", "breaks_off", "error"),
    [
        ((b"data: {\n\n",), False, EngineProtocolError),
        ((b"data: 5\n\n",), False, EngineProtocolError),
        ((b'data: {"error": {"message": "boom", "code": 1}}\n\n',), False, EngineUnavailable),
        ((b'data: {"a": 1}\n\n',), True, EngineUnavailable),
    ],
)
async def test_a_broken_stream_is_an_error_and_not_asked_again(
    serve: Serve, pieces: tuple[bytes, ...], breaks_off: bool, error: type[EngineError]
) -> None:
    with pytest.raises(error):
        await all_events(await serve(streams(*pieces, breaks_off=breaks_off)))


async def test_leaving_a_stream_closes_its_connection(serve: Serve) -> None:
    gone = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b'data: {"a": 1}\n\n')
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    async with aclosing((await serve(handle)).stream_events("/ask", json_body={})) as events:
        await anext(events)
    async with asyncio.timeout(5):
        await gone.wait()


async def test_bytes_come_as_they_are(serve: Serve) -> None:
    async with aclosing((await serve(streams(b"ab", b"cd"))).stream_bytes("/ask", json_body={})) as pieces:
        assert b"".join([piece async for piece in pieces]) == b"abcd"
