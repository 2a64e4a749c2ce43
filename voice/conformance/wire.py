"""What carries text frames to a server and back: a WebSocket, or in tests a pair of queues."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

OPEN_TIMEOUT_S = 15.0
_CLOSE_TIMEOUT_S = 3.0


class WireClosed(Exception):
    """The other side has hung up."""

    def __init__(self, code: int | None, reason: str) -> None:
        """As a WebSocket close has them."""
        super().__init__(f"{code or 'no code'} {reason}".strip())
        self.code = code
        self.reason = reason


class Unreachable(Exception):
    """Nobody answers there."""


class Refused(Exception):
    """The server answered the handshake with something else than 101."""

    def __init__(self, status: int, body: bytes) -> None:
        """`body` is what came with it."""
        self.status = status
        self.body: Any = None
        with suppress(ValueError):
            self.body = json.loads(body)
        error = self.body.get("error") if isinstance(self.body, dict) else None
        self.error: dict[str, Any] = error if isinstance(error, dict) else {}
        super().__init__(f"status {status} {self.error.get('message') or ''}".strip())


@dataclass(frozen=True, slots=True)
class Answer:
    """A REST answer."""

    status: int
    body: Any
    """As JSON, or as text where it is none."""
    headers: dict[str, str]
    """Names in lower case."""

    @property
    def error(self) -> dict[str, Any]:
        """The error of the body; empty where there is none (contract 1.0)."""
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error if isinstance(error, dict) else {}

    def as_frame(self) -> dict[str, Any]:
        """Show it like a frame."""
        return {"status": self.status, "body": self.body}


class Wire(Protocol):
    """A connection that is open."""

    async def send(self, text: str) -> None:
        """Send a frame. Raises: WireClosed."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next frame. Raises: WireClosed."""
        ...

    async def aclose(self) -> None:
        """Hang up. Safe to call twice."""
        ...


@dataclass(slots=True)
class WebSocketWire:
    """A Wire over the `websockets` library."""

    socket: ClientConnection

    @classmethod
    async def open(cls, url: str, headers: dict[str, str], subprotocols: list[str] | None = None) -> "WebSocketWire":
        """Connect. Raises: Refused, Unreachable."""
        try:
            socket = await connect(
                url,
                additional_headers=headers,
                subprotocols=[Subprotocol(name) for name in subprotocols] if subprotocols else None,
                max_size=None,
                compression=None,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                proxy=None,
            )
        except InvalidStatus as error:
            raise Refused(error.response.status_code, error.response.body or b"") from None
        except (OSError, InvalidURI, InvalidHandshake, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Unreachable(f"nobody answers at {url} ({error or 'timed out'})") from None
        return cls(socket)

    @property
    def subprotocol(self) -> str | None:
        """What the server selected."""
        return self.socket.subprotocol

    async def send(self, text: str) -> None:
        """Send a frame. Raises: WireClosed."""
        try:
            await self.socket.send(text)
        except ConnectionClosed:
            raise WireClosed(self.socket.close_code, self.socket.close_reason or "") from None

    async def receive(self) -> str | bytes:
        """Return the next frame. Raises: WireClosed."""
        try:
            return await self.socket.recv()
        except ConnectionClosed:
            raise WireClosed(self.socket.close_code, self.socket.close_reason or "") from None

    async def aclose(self) -> None:
        """Hang up."""
        await self.socket.close()
