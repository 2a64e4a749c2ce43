"""A Realtime upstream that misbehaves on purpose: for tests, and to see what callers hear of it.

    this service ──► faults ──► a real upstream (another instance of this service will do)

It passes everything on, but for the fault of that connection: the first of the list for the first connection, and so
on; the connections after the list are left alone, or have the last one for good. Faults in answers strike after `after`
audio deltas. With what the service only tries out when it starts, nothing goes wrong.

| fault | what the client of it sees |
|---|---|
| refuse | the TCP connection is reset during the handshake |
| 401, 429, 503 | that status; 429 with `retry-after: 1` |
| mute | the handshake is never answered |
| stall | no more events, and the connection stays open |
| drip | a second between events |
| cut | the connection is reset in the middle of a frame of audio |
| garbage | a frame that is not JSON |
| expire | `session_expired`, and close 1001 |
| shuffle | events of an answer two by two in the wrong order |
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from voice.upstream.trial import TRIAL_PREFIX

DRIP_S: Final = 1.0
_CLOSE_S: Final = 0.5
_AUDIO: Final = '"response.output_audio.delta"'
_HALF_FRAME: Final = b'\x81\x7e\x10\x00{"type":"response.output_audio.delta","delta":"AAAA'
"""A text frame that announces 4096 bytes and holds some 50."""


class Fault(StrEnum):
    """What goes wrong."""

    NONE = "none"
    REFUSE = "refuse"
    UNAUTHORIZED = "401"
    OVERLOADED = "429"
    UNAVAILABLE = "503"
    MUTE = "mute"
    STALL = "stall"
    DRIP = "drip"
    CUT = "cut"
    GARBAGE = "garbage"
    EXPIRE = "expire"
    SHUFFLE = "shuffle"


_STATUSES: Final = {
    Fault.UNAUTHORIZED: (HTTPStatus.UNAUTHORIZED, "invalid_api_key"),
    Fault.OVERLOADED: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded"),
    Fault.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "server_error"),
}


@dataclass(slots=True)
class Passage:
    """One connection, as it was seen: for tests that want to know what was said."""

    fault: Fault
    path: str = ""
    """With the query."""
    headers: dict[str, str] = field(default_factory=dict)
    to_upstream: list[str] = field(default_factory=list)
    to_client: list[str] = field(default_factory=list)


class FaultyUpstream:
    """The proxy. `passages` are its connections so far, refused ones among them."""

    def __init__(
        self, target: str, faults: Sequence[Fault], *, after: int = 1, lasts: bool = False, keeps: bool = False
    ) -> None:
        """`target` is the URL of the real upstream; the query comes from who connects.

        `lasts`: the last fault stays for all connections after it; `keeps`: remember the events.
        """
        self._target = target
        self._faults = tuple(faults)
        self._after = after
        self._lasts = lasts
        self._keeps = keeps
        self._passing: dict[ServerConnection, Passage] = {}
        self.passages: list[Passage] = []

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve while entered; gives the URL to connect to."""
        async with serve(
            self._pass_on,
            host,
            port,
            process_request=self._judge,
            compression=None,
            max_size=None,
            close_timeout=_CLOSE_S,
        ) as server:
            yield f"ws://{host}:{_port(server)}/v1/realtime"

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        if headers.get("x-client-request-id", "").startswith(TRIAL_PREFIX):
            self._passing[connection] = Passage(Fault.NONE, request.path, headers)
            return None
        place = len(self.passages)
        if place < len(self._faults):
            fault = self._faults[place]
        else:
            fault = self._faults[-1] if self._lasts and self._faults else Fault.NONE
        passage = Passage(fault, request.path, headers)
        self.passages.append(passage)
        self._passing[connection] = passage
        if fault in _STATUSES:
            status, code = _STATUSES[fault]
            body = json.dumps({"error": {"message": "A fault, as ordered.", "type": "error", "code": code}}).encode()
            answer = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
            if fault is Fault.OVERLOADED:
                answer["Retry-After"] = "1"
            return Response(status, status.phrase, answer, body)
        if fault is Fault.REFUSE:
            connection.transport.abort()
        elif fault is Fault.MUTE:
            await asyncio.sleep(60)
        return None

    async def _pass_on(self, client: ServerConnection) -> None:
        passage = self._passing.pop(client)
        query = urlsplit(client.request.path).query if client.request else ""
        keys = ("authorization", "api-key", "openai-safety-identifier")
        headers = {name: value for name, value in passage.headers.items() if name in keys}
        url = f"{self._target}?{query}" if query else self._target
        with suppress(ConnectionClosed):
            async with connect(
                url, additional_headers=headers, compression=None, max_size=None, close_timeout=_CLOSE_S
            ) as upstream:
                try:
                    async with asyncio.TaskGroup() as tasks:
                        out = tasks.create_task(self._out(client, upstream, passage))
                        await self._back(client, upstream, passage)
                        out.cancel()
                except* ConnectionClosed:
                    pass

    async def _out(self, client: ServerConnection, upstream: ClientConnection, passage: Passage) -> None:
        async for message in client:
            if self._keeps:
                passage.to_upstream.append(str(message))
            await upstream.send(message)
        await upstream.close()

    async def _back(self, client: ServerConnection, upstream: ClientConnection, passage: Passage) -> None:
        heard, held = 0, ""
        async for message in upstream:
            text = str(message)
            heard += _AUDIO in text[:300]
            strikes = heard > self._after
            if strikes and await self._strike(client, passage.fault):
                return
            if passage.fault is Fault.DRIP and '"response.' in text[:40]:
                await asyncio.sleep(DRIP_S)
            if passage.fault is Fault.SHUFFLE and _may_wait(text) and not held:
                held = text
                continue
            for each in (text, held):
                if each:
                    if self._keeps:
                        passage.to_client.append(each)
                    await client.send(each)
            held = ""

    async def _strike(self, client: ServerConnection, fault: Fault) -> bool:
        """Let the fault of an answer happen; True when nothing more is to be passed on."""
        match fault:
            case Fault.CUT:
                client.transport.write(_HALF_FRAME)
                client.transport.abort()
            case Fault.GARBAGE:
                await client.send('{"type": "response.output_audio.delta", "delta": ')
            case Fault.EXPIRE:
                message = "Your session hit the maximum duration of 60 minutes."
                error = {"type": "invalid_request_error", "code": "session_expired", "message": message}
                await client.send(json.dumps({"type": "error", "event_id": "event_fault", "error": error}))
                await client.close(1001, message)
            case Fault.STALL:
                await client.wait_closed()
            case _:
                return False
        return True


def _may_wait(text: str) -> bool:
    """Tell whether an event may come one too late: of an answer, neither its sound, its beginning nor its end."""
    head = text[:300]
    kinds = ('"response.output_item.added"', '"response.output_audio_transcript.delta"', '"response.content_part.')
    return any(kind in head for kind in kinds)


def _port(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
