"""Client secrets: `ek_…` keys that open sessions with a configuration bound to them, for a while (contract 1.2).

minted ──(any number of sessions)──► expired: refused by name ──(an hour)──► forgotten: refused like any wrong key
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from transports.http.errors import ApiError
from transports.http.middleware import retry_after
from voice.protocol.session_config import SessionUpdateBody

PREFIX: Final = "ek_"

MAX_SECRETS: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of the requests whose configurations are kept."""

REMEMBERED_S: Final = 3600
"""How long an expired secret is still told from one that never was."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What a secret opens. The secret itself is not kept, only its digest as the key it is found by."""

    key_id: str | None
    """Who made it: sessions opened with it count as this key's."""
    session: SessionUpdateBody = field(repr=False)
    """What its sessions begin with; it may hold the authorization of an MCP server."""
    expires_at: int
    """Unix seconds."""
    size_bytes: int


class ClientSecrets:
    """The secrets of this process; they end with it."""

    def __init__(
        self, *, max_secrets: int = MAX_SECRETS, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds."""
        self._known: dict[bytes, ClientSecret] = {}
        self._size_bytes = 0
        self._max_secrets = max_secrets
        self._max_bytes = max_bytes
        self._clock = clock

    def mint(
        self, session: SessionUpdateBody, *, key_id: str | None, lifetime_s: int, size_bytes: int
    ) -> tuple[str, ClientSecret]:
        """Return a new secret and what is kept of it. Raises: ApiError 429 when too many live."""
        now_s = self._clock()
        if self._is_full(size_bytes):
            self._forget(lambda secret: secret.expires_at + REMEMBERED_S <= now_s)
        if self._is_full(size_bytes):
            self._forget(lambda secret: secret.expires_at <= now_s)
        if self._is_full(size_bytes):
            raise ApiError(
                429, "Too many client secrets are alive.", code="rate_limit_exceeded", headers=retry_after(10.0)
            )
        value = PREFIX + secrets.token_hex(16)
        secret = ClientSecret(key_id, session, int(now_s) + lifetime_s, size_bytes)
        self._known[_digest(value)] = secret
        self._size_bytes += size_bytes
        return value, secret

    def find(self, value: str) -> ClientSecret | None:
        """Return what a secret opens; None where it is not known. Raises: ApiError 401 when it has expired."""
        secret = self._known.get(_digest(value))
        if secret is not None and secret.expires_at <= self._clock():
            raise ApiError(401, "Ephemeral token expired", code="invalid_api_key")
        return secret

    def _is_full(self, more_bytes: int) -> bool:
        return len(self._known) >= self._max_secrets or self._size_bytes + more_bytes > self._max_bytes

    def _forget(self, is_over: Callable[[ClientSecret], bool]) -> None:
        self._known = {digest: secret for digest, secret in self._known.items() if not is_over(secret)}
        self._size_bytes = sum(secret.size_bytes for secret in self._known.values())


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
