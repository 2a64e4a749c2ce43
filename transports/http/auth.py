"""Who may come in: API keys by header or, from a browser, by subprotocol (contract 2.2)."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import hdrs, web

from transports.http.client_secrets import PREFIX, ClientSecret, ClientSecrets
from transports.http.errors import ApiError
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.translation import TranslationOpening

KEY_PROTOCOL = "openai-insecure-api-key"
"""The subprotocol `openai-insecure-api-key.<key>` carries a key, since a browser's WebSocket can set no header."""


MAX_SAFETY_IDENTIFIER_CHARS = 64
"""What upstreams take."""


class KeyRing:
    """The keys that open this service. Only their digests are kept."""

    def __init__(self, keys: Mapping[str, str] | None = None) -> None:
        """`keys` maps an id, which may be logged, to its secret. Empty: everyone is let in (see `origin.py`).

        Raises: ValueError for a secret that is empty or could not stand in a header.
        """
        self._digests: dict[str, bytes] = {}
        for key_id, secret in (keys or {}).items():
            if not secret or not secret.isascii() or not secret.isprintable() or secret != secret.strip():
                raise ValueError(f"the key {key_id!r} must be printable ASCII without blanks around it")
            if secret.startswith(PREFIX):
                raise ValueError(f"the key {key_id!r} begins like a client secret ({PREFIX}…): choose another")
            self._digests[key_id] = _digest(secret)

    @property
    def required(self) -> bool:
        """False when no key is configured."""
        return bool(self._digests)

    def identify(self, secret: str) -> str | None:
        """Return the id of the key, or None. Takes the same time wherever a wrong key differs."""
        digest = _digest(secret)
        found = None
        for key_id, known in self._digests.items():
            if hmac.compare_digest(digest, known):
                found = key_id
        return found

    def joined(self, other: "KeyRing") -> "KeyRing":
        """Return a ring with the keys of both; where an id is in both, the other's."""
        both = KeyRing()
        both._digests = {**self._digests, **other._digests}
        return both

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._digests)})"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens a session."""

    key_id: str | None
    """None where no key is required."""
    secret: ClientSecret | None = None
    """The client secret that was shown instead of the key that made it."""
    safety_identifier: str | None = None
    """Whom the client says that it speaks for; what was said when a secret was made counts (contract 1.0)."""

    @property
    def speaks_beta(self) -> bool:
        """True for the secrets that were made for clients of the beta."""
        return self.secret is not None and self.secret.speaks_beta

    @property
    def opening(self) -> SessionUpdateBody | None:
        """What the secret begins a conversation or a transcription with; None without a secret.

        Raises: ApiError 400 where it is for translations.
        """
        held = self.secret.session if self.secret is not None else None
        if isinstance(held, TranslationOpening):
            message = "This client secret opens translation sessions: connect to /v1/realtime/translations with it."
            raise ApiError(400, message, code="invalid_value")
        return held

    @property
    def translation(self) -> TranslationOpening | None:
        """What the secret begins a translation with; None without a secret. Raises: ApiError 400 for another kind."""
        held = self.secret.session if self.secret is not None else None
        if isinstance(held, SessionUpdateBody):
            message = (
                f"This client secret opens {held.type} sessions: make one for translations by "
                "POST /v1/realtime/translations/client_secrets."
            )
            raise ApiError(400, message, code="invalid_value")
        return held


def identify_caller(request: web.Request, keys: KeyRing, secrets: ClientSecrets) -> Caller:
    """Return who asks for a session: with a key, or with a client secret that one has made.

    Raises: ApiError 401 `invalid_api_key`, also where no key is required but a client secret is wrong or expired: its
    session would not be the one that was configured.
    """
    offered = _offered_key(request)
    if offered is None or not offered.startswith(PREFIX):
        return Caller(authenticate(request, keys), safety_identifier=safety_identifier(request))
    secret = secrets.find(offered)
    if secret is None:
        raise _unauthorized("Incorrect API key provided. No client secret of this service is like it.")
    return Caller(secret.key_id, secret, secret.safety_identifier or safety_identifier(request))


def authenticate(request: web.Request, keys: KeyRing) -> str | None:
    """Return the id of the caller's key, or None where no key is required.

    Raises: ApiError 401 `invalid_api_key`; 403 for a client secret, which opens sessions and nothing else.
    """
    secret = _offered_key(request)
    if secret is not None and secret.startswith(PREFIX):
        raise ApiError(
            403, "A client secret opens sessions only: use an API key here.", code="insufficient_permissions"
        )
    if not keys.required:
        return None
    if secret is None:
        raise _unauthorized(
            "You didn't provide an API key. Provide it in an Authorization header using Bearer auth "
            "(i.e. Authorization: Bearer YOUR_KEY)."
        )
    key_id = keys.identify(secret)
    if key_id is None:
        raise _unauthorized("Incorrect API key provided. This service knows the keys of its own configuration only.")
    return key_id


def safety_identifier(request: web.Request) -> str | None:
    """Return whom the client says that it speaks for; what could not be passed on as it is, as a hash."""
    given = request.headers.get("OpenAI-Safety-Identifier", "").strip()
    if len(given) > MAX_SAFETY_IDENTIFIER_CHARS or not given.isascii() or not given.isprintable():
        return _digest(given).hex()
    return given or None


def offered_protocols(request: web.Request) -> list[str]:
    """Return the subprotocols that the client offers, in its order; it may have spread them over several headers."""
    offered = ",".join(request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, []))
    return [protocol for part in offered.split(",") if (protocol := part.strip())]


def _offered_key(request: web.Request) -> str | None:
    """Return the secret that came with the request; the header counts where both are there."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is not None:
        scheme, _, secret = header.partition(" ")
        return secret.strip() if scheme.lower() == "bearer" and secret.strip() else None
    for protocol in offered_protocols(request):
        # The key itself may hold any of ".-_": only the first dot parts.
        name, _, secret = protocol.partition(".")
        if name == KEY_PROTOCOL and secret:
            return secret
    return None


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, code="invalid_api_key", headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


def _digest(secret: str) -> bytes:
    """Hash, so that neither the length nor a common beginning of two keys shows in the time a comparison takes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
