"""`GET /v1/realtime`: the handshake of contract 2.1 to 2.3, then a session for as long as the socket lives.

loopback (no keys) 403 → key 401 → upgrade asked 426 → query 400 → model 404 → place 429/503 → 101
                                                               └─► call_id: call 404 → place 429 → 101, a sideband
"""

import asyncio
from dataclasses import dataclass, field

import structlog
from aiohttp import web

from transports.http.auth import Caller, KeyRing, identify_caller
from transports.http.beta import REFUSED_CODE, is_beta, refusal
from transports.http.calls import Call, Calls, call_not_found
from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from transports.http.handshake import chosen_protocol, require_upgrade
from transports.http.middleware import CALL_ID, REQUEST_ID, client_request_id, too_many
from transports.http.rate_limits import limit_by
from transports.http.sessions import Place, Sessions
from transports.outbox import Traffic
from transports.shared import SharedTransport
from transports.websocket import ConversationSocket, WebSocketLimits, WebSocketTransport
from voice.protocol.client_events import ClientEvent
from voice.protocol.dialect import GA, Dialect, beta_dialect
from voice.protocol.session_config import SessionUpdateBody

log = structlog.get_logger(__name__)

MAX_SIDEBANDS = 16
"""Per call: each is sent every event."""

_RETRY_AFTER_S = 5.0

GOING_AWAY = 1001
INTERNAL_ERROR = 1011
BETA_REFUSED = 4000
"""Close codes (contract 2.6)."""


@dataclass(slots=True)
class Realtime:
    """Serves the WebSocket route and knows every connection that is open."""

    sessions: Sessions
    keys: KeyRing
    limits: WebSocketLimits
    traffic: Traffic
    secrets: ClientSecrets = field(default_factory=ClientSecrets)
    calls: Calls = field(default_factory=Calls)
    translates_beta: bool = False
    """Clients of the beta are served in their own words, and not refused."""
    _open: set[ConversationSocket] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Check, take a place, upgrade, and hold the session until it ends."""
        caller = identify_caller(request, self.keys, self.secrets)
        _check_request(request)
        if "call_id" in request.query:
            return await self._join(request, caller)
        dialect = beta_dialect() if is_beta(request) or caller.speaks_beta else GA
        if dialect is not GA and not self.translates_beta:
            return await self._refuse_beta(request)
        limit_by(request, lambda: self.sessions.room(caller.key_id))
        opening = _opening(request, caller)
        # What the secret names goes before the query: who holds it was given this one, not any.
        model = (opening.model if opening is not None else None) or request.query.get("model") or None
        agent = self.sessions.resolve(model)
        place = self.sessions.admit(
            agent, key_id=caller.key_id, opening=opening, safety_identifier=caller.safety_identifier
        )
        call_id = request[CALL_ID] = self.calls.new_id()
        with structlog.contextvars.bound_contextvars(call_id=call_id, session=place.session_id):
            try:
                transport = await self._accept(request, dialect)
            except BaseException:
                place.release()
                raise
            log.info(
                "session opened",
                request_id=request.get(REQUEST_ID),
                client_request_id=client_request_id(request),
            )
            await self._hold(place, transport, call_id, caller.key_id, agent.name)
        return transport.response

    async def _hold(
        self, place: Place, transport: ConversationSocket, call_id: str, key_id: str | None, agent: str
    ) -> None:
        shared = SharedTransport(transport, place.receive)
        self._open.add(transport)
        self.calls.add(call_id, Call(shared, place, key_id))
        try:
            await place.run(shared)
        except Exception:  # the boundary of a session: the others go on
            log.exception("session failed", agent=agent)
            await shared.aclose(INTERNAL_ERROR, "The server had an error.")
        finally:
            self.calls.remove(call_id)
            self._open.discard(transport)
            await shared.aclose()

    async def _join(self, request: web.Request, caller: Caller) -> web.StreamResponse:
        """Carry a sideband. A client secret joins nothing, and an old client finds nothing (contract 2.3, 2.6)."""
        call_id = request.query["call_id"]
        if caller.secret is not None or is_beta(request):
            raise call_not_found()
        call = self.calls.find(call_id, caller.key_id)
        if call.transport.sideband_count >= MAX_SIDEBANDS:
            raise too_many(f"This call has all {MAX_SIDEBANDS} sidebands that it may.", _RETRY_AFTER_S)
        with call.transport.place_for_sideband():
            transport = await self._accept(request, GA)
            self._open.add(transport)
            try:
                await call.transport.join(transport)
            finally:
                self._open.discard(transport)
        return transport.response

    async def close_all(self, _: web.Application) -> None:
        """Say goodbye to whom draining has left over (signal `on_shutdown`; contract 2.6)."""
        goodbyes = (transport.aclose(GOING_AWAY, "The service is stopping.") for transport in tuple(self._open))
        await asyncio.gather(*goodbyes)  # at once: each may take its whole `close_s`

    async def _accept(self, request: web.Request, dialect: Dialect[ClientEvent]) -> ConversationSocket:
        """Upgrade."""
        return await WebSocketTransport.accept(
            request, dialect, protocol=chosen_protocol(request), limits=self.limits, traffic=self.traffic
        )

    async def _refuse_beta(self, request: web.Request) -> web.StreamResponse:
        """Accept the socket only to say why not: so the GA service does, and old clients show it (contract 2.6)."""
        transport = await self._accept(request, GA)
        transport.send_event(refusal())
        await transport.aclose(BETA_REFUSED, REFUSED_CODE)
        return transport.response


def _check_request(request: web.Request) -> None:
    """Refuse what is not a session of this service. Unknown query parameters are none of our business (contract 2.1).

    Raises: ApiError.
    """
    require_upgrade(request)
    if _wants_transcription(request) and "call_id" not in request.query and "model" in request.query:
        message = "You must not provide a model parameter for transcription sessions"
        raise ApiError(400, message, code="invalid_model", param="model")


def _wants_transcription(request: web.Request) -> bool:
    return request.query.get("intent") == "transcription"


def _opening(request: web.Request, caller: Caller) -> SessionUpdateBody | None:
    """Return what the session begins with: what the secret holds, and of which kind it is (contract 2.1).

    Raises: ApiError 400 where the secret is for the other kind.
    """
    bound = caller.opening
    if not _wants_transcription(request):
        return bound
    if bound is not None and bound.type != "transcription":
        message = "This client secret opens realtime sessions: leave 'intent' out, or make one of type 'transcription'."
        raise ApiError(400, message, code="invalid_value", param="intent")
    return bound or SessionUpdateBody(type="transcription")
