"""`GET /v1/realtime/translations` and the client secrets for it (contract 1.6, 2.1, 4.14).

loopback (no keys) 403 → key 401 → upgrade asked 426 → a secret of another kind 400 → model 404, cannot translate 400
→ place 429/503 → 101

A translation session holds a place like any other. Its call id is for the log alone: nobody joins it from aside.
"""

import asyncio
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from transports.http.auth import Caller, KeyRing, authenticate, identify_caller, safety_identifier
from transports.http.calls import Calls
from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from transports.http.handshake import chosen_protocol, require_upgrade
from transports.http.middleware import client_request_id, request_id
from transports.http.rate_limits import limit_by
from transports.http.sessions import TranslationPlace, TranslationSessions
from transports.outbox import Traffic
from transports.websocket import WebSocketLimits, WebSocketTransport
from voice.protocol.client_secrets import decode_secret_request
from voice.protocol.dialect import Dialect
from voice.protocol.translation import (
    TRANSLATION_MODEL,
    TranslationEvent,
    TranslationOpening,
    TranslationSecretRequest,
    decode_translation_event,
)

log = structlog.get_logger(__name__)

_PATH = "/v1/realtime/translations"
_GOING_AWAY = 1001

_DIALECT: Dialect[TranslationEvent] = Dialect(decode_translation_event)

TranslationSocket = WebSocketTransport[TranslationEvent]


@dataclass(slots=True)
class Translations:
    """Serves the routes and knows every connection that is open."""

    sessions: TranslationSessions
    keys: KeyRing
    secrets: ClientSecrets
    limits: WebSocketLimits
    traffic: Traffic
    calls: Calls
    """Names them."""
    _open: set[TranslationSocket] = field(default_factory=set)

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.get(_PATH, self.handle, allow_head=False),
            web.post(f"{_PATH}/client_secrets", self.mint_secret),
            web.post(f"{_PATH}/calls", self.refuse_call),
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check, take a place, upgrade, and hold the session until it ends."""
        caller = identify_caller(request, self.keys, self.secrets)
        require_upgrade(request)
        limit_by(request, lambda: self.sessions.room(caller.key_id))
        opening = _opening(request, caller)
        agent = self.sessions.resolve_translator(opening.model)
        place = self.sessions.admit_translation(
            agent, opening, key_id=caller.key_id, safety_identifier=caller.safety_identifier
        )
        with structlog.contextvars.bound_contextvars(call_id=self.calls.new_id(), session=place.session_id):
            try:
                transport = await self._accept(request)
            except BaseException:
                place.release()
                raise
            log.info("translation opened", request_id=request_id(request), client_request_id=client_request_id(request))
            await self._hold(place, transport)
        return transport.response

    async def _accept(self, request: web.Request) -> TranslationSocket:
        """Upgrade."""
        return await WebSocketTransport.accept(
            request, _DIALECT, protocol=chosen_protocol(request), limits=self.limits, traffic=self.traffic
        )

    async def _hold(self, place: TranslationPlace, transport: TranslationSocket) -> None:
        self._open.add(transport)
        try:
            await place.run(transport)
        finally:
            self._open.discard(transport)
            await transport.aclose()

    async def mint_secret(self, request: web.Request) -> web.Response:
        """Make a client secret (contract 1.6)."""
        key_id = authenticate(request, self.keys)
        limit_by(request, lambda: self.sessions.room(key_id))
        body = await request.read()
        asked = decode_secret_request(body, TranslationSecretRequest)
        agent = self.sessions.resolve_translator(asked.session.model)
        session = self.sessions.preview_translation(agent, asked.session)
        value, secret = self.secrets.mint(
            asked.session,
            key_id=key_id,
            lifetime_s=asked.expires_after.seconds,
            size_bytes=len(body),
            safety_identifier=safety_identifier(request),
        )
        return web.json_response({"value": value, "expires_at": secret.expires_at, "session": session})

    async def refuse_call(self, request: web.Request) -> web.Response:
        """Say where translations are served."""
        identify_caller(request, self.keys, self.secrets)
        message = f"Translations are served over WebSocket only: connect to {_PATH}."
        raise ApiError(400, message, code="unsupported_transport")

    async def close_all(self, _: web.Application) -> None:
        """Say goodbye to whom draining has left over (signal `on_shutdown`; contract 2.6)."""
        goodbyes = (transport.aclose(_GOING_AWAY, "The service is stopping.") for transport in tuple(self._open))
        await asyncio.gather(*goodbyes)


def _opening(request: web.Request, caller: Caller) -> TranslationOpening:
    """Return what the session begins with; what a secret holds goes before the query. Raises: ApiError 400."""
    return caller.translation or TranslationOpening(model=request.query.get("model") or TRANSLATION_MODEL)
