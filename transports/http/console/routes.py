"""Serves the page at `/`, and gives it a client secret for each call.

The page is a client like any other: it lists `/v1/models`, and calls `/v1/realtime/calls` with an `ek_…` secret. What
it has beside the public API is one route that makes such a secret for one call, a minute long, for the page itself
only:

| keys configured | who gets a secret |
|---|---|
| none | any page of this very origin, on this machine (`origin.py` keeps the others away) |
| some | whoever types one of them, or `console.key`, which opens this page and nothing else |

No key is ever sent to a browser, and none is kept in one beyond its tab.
"""

import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import hdrs, web

from transports.http.auth import KeyRing, authenticate
from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from transports.http.origin import require_same_origin
from transports.http.sessions import Sessions
from transports.webrtc.settings import WebRtcSettings
from voice.errors import ContractError
from voice.protocol.session_config import SessionUpdateBody

CONSOLE_KEY_ID: Final = "(console)"
"""Whose calls those of the console's key are; the parentheses keep it apart from keys of the configuration."""

SECRET_LIFETIME_S: Final = 60
"""A secret opens one call at once; a call that is open outlives it."""

_PAGE = Path(__file__).parent / "page"
_HEADERS: Final = {
    # No inline script and no stranger's: what is shown of a conversation can never run.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-cache",
}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    model: str


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Console:
    """The routes of the page."""

    def __init__(
        self, sessions: Sessions, keys: KeyRing, secrets: ClientSecrets, webrtc: WebRtcSettings | None = None
    ) -> None:
        """`keys` are all that may be typed, the console's own among them; `webrtc` names the TURN servers."""
        self._sessions = sessions
        self._keys = keys
        self._secrets = secrets
        self._webrtc = webrtc
        self._files = {path.name: _read(path) for path in _PAGE.iterdir() if path.suffix in _TYPES}

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        return [
            web.get("/", self.page),
            web.get("/console/{name}", self.file),
            web.post("/console/client_secret", self.mint),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Serve the page itself."""
        return self._serve(request, "index.html")

    async def file(self, request: web.Request) -> web.Response:
        """Serve what it is made of: the files that were there at the start, by their names alone."""
        return self._serve(request, request.match_info["name"])

    def _serve(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise web.HTTPNotFound
        headers = {**_HEADERS, hdrs.ETAG: f'"{file.etag}"'}
        if any(tag.value in (file.etag, "*") for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, content_type=file.content_type, charset="utf-8", headers=headers)

    async def mint(self, request: web.Request) -> web.Response:
        """Make the secret of one call with the agent that the page names."""
        require_same_origin(request)
        key_id = authenticate(request, self._keys)
        if request.content_type != "application/json":  # what a form of a stranger's page could not send unasked
            raise ApiError(415, "Send JSON: {'model': …}.", code="unsupported_content_type")
        body = await request.read()
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except (msgspec.MsgspecError, UnicodeError):
            raise ContractError("Send {'model': …} and nothing else.", code="invalid_value", param="model") from None
        agent = self._sessions.resolve(asked.model)
        opening = SessionUpdateBody(type="realtime", model=agent.name)
        value, secret = self._secrets.mint(opening, key_id=key_id, lifetime_s=SECRET_LIFETIME_S, size_bytes=len(body))
        answer: dict[str, Any] = {"value": value, "expires_at": secret.expires_at}
        if self._webrtc is not None and self._webrtc.ice_servers:
            answer["ice_servers"] = self._webrtc.ice_servers_for(key_id or "anyone", time.time())
        return web.json_response(answer, headers={hdrs.CACHE_CONTROL: "no-store"})


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], sha256(body).hexdigest()[:32])
