"""What becomes of a request that fails: an error as JSON, or the end of an answer that has begun."""

from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from transports.http.malformed import request_log
from transports.http.middleware import add_headers, guard
from voice.errors import CapacityError, EngineUnavailable

from .conftest import Serve

FAILURES: dict[str, tuple[Exception, int]] = {
    "engine": (EngineUnavailable("It is gone."), 503),
    "capacity": (CapacityError("All are taken."), 503),
    "fault": (ZeroDivisionError("secret"), 500),
}


async def fail(request: web.Request) -> web.StreamResponse:
    """Fail at once, or behind `?begun` in the middle of the answer."""
    if "begun" in request.query:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half an ")
    raise FAILURES[request.match_info["how"]][0]


@pytest.fixture
async def client(serve: Serve) -> ClientSession:
    app = web.Application(middlewares=[guard(loopback_only=False)], handler_args={"logger": request_log()})
    app.on_response_prepare.append(add_headers)
    app.add_routes([web.get("/{how}", fail)])
    return await serve(app)


@pytest.mark.parametrize("how", FAILURES)
async def test_a_failure_is_answered_by_an_error(client: Any, how: str) -> None:
    async with client.get(f"/{how}") as answer:
        assert answer.status == FAILURES[how][1]
        assert "secret" not in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("how", FAILURES)
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(client: Any, how: str) -> None:
    async with client.get(f"/{how}?begun") as answer:
        assert answer.status == 200
        assert await answer.content.readexactly(8) == b"half an "
        with pytest.raises(ClientPayloadError):
            await answer.read()
    async with client.get(f"/{how}") as answer:  # the next one is on a connection of its own
        assert answer.status == FAILURES[how][1]
