"""Clients of the beta: how they are known, and the two routes that they got their keys from (contract 1.7, 7.7)."""

from dataclasses import dataclass

import msgspec
from aiohttp import web

from transports.http.auth import KeyRing, authenticate, offered_protocols
from transports.http.client_secrets import ClientSecrets
from transports.http.rate_limits import limit_by
from transports.http.sessions import Sessions
from voice.errors import ContractError
from voice.protocol.beta import param_to_beta, session_to_beta, session_to_ga
from voice.protocol.client_secrets import SecretRequest, decode_secret_request
from voice.protocol.session_config import SessionUpdateBody

BETA_PROTOCOL = "openai-beta.realtime-v1"

LIFETIME_S = 60
"""Of the secrets that these routes make, as the beta had it."""


def is_beta(request: web.Request) -> bool:
    """Tell whether a client says that it speaks the beta."""
    return "realtime=v1" in request.headers.get("OpenAI-Beta", "") or BETA_PROTOCOL in offered_protocols(request)


@dataclass(frozen=True, slots=True)
class BetaSessions:
    """Makes client secrets from flat configurations. Whoever shows one is taken for a client of the beta."""

    sessions: Sessions
    keys: KeyRing
    secrets: ClientSecrets

    def routes(self) -> list[web.RouteDef]:
        """Return what is served."""
        return [
            web.post("/v1/realtime/sessions", self.create),
            web.post("/v1/realtime/transcription_sessions", self.create_transcription),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a secret for a conversation."""
        return await self._mint(request, "realtime")

    async def create_transcription(self, request: web.Request) -> web.Response:
        """Make a secret for a transcription."""
        return await self._mint(request, "transcription")

    async def _mint(self, request: web.Request, kind: str) -> web.Response:
        key_id = authenticate(request, self.keys)
        limit_by(request, lambda: self.sessions.room(key_id))
        body = await request.read()
        asked = _read(body, kind)
        agent = self.sessions.resolve(asked.model)
        session = session_to_beta(self.sessions.preview(agent, asked))
        value, secret = self.secrets.mint(
            asked, key_id=key_id, lifetime_s=LIFETIME_S, size_bytes=len(body), speaks_beta=True
        )
        return web.json_response({**session, "client_secret": {"value": value, "expires_at": secret.expires_at}})


def _read(body: bytes, kind: str) -> SessionUpdateBody:
    """Return the configuration. Raises: ContractError that names fields as the client wrote them."""
    try:
        flat = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise ContractError("We could not parse the JSON body of your request.", code=None) from None
    session = session_to_ga(flat, kind=kind) if isinstance(flat, dict) else flat
    try:
        return decode_secret_request(msgspec.json.encode({"session": session}), SecretRequest).session
    except ContractError as error:
        path = param_to_beta(error.param)
        error.param = path.removeprefix("session.") if path is not None else None
        raise
