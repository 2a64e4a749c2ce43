"""The server under test: its addresses, the key, and how to knock at its door."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp

from voice.conformance.client import Settings
from voice.conformance.flow import Failed, NotServed
from voice.conformance.wire import OPEN_TIMEOUT_S, Refused, Unreachable, WebSocketWire, Wire

Query = dict[str, str | None]

_NOT_SERVED = (404, 405, 501)


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


@dataclass(slots=True)
class Target:
    """One server. `url` names it in any usual way: with or without scheme, path and query."""

    url: str
    model: str | None = None
    key: str | None = None
    settings: Settings = field(default_factory=Settings)

    def websocket_url(self, query: Query | None = None) -> str:
        """Return the address of a session; what `query` gives goes over the usual parameters, None leaves one out."""
        parts = urlsplit(self.url if "://" in self.url else f"ws://{self.url}")
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        given: Query = {
            **dict(parse_qsl(parts.query)),
            **({"model": self.model} if self.model else {}),
            **(query or {}),
        }
        wanted = {name: value for name, value in given.items() if value is not None}
        return urlunsplit((scheme, parts.netloc, f"{_base_path(parts.path)}/realtime", urlencode(wanted), ""))

    def http_url(self, path: str) -> str:
        """Return the address of a REST call; `path` begins behind `/v1`."""
        parts = urlsplit(self.url if "://" in self.url else f"ws://{self.url}")
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        return urlunsplit((scheme, parts.netloc, _base_path(parts.path) + path, "", ""))

    async def open(
        self,
        query: Query | None = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        subprotocols: list[str] | None = None,
    ) -> WebSocketWire:
        """Open a session. `key` goes in place of the usual one. Raises: Refused, Unreachable."""
        given = {**_authorization(key or self.key), **(headers or {})}
        return await WebSocketWire.open(self.websocket_url(query), given, subprotocols)

    @property
    def is_call(self) -> bool:
        """True where the address is that of one live call: `?call_id=`."""
        return "call_id" in dict(parse_qsl(urlsplit(self.url).query))

    async def open_leg(self) -> Wire:
        """Join the call of the address, or make one over WebRTC. Raises: Refused, Unreachable, NotServed."""
        if self.is_call:
            return await self.open()
        from voice.conformance.webrtc_wire import WebRtcWire  # here: aiortc takes half a second to load

        query = urlsplit(self.websocket_url()).query
        try:
            return await WebRtcWire.open(f"{self.http_url('/realtime/calls')}?{query}", _authorization(self.key))
        except Refused as error:
            if error.status in _NOT_SERVED:
                raise NotServed(f"POST /realtime/calls answers {error.status}") from None
            raise

    async def open_bare(self, query: Query | None = None, *, subprotocols: list[str]) -> WebSocketWire:
        """Open a session as a browser does: without any header. Raises: Refused, Unreachable."""
        return await WebSocketWire.open(self.websocket_url(query), {}, subprotocols)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: str | None = None,
        key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make a REST call. Raises: Unreachable."""
        given = {**_authorization(key or self.key), **(headers or {})}
        timeout = aiohttp.ClientTimeout(total=max(self.settings.timeout_s, OPEN_TIMEOUT_S))
        url = self.http_url(path)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, json=json, data=data, headers=given, allow_redirects=False) as answer,
            ):
                names = {name.lower(): value for name, value in answer.headers.items()}
                try:
                    body = await answer.json(content_type=None)
                except ValueError:
                    body = (await answer.text(errors="replace"))[:2000]
                return Answer(answer.status, body, names)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{method} {url}: {error or 'timed out'}") from None


def served(answer: Answer, what: str) -> Answer:
    """Return the answer of a route that is there.

    Raises: NotServed where the server has no such route, Failed for a fault of the server's.
    """
    has_route = bool(answer.error.get("code")) and answer.error["code"] not in ("not_found", "unknown_url")
    if answer.status in _NOT_SERVED and not (answer.status == 404 and has_route):
        raise NotServed(f"{what} answers {answer.status}")
    if answer.status >= 500:
        raise Failed(f"{what} answers {answer.status}", answer.as_frame())
    return answer


def _authorization(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _base_path(path: str) -> str:
    path = path.rstrip("/").removesuffix("/realtime")
    return path or "/v1"
