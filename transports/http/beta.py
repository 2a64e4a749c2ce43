"""Clients of the beta: how they are known, what they are told, and the two routes that they got their keys from.

`server.beta_clients: refuse`     their socket is opened, told what to change, and closed with 4000 (contract 2.6);
                                  their calls over WebRTC are refused in the same words
`server.beta_clients: translate`  they are served in their own words (contract 1.7, 7.7)
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import web

from transports.http.auth import KeyRing, authenticate, offered_protocols, safety_identifier
from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from transports.http.rate_limits import limit_by
from transports.http.sessions import Sessions
from voice.errors import ContractError
from voice.ids import Ids
from voice.protocol import beta
from voice.protocol.client_secrets import SecretRequest, decode_secret_request
from voice.protocol.server_events import ErrorBody, ErrorEvent

BETA_PROTOCOL: Final = "openai-beta.realtime-v1"

REFUSED_CODE: Final = "beta_api_shape_disabled"
_OPERATOR: Final = "Or have the operator of this service set 'server.beta_clients: translate'."
_REMEDIES: Final = (
    "The Realtime beta API is not served. Use the GA API: leave out the header 'OpenAI-Beta: realtime=v1' (in a "
    f"browser the subprotocol '{BETA_PROTOCOL}'), with the GA names of events and fields. {_OPERATOR}"
)


def is_beta(request: web.Request) -> bool:
    """Tell whether a client says that it speaks the beta."""
    return "realtime=v1" in request.headers.get("OpenAI-Beta", "") or BETA_PROTOCOL in offered_protocols(request)


def refusal() -> ErrorEvent:
    """Return what a client is told over WebSocket: the remedies."""
    body = ErrorBody(type="invalid_request_error", code=REFUSED_CODE, message=_REMEDIES, param=None, event_id=None)
    return ErrorEvent(event_id=Ids().mint("event"), error=body)


def call_refusal() -> ApiError:
    """Return what a client is told that wants to call over WebRTC."""
    return ApiError(400, _REMEDIES, code=REFUSED_CODE)


@dataclass(frozen=True, slots=True)
class BetaSessions:
    """Makes client secrets from flat configurations. Whoever shows one is taken for a client of the beta."""

    sessions: Sessions
    keys: KeyRing
    secrets: ClientSecrets
    translates: bool
    """False: they are told where secrets are made today."""

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
        if not self.translates:
            message = "The Realtime beta API is not served. Use the GA API: POST /v1/realtime/client_secrets."
            raise ApiError(404, f"{message} {_OPERATOR}", code=REFUSED_CODE)
        limit_by(request, lambda: self.sessions.room(key_id))
        body = await request.read()
        try:
            asked = decode_secret_request(body, SecretRequest, partial(beta.secret_request, kind=kind))
            agent = self.sessions.resolve(asked.session.model)
            session = self.sessions.preview(agent, asked.session)
        except ContractError as error:
            raise _in_beta_words(error) from error
        value, secret = self.secrets.mint(
            asked.session,
            key_id=key_id,
            lifetime_s=asked.expires_after.seconds,
            size_bytes=len(body),
            speaks_beta=True,
            safety_identifier=safety_identifier(request),
        )
        shown = beta.session_object(session)
        return web.json_response({**shown, "client_secret": {"value": value, "expires_at": secret.expires_at}})


def _in_beta_words(error: ContractError) -> ContractError:
    return ContractError(
        beta.message(error.message, beta.body_parameter),
        code=error.code,
        param=beta.body_parameter(error.param),
        type=error.type,
    )
