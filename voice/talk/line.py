"""What a call is carried by: a WebSocket here, WebRTC from whoever knows how (`voice/cli.py` brings it along)."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from voice.talk.errors import ServiceUnreachable

Event = dict[str, Any]


class LineClosed(Exception):
    """The service has hung up; the message says how."""


class Line(Protocol):
    """One connection to a service."""

    server_plays: bool
    """True where the service paces playback and truncates what was not heard; else the client does (contract 4.7)."""

    async def send(self, event: Event) -> None:
        """Send an event. Raises: LineClosed."""
        ...

    async def append(self, audio: bytes) -> None:
        """Send what the microphone heard, in the wire's format. Raises: LineClosed."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """Yield what the service sends, audio as `response.output_audio.delta`. Raises: LineClosed at the end."""
        ...

    async def aclose(self) -> None:
        """Hang up."""
        ...


Dial = Callable[[str, str | None, str | None, float], Awaitable[Line]]
"""Takes address, model, key and how many seconds it may take. Raises: ServiceUnreachable."""

DIALERS: dict[str, Dial] = {}
"""Other lines than the WebSocket, by name: `webrtc`."""


class WebSocketLine:
    """The contract's WebSocket."""

    server_plays = False

    def __init__(self, socket: ClientConnection) -> None:
        """Use `dial_websocket`."""
        self._socket = socket

    async def send(self, event: Event) -> None:
        """Send an event. Raises: LineClosed."""
        await self._send(json.dumps(event))

    async def append(self, audio: bytes) -> None:
        """Send audio in base64. Raises: LineClosed."""
        payload = base64.b64encode(audio).decode("ascii")
        await self._send(f'{{"type":"input_audio_buffer.append","audio":"{payload}"}}')

    async def _send(self, text: str) -> None:
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            raise LineClosed(str(error)) from None

    async def events(self) -> AsyncIterator[Event]:
        """Yield what comes. Raises: LineClosed at the end."""
        try:
            async for text in self._socket:
                yield json.loads(text)
        except ConnectionClosed as error:
            raise LineClosed(str(error)) from None
        raise LineClosed(f"closed with {self._socket.close_code} {self._socket.close_reason or ''}".strip())

    async def aclose(self) -> None:
        """Close with 1000."""
        await self._socket.close()


def websocket_url(url: str, model: str | None = None) -> str:
    """Return the address of the realtime endpoint for a service named in any usual way."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path += "/realtime" if path.endswith("/v1") else "/v1/realtime"
    query = "&".join(part for part in (parts.query, f"model={quote(model)}" if model else "") if part)
    return urlunsplit((scheme, parts.netloc, path, query, ""))


async def dial_websocket(url: str, model: str | None, key: str | None, timeout_s: float) -> Line:
    """Connect. Raises: ServiceUnreachable."""
    url = websocket_url(url, model)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        socket = await connect(url, additional_headers=headers, max_size=None, compression=None, open_timeout=timeout_s)
    except InvalidStatus as error:
        raise ServiceUnreachable(_refusal(url, error)) from None
    except (OSError, InvalidURI, InvalidHandshake, TimeoutError) as error:
        raise ServiceUnreachable(
            f"no service answers at {url} ({error or 'timed out'}); start one with: voice serve"
        ) from None
    return WebSocketLine(socket)


def _refusal(url: str, error: InvalidStatus) -> str:
    """Say why the handshake was refused, in the service's own words where it gave some."""
    message = ""
    with suppress(ValueError, KeyError, TypeError):
        message = json.loads(error.response.body or b"")["error"]["message"]
    hint = " Give a key with --key." if error.response.status_code == 401 else ""
    status = error.response.status_code
    return f"{url} refused the connection with status {status}{': ' if message else ''}{message}{hint}"
