"""What an upstream sees of the handshake, in the forms that providers have; from the configuration to the wire."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import TypeAdapter
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from voice.config_engines import UpstreamConfig
from voice.engine_sources import upstream_options
from voice.engines.port import EngineSettings
from voice.engines.upstream import UpstreamEngine
from voice.errors import EngineOverloaded, EngineRefused
from voice.talk.service import ServiceProcess

KEYED = {"type": "upstream", "key": "k-1"}
OPENAI = {"authorization": "Bearer k-1", "api-key": None}
AZURE = {"authorization": None, "api-key": "k-1"}


@dataclass
class FakeUpstream:
    """Lets everybody in, or nobody; keeps the handshakes."""

    answer: Callable[[ServerConnection], Response | None] = lambda _: None
    requests: list[Request] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with serve(self._greet, "127.0.0.1", 0, process_request=self._judge) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            yield f"http://127.0.0.1:{port}"

    def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return self.answer(connection)

    async def _greet(self, connection: ServerConnection) -> None:
        await connection.send('{"type": "session.created", "event_id": "event_1", "session": {"id": "sess_1"}}')
        await connection.wait_closed()


async def open_and_close(url: str, config: dict[str, Any]) -> None:
    options = upstream_options(TypeAdapter(UpstreamConfig).validate_python(KEYED | config | {"url": url}))
    engine = UpstreamEngine(options, safety_identifier="5afe")
    try:
        await engine.open(EngineSettings())
    finally:
        await engine.aclose()


@pytest.mark.parametrize(
    ("path", "config", "asked", "keys"),
    [
        ("/v1/realtime", {"model": "gpt-realtime"}, "/v1/realtime?model=gpt-realtime", OPENAI),
        ("/v1", {"model": "gpt-realtime"}, "/v1/realtime?model=gpt-realtime", OPENAI),
        (
            "/openai/v1",
            {"model": "my-deployment", "key_header": "api-key"},
            "/openai/v1/realtime?model=my-deployment",
            AZURE,
        ),
        (
            "/openai/realtime?api-version=2025-08-28&deployment=mine",
            {"key_header": "api-key"},
            "/openai/realtime?api-version=2025-08-28&deployment=mine",
            AZURE,
        ),
        (
            "/openai",
            {"query": {"api-version": "v1", "deployment": "mine"}, "key_header": "api-key"},
            "/openai/realtime?api-version=v1&deployment=mine",
            AZURE,
        ),
    ],
)
async def test_an_upstream_is_asked_in_its_providers_form(
    path: str, config: dict[str, Any], asked: str, keys: dict[str, str | None]
) -> None:
    upstream = FakeUpstream()
    async with upstream.serving() as url:
        await open_and_close(url + path, config)
    (request,) = upstream.requests
    assert request.path == asked
    assert {name: request.headers.get(name) for name in keys} == keys


async def test_an_upstream_learns_whose_bill_it_is_and_who_asks() -> None:
    upstream = FakeUpstream()
    named = {"organization": "org-1", "project": "proj-1", "headers": {"X-Team": "phones"}}
    async with upstream.serving() as url:
        await open_and_close(f"{url}/v1", named)
        await open_and_close(f"{url}/v1", named)
    first, second = (request.headers for request in upstream.requests)
    assert (first["OpenAI-Organization"], first["OpenAI-Project"], first["X-Team"]) == ("org-1", "proj-1", "phones")
    assert first["OpenAI-Safety-Identifier"] == "5afe"
    assert first["X-Client-Request-Id"].startswith("upstream_")
    assert first["X-Client-Request-Id"] != second["X-Client-Request-Id"], "each handshake can be found again"


async def test_an_upstream_learns_whom_a_client_speaks_for() -> None:
    upstream = FakeUpstream()
    async with upstream.serving() as url:
        with ServiceProcess("--engine", "upstream", "--upstream", url) as service:
            headers = {"OpenAI-Safety-Identifier": "user-7f3a"}
            for path, given in (("", headers), ("/translations", headers), ("", {}), ("", {})):
                async with connect(service.url + path, additional_headers=given) as client:
                    await client.recv()
    # The service's own look at the upstream, as it starts, is nobody's.
    told = [name for request in upstream.requests if (name := request.headers.get("OpenAI-Safety-Identifier"))]
    assert told[:2] == ["user-7f3a"] * 2
    assert len(set(told)) == 3, "who names nobody speaks for this session alone"


async def test_a_key_does_not_follow_a_redirect() -> None:
    elsewhere = FakeUpstream()
    async with elsewhere.serving() as other:

        def redirect(connection: ServerConnection) -> Response:
            response = connection.respond(307, "")
            response.headers["Location"] = f"{other}/v1/realtime"
            return response

        upstream = FakeUpstream(redirect)
        async with upstream.serving() as url:
            with pytest.raises(EngineRefused):
                await open_and_close(f"{url}/v1", {})
    assert elsewhere.requests == []


@pytest.mark.parametrize(("header", "value", "asked_s"), [("retry-after", "7", 7.0), ("retry-after-ms", "250", 0.25)])
async def test_what_an_upstream_asks_for_is_told(header: str, value: str, asked_s: float) -> None:
    def busy(connection: ServerConnection) -> Response:
        response = connection.respond(429, "")
        response.headers[header] = value
        return response

    upstream = FakeUpstream(busy)
    async with upstream.serving() as url:
        with pytest.raises(EngineOverloaded) as refused:
            await open_and_close(f"{url}/v1", {})
    assert refused.value.retry_after_s == asked_s
    assert len(upstream.requests) == 1
