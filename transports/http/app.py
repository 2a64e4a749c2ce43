"""The aiohttp application: what the service serves over HTTP, on one port.

| route                      | key | answers |
|---|---|---|
| GET /v1/realtime           | yes | the upgrade to a session (`realtime.py`) |
| POST /v1/realtime/client_secrets | yes | a secret that opens sessions (`client_secrets.py`) |
| POST /v1/realtime/sessions, …/transcription_sessions | yes | the same for clients of the beta (`beta.py`) |
| GET /v1/realtime/translations | yes | the upgrade to a translation; its client secrets beside it (`translations.py`) |
| POST /v1/realtime/calls    | yes | an SDP answer; a session over WebRTC (`webrtc.py`) |
| POST /v1/realtime          | yes | the same, under its old name |
| PATCH /v1/realtime/calls/{id} | yes | an SDP answer; the call goes on over other addresses (ICE restart) |
| POST /v1/realtime/calls/{id}/… | yes | nothing; what becomes of a call, keys to press (`call_control.py`) |
| GET /v1/models[/{id}]      | yes | who may be named by `?model=` |
| POST /v1/audio/…, /v1/chat/completions, /v1/responses | yes | one request outside sessions (`audio.py`, `chat.py`) |
| GET /, /console/…          | no  | the page to talk on (`console/`) |
| POST /console/client_secret | yes | a secret for one call of that page |
| GET /healthz               | no  | 200 while the process lives |
| GET /readyz                | no  | 200 while a caller would be served, 503 otherwise |
| GET /metrics               | no  | Prometheus |

Every answer carries `x-request-id`; every refusal is the JSON of contract 1.0.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from transports.http.audio import Audio
from transports.http.auth import KeyRing, authenticate, safety_identifier
from transports.http.beta import BetaSessions
from transports.http.call_control import CallControl
from transports.http.calls import Calls
from transports.http.chat import Chat
from transports.http.client_secrets import ClientSecrets
from transports.http.console.routes import CONSOLE_KEY_ID, Console
from transports.http.cors import add_cors_headers, preflight
from transports.http.malformed import request_log
from transports.http.metrics import TrafficCollector, exposition
from transports.http.middleware import add_headers, guard
from transports.http.rate_limits import add_rate_limits, limit_by
from transports.http.realtime import Realtime
from transports.http.sessions import Sessions, TranslationSessions
from transports.http.translations import Translations
from transports.http.webrtc import WebRtcCalls
from transports.outbox import Traffic
from transports.phone_metrics import MediaCollector
from transports.webrtc.settings import WebRtcSettings
from transports.websocket import WebSocketLimits
from voice.protocol.client_secrets import SecretRequest, decode_secret_request
from voice.rest.service import SingleRequests

OWNER = "realtime-voice-agent"


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """What the operator says about the page at `/`."""

    key: str | None = field(default=None, repr=False)
    """Opens the page's calls and the list of models, and nothing else; the other keys open them, too."""


def build_app(
    sessions: Sessions,
    keys: KeyRing,
    *,
    registry: CollectorRegistry | None = None,
    limits: WebSocketLimits | None = None,
    single_requests: SingleRequests | None = None,
    webrtc: WebRtcSettings | None = None,
    calls: Calls | None = None,
    console: ConsoleSettings | None = None,
    translations: TranslationSessions | None = None,
    translates_beta: bool = False,
) -> web.Application:
    """Return the application; whoever runs it drains `sessions` first and then cleans the application up.

    `registry` is what `/metrics` shows, with the traffic of the WebSockets added to it. With an empty `keys` everyone
    on this machine is let in: bind loopback only then. `single_requests` serves what is asked outside sessions; without
    `webrtc` no calls are made. Sidebands find sessions in `calls`, those of other transports too.
    Without `console` there is no page at `/`, without `translations` nothing is translated.
    `translates_beta` serves clients of the beta in their own words; otherwise they are refused.
    """
    traffic = Traffic()
    registry = registry or CollectorRegistry()
    registry.register(TrafficCollector(traffic))
    secrets, calls, limits = ClientSecrets(), calls or Calls(), limits or WebSocketLimits()
    realtime = Realtime(sessions, keys, limits, traffic, secrets, calls, translates_beta)
    readers = _page_keys(keys, console)
    app = _application(keys, realtime)
    app.add_routes([*_Control(sessions, keys, secrets, webrtc).routes(), *CallControl(keys, calls).routes()])
    app.add_routes(_Service(sessions, readers, registry).routes())
    app.add_routes(BetaSessions(sessions, keys, secrets, translates_beta).routes())
    if translations is not None:
        _add_translations(app, Translations(translations, keys, secrets, limits, traffic, calls))
    if webrtc is not None:
        _add_webrtc(app, registry, WebRtcCalls(sessions, keys, secrets, calls, webrtc, translates_beta))
    if console is not None:
        app.add_routes(Console(sessions, readers, secrets, webrtc).routes())
    if single_requests is not None:
        app.add_routes(_single_request_routes(single_requests, keys))
    return app


def _add_translations(app: web.Application, translations: Translations) -> None:
    app.on_shutdown.append(translations.close_all)
    app.add_routes(translations.routes())


def _application(keys: KeyRing, realtime: Realtime) -> web.Application:
    app = web.Application(middlewares=[guard(loopback_only=not keys.required)], handler_args={"logger": request_log()})
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(add_rate_limits)
    app.on_response_prepare.append(add_cors_headers)
    app.on_shutdown.append(realtime.close_all)
    app.add_routes([web.get("/v1/realtime", realtime.handle, allow_head=False)])
    return app


def _add_webrtc(app: web.Application, registry: CollectorRegistry, calls: WebRtcCalls) -> None:
    registry.register(MediaCollector("webrtc", calls.traffic))
    app.on_startup.append(calls.start)
    app.on_shutdown.append(calls.close_all)
    app.add_routes(
        [
            web.post("/v1/realtime", calls.create),
            web.post("/v1/realtime/calls", calls.create),
            web.patch("/v1/realtime/calls/{call_id}", calls.restart),
            *(web.options(path, preflight) for path in ("/v1/realtime", "/v1/realtime/calls{_:.*}")),
        ]
    )


def _page_keys(keys: KeyRing, console: ConsoleSettings | None) -> KeyRing:
    """Return the keys that the page may show. Where nobody needs one, a key of the console shuts nobody out."""
    if console is None or console.key is None or not keys.required:
        return keys
    return keys.joined(KeyRing({CONSOLE_KEY_ID: console.key}))


def _single_request_routes(requests: SingleRequests, keys: KeyRing) -> list[web.RouteDef]:
    audio, chat = Audio(requests, keys), Chat(requests, keys)
    return [
        web.post("/v1/audio/transcriptions", audio.transcribe),
        web.post("/v1/audio/translations", audio.translate),
        web.post("/v1/audio/speech", audio.speak),
        web.post("/v1/chat/completions", chat.complete),
        web.post("/v1/responses", chat.respond),
    ]


class _Control:
    """What a key may do about sessions besides opening them."""

    def __init__(
        self, sessions: Sessions, keys: KeyRing, secrets: ClientSecrets, webrtc: WebRtcSettings | None
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._secrets = secrets
        self._webrtc = webrtc

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to an application."""
        return [web.post("/v1/realtime/client_secrets", self.mint_secret)]

    async def mint_secret(self, request: web.Request) -> web.Response:
        """Make a client secret (contract 1.2)."""
        key_id = authenticate(request, self._keys)
        limit_by(request, lambda: self._sessions.room(key_id))
        body = await request.read()
        asked = decode_secret_request(body, SecretRequest)
        agent = self._sessions.resolve(asked.session.model)
        session = self._sessions.preview(agent, asked.session)
        value, secret = self._secrets.mint(
            asked.session,
            key_id=key_id,
            lifetime_s=asked.expires_after.seconds,
            size_bytes=len(body),
            safety_identifier=safety_identifier(request),
        )
        answer = {"value": value, "expires_at": secret.expires_at, "session": session}
        if self._webrtc is not None and self._webrtc.ice_servers:
            # An extension: a browser needs to know them before it makes its offer.
            answer["ice_servers"] = self._webrtc.ice_servers_for(key_id or "anyone", time.time())
        return web.json_response(answer)


class _Service:
    """The plain routes."""

    def __init__(self, sessions: Sessions, readers: KeyRing, registry: CollectorRegistry) -> None:
        """`readers` may see the models."""
        self._sessions = sessions
        self._readers = readers
        self._registry = registry
        self._started = int(time.time())

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to an application."""
        return [
            web.get("/v1/models", self.models),
            web.get("/v1/models/{id:.+}", self.model),
            web.get("/healthz", self.health),
            web.get("/readyz", self.readiness),
            web.get("/metrics", self.metrics),
        ]

    async def models(self, request: web.Request) -> web.Response:
        """List the agents and the aliases of engines (contract 1.9)."""
        authenticate(request, self._readers)
        listed = [self._model(agent.name) for agent in self._sessions.models()]
        return web.json_response({"object": "list", "data": listed})

    async def model(self, request: web.Request) -> web.Response:
        """Show one, under the name that it was asked by."""
        authenticate(request, self._readers)
        name = request.match_info["id"]
        self._sessions.resolve(name)
        return web.json_response(self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._started, "owned_by": OWNER}

    async def health(self, _: web.Request) -> web.Response:
        """Say that the process lives."""
        return web.json_response({"status": "ok"})

    async def readiness(self, _: web.Request) -> web.Response:
        """Say whether a caller would be served now."""
        problem = self._sessions.problem
        body: dict[str, Any] = {"status": "not ready" if problem else "ready", "sessions": self._sessions.active}
        if problem:
            body["reason"] = problem
        return web.json_response(body, status=503 if problem else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        """Show the metrics."""
        return exposition(request, self._registry)
