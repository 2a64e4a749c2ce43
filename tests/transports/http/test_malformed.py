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


async def exchange(service: Any, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    writer.write(request.encode())
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer.decode()
