"""Forms of recordings, as far as they are read."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ClientSession, FormData, web

from transports.http.audio import MAX_FIELD_BYTES, MAX_PARTS, Audio
from transports.http.auth import KeyRing
from transports.http.middleware import guard
from voice.rest.service import SingleRequests

from .conftest import Serve

PATH = "/v1/audio/transcriptions"


@pytest.fixture
async def client(serve: Serve) -> ClientSession:
    """Of a service that goes no further than the form."""
    requests = cast(SingleRequests, SimpleNamespace(room=None, resolve=lambda _: None))
    app = web.Application(middlewares=[guard(loopback_only=False)])
    app.add_routes([web.post(PATH, Audio(requests, KeyRing()).transcribe)])
    return await serve(app)


async def refusal(client: Any, form: FormData) -> tuple[int, str | None]:
    async with client.post(PATH, data=form) as answer:
        return answer.status, (await answer.json())["error"]["code"]


def form_of(*fields: tuple[str, str]) -> FormData:
    form = FormData(default_to_multipart=True)
    for name, value in fields:
        form.add_field(name, value)
    return form


@pytest.mark.parametrize("name", ["model", "include[]"])
async def test_a_form_of_parts_without_end_is_not_read_to_its_end(client: Any, name: str) -> None:
    form = form_of(*[(name, "x") for _ in range(MAX_PARTS + 1)])
    assert await refusal(client, form) == (413, "request_too_large")


async def test_a_field_without_end_is_not_read_to_its_end(client: Any) -> None:
    form = form_of(("model", "x" * (MAX_FIELD_BYTES + 1)))
    assert await refusal(client, form) == (413, "content_size_limit_exceeded")


async def test_a_form_without_a_file_is_told_so(client: Any) -> None:
    assert await refusal(client, form_of(("model", "whisper-1"))) == (400, "missing_required_parameter")
