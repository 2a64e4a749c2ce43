"""The server under test: its addresses, the key, and how to knock at its door."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp

from voice.conformance.client import Settings
from voice.conformance.verdict import Failed, NotServed
from voice.conformance.wire import OPEN_TIMEOUT_S, Answer, Refused, Unreachable, WebSocketWire, Wire

if TYPE_CHECKING:
    from voice.conformance.webrtc_wire import WebRtcWire

__all__ = ["Answer", "Target", "served"]

Query = dict[str, str | None]

_NOT_SERVED = (404, 405, 501)


@dataclass(slots=True)
class Target:
    """One server. `url` names it in any usual way: with or without scheme, path and query."""

    url: str
    model: str | None = None
    key: str | None = None
    settings: Settings = field(default_factory=Settings)

    def websocket_url(self, query: Query | None = None, path: str = "/realtime") -> str:
        """Return the address of a session; `path` begins behind `/v1`.

        What `query` gives goes over the usual parameters, None leaves one out.
        """
        parts = urlsplit(self.url if "://" in self.url else f"ws://{self.url}")
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        given: Query = {
            **dict(parse_qsl(parts.query)),
            **({"model": self.model} if self.model else {}),
            **(query or {}),
        }
        wanted = {name: value for name, value in given.items() if value is not None}
        return urlunsplit((scheme, parts.netloc, _base_path(parts.path) + path, urlencode(wanted), ""))

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
        path: str = "/realtime",
    ) -> WebSocketWire:
        """Open a session. `key` goes in place of the usual one. Raises: Refused, Unreachable."""
        given = {**_authorization(key or self.key), **(headers or {})}
        return await WebSocketWire.open(self.websocket_url(query, path), given, subprotocols)

    @property
    def is_call(self) -> bool:
        """True where the address is that of one live call: `?call_id=`."""
        return "call_id" in dict(parse_qsl(urlsplit(self.url).query))

    async def open_leg(self) -> Wire:
        """Join the call of the address, or make one over WebRTC. Raises: Refused, Unreachable, NotServed."""
        return await self.open() if self.is_call else await self.open_webrtc()

    async def open_webrtc(self, session: dict[str, Any] | None = None) -> "WebRtcWire":
        """Make a call; with a `session` the offer goes in a form. Raises: Refused, Unreachable, NotServed."""
        from voice.conformance.webrtc_wire import WebRtcWire  # here: aiortc takes half a second to load

        url = f"{self.http_url('/realtime/calls')}?{urlsplit(self.websocket_url()).query}"
        try:
            return await WebRtcWire.open(url, _authorization(self.key), session)
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
