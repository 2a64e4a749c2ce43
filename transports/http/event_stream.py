"""Server-sent events: one JSON object each, as the official clients read them."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

DONE = b"data: [DONE]\n\n"


class EventStream:
    """An answer that grows. A client that goes away ends the request's task, and with it whatever feeds the stream."""

    def __init__(self, request: web.Request) -> None:
        """Nothing is sent before `start`: until then the answer may still be an error."""
        self._request = request
        self._response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", hdrs.CACHE_CONTROL: "no-cache"}
        )
        self.is_started = False

    async def start(self) -> None:
        """Send the head."""
        self.is_started = True
        await self._response.prepare(self._request)

    async def send(self, data: Mapping[str, Any], event: str | None = None) -> None:
        """Send one event; waits while the client reads slowly."""
        if not self.is_started:
            await self.start()
        head = f"event: {event}\n" if event else ""
        await self._response.write(f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode())

    async def finish(self, *, mark: bool = False) -> web.StreamResponse:
        """End the stream, with the `[DONE]` that chat completions end with."""
        if mark:
            await self._response.write(DONE)
        await self._response.write_eof()
        return self._response
