"""The page at `/`: what is served, who gets a secret, and what the secret opens."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import ClientSession, web

from tests.transports.http.conftest import FakeSessions
from transports.http.app import ConsoleSettings, build_app
from transports.http.auth import KeyRing

PAGE = {"Sec-Fetch-Site": "same-origin"}
MINT = "/console/client_secret"
BODY = {"model": "receptionist"}

Serve = Callable[..., Awaitable[ClientSession]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a service with a console; return a client of it."""
    async with AsyncExitStack() as stack:

        async def begin(keys: dict[str, str] | None = None, console_key: str | None = None) -> ClientSession:
            settings = ConsoleSettings(console_key)
            runner = web.AppRunner(build_app(FakeSessions(), KeyRing(keys), console=settings))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return await stack.enter_async_context(ClientSession(base))

        yield begin


def bearer(key: str) -> dict[str, str]:
    return {**PAGE, "Authorization": f"Bearer {key}"}


async def status(client: ClientSession, headers: dict[str, str], body: Any = BODY) -> int:
    async with client.post(MINT, json=body, headers=headers) as answer:
        return answer.status


async def test_the_page_and_all_that_it_names_are_served_without_a_key(serve: Serve) -> None:
    client = await serve({"ops": "sk-ops"})
    async with client.get("/") as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    named = set(re.findall(r'(?:src|href)="/([^"]+)"', page))
    assert {"console/main.js", "console/style.css", "console/icon.svg"} <= named
    for path in named:
        async with client.get(f"/{path}") as answer:
            assert answer.status == 200
            etag = answer.headers["ETag"]
        async with client.get(f"/{path}", headers={"If-None-Match": etag}) as answer:
            assert answer.status == 304


@pytest.mark.parametrize("path", ["/console/..%2Froutes.py", "/console/routes.py", "/console/", "/console/none.js"])
async def test_nothing_else_is_served(serve: Serve, path: str) -> None:
    client = await serve()
    async with client.get(path) as answer:
        assert answer.status == 404


async def test_the_page_calls_with_a_secret_that_names_its_agent(serve: Serve) -> None:
    client = await serve()
    async with client.post(MINT, json=BODY, headers=PAGE) as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        made = await answer.json()
    headers = {"Authorization": f"Bearer {made['value']}"}
    async with client.ws_connect("/v1/realtime?model=gpt-realtime", headers=headers) as socket:
        assert (await socket.receive_json())["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://localhost:1"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    ],
)
async def test_pages_of_others_and_programs_get_no_secret(serve: Serve, headers: dict[str, str]) -> None:
    assert await status(await serve(), headers) == 403


async def test_a_page_of_a_browser_that_names_only_its_origin_gets_one(serve: Serve) -> None:
    client = await serve()
    origin = str(client._base_url).rstrip("/")
    assert await status(client, {"Origin": origin}) == 200


async def test_a_form_gets_no_secret(serve: Serve) -> None:
    client = await serve()
    async with client.post(
        MINT, data=b'{"model": "receptionist"}', headers={**PAGE, "Content-Type": "text/plain"}
    ) as a:
        assert a.status == 415


@pytest.mark.parametrize("body", [{}, [], {"model": 1}, {"model": "receptionist", "instructions": "Swear."}])
async def test_the_page_names_an_agent_and_nothing_more(serve: Serve, body: Any) -> None:
    assert await status(await serve(), PAGE, body) == 400


async def test_an_agent_that_does_not_exist_is_not_found(serve: Serve) -> None:
    assert await status(await serve(), PAGE, {"model": "nobody"}) == 404


async def test_where_keys_are_configured_the_page_shows_one(serve: Serve) -> None:
    client = await serve({"ops": "sk-ops"}, "for-the-page")
    assert await status(client, PAGE) == 401
    assert await status(client, bearer("wrong")) == 401
    assert await status(client, bearer("sk-ops")) == 200
    assert await status(client, bearer("for-the-page")) == 200


async def test_the_key_of_the_console_opens_the_list_of_models_and_nothing_else(serve: Serve) -> None:
    client = await serve({"ops": "sk-ops"}, "for-the-page")
    headers = {"Authorization": "Bearer for-the-page"}
    for path, expected in (("/v1/models", 200), ("/v1/models/receptionist", 200)):
        async with client.get(path, headers=headers) as answer:
            assert answer.status == expected
    async with client.post("/v1/realtime/client_secrets", json={}, headers=headers) as answer:
        assert answer.status == 401
    async with client.get("/v1/realtime", headers={**headers, "Upgrade": "websocket"}) as answer:
        assert answer.status == 401


async def test_without_keys_the_key_of_the_console_shuts_nobody_out(serve: Serve) -> None:
    client = await serve(None, "for-the-page")
    assert await status(client, PAGE) == 200
    async with client.get("/v1/models") as answer:
        assert answer.status == 200


async def test_without_a_console_there_is_no_page(service: Any) -> None:
    async with service.client.get("/") as answer:
        assert answer.status == 404
