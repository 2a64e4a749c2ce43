"""Requests that are no HTTP: refused, and nothing of what they held is logged."""

import asyncio
import logging
from typing import Any

import pytest

KEY = "sk-kiosk"

MALFORMED = {
    "a stray character behind the key": f"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {KEY}\x01\r\n\r\n",
    "a blank before the colon": f"GET /v1/models HTTP/1.1\r\nAuthorization : Bearer {KEY}\r\n\r\n",
    "a header without end": f"GET /v1/models HTTP/1.1\r\nAuthorization: Bearer {KEY}{9000 * 'x'}\r\n\r\n",
    "no HTTP": f"{KEY}\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_what_a_malformed_request_held_is_not_logged(
    locked: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await exchange(locked, MALFORMED[name])
    assert answer.startswith("HTTP/1.0 400 ")
    assert KEY not in caplog.text
    (told,) = [record for record in caplog.records if record.name == "transports.http.requests"]
    assert told.levelno <= logging.INFO
    assert told.exc_info is None


BROKEN = {
    "no gzip": "Content-Encoding: gzip\r\nContent-Length: 8\r\n\r\nno gzip.",
    "no chunks": "Transfer-Encoding: chunked\r\n\r\nno chunks\r\n",
}
"""From the headers about the body on."""


@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_that_is_not_what_was_announced_is_the_clients_fault(
    locked: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    answer = await exchange(locked, head + BROKEN[name])
    assert " 400 " in answer.partition("\r\n")[0]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error(
    locked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    head = f"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", locked.port)
    writer.write(f"{head}Content-Length: 10\r\n\r\nhalf".encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with locked.client.get("/healthz") as answer:  # behind it on the same loop
        assert answer.status == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def exchange(service: Any, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer.decode()
