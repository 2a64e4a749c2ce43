"""Client secrets: `ek_…` keys that open sessions with a configuration bound to them, for a while (contract 1.2).

minted ──(any number of sessions)──► expired: refused by name ──(an hour)──► forgotten: refused like any wrong key
"""

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from transports.http.errors import ApiError
from transports.http.middleware import too_many
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.translation import TranslationOpening

PREFIX: Final = "ek_"

MAX_SECRETS: Final = 10_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of the requests whose configurations are kept."""

KEY_SHARE: Final = 8
"""A key may hold an eighth of both bounds: 1250 secrets, 8 MiB; it takes eight to leave nothing for the others.

Without keys all callers are one, and have it all.
"""

SecretSession = SessionUpdateBody | TranslationOpening
"""What a secret may hold, and by that of which kind its sessions are."""

_RETRY_AFTER_S: Final = 10.0
"""The shortest that a secret lives."""

REMEMBERED_S: Final = 3600
"""How long an expired secret is still told from one that never was."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What a secret opens. The secret itself is not kept, only its digest as the key it is found by."""

    key_id: str | None
    """Who made it: sessions opened with it count as this key's."""
    session: SecretSession = field(repr=False)
    """What its sessions begin with; it may hold the authorization of an MCP server."""
    expires_at: int
    """Unix seconds."""
    size_bytes: int
    speaks_beta: bool = False
    """Whoever shows it is a client of the beta, whatever else it says."""
    safety_identifier: str | None = None
    """Whom its sessions are for, as its maker said."""


class ClientSecrets:
    """The secrets of this process; they end with it."""

    def __init__(
        self, *, max_secrets: int = MAX_SECRETS, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds."""
        self._known: dict[bytes, ClientSecret] = {}
        self._held: Counter[str | None] = Counter()
        self._held_bytes: Counter[str | None] = Counter()
        self._max_secrets = max_secrets
        self._max_bytes = max_bytes
        self._clock = clock

    def mint(
        self,
        session: SecretSession,
        *,
        key_id: str | None,
        lifetime_s: int,
        size_bytes: int,
        speaks_beta: bool = False,
        safety_identifier: str | None = None,
    ) -> tuple[str, ClientSecret]:
        """Return a new secret and what is kept of it. Raises: ApiError 429: too many live, in all or of that key."""
        now_s = self._clock()
        for age_s in (REMEMBERED_S, 0):
            if self._is_full(size_bytes):
                self._forget(now_s - age_s)
            elif self._has_its_share(key_id, size_bytes):
                self._forget(now_s - age_s, only_of=key_id)
        if self._is_full(size_bytes):
            raise too_many("Too many client secrets are alive.", _RETRY_AFTER_S)
        if self._has_its_share(key_id, size_bytes):
            raise too_many("Too many client secrets of this key are alive.", _RETRY_AFTER_S)
        value = PREFIX + secrets.token_hex(16)
        expires_at = int(now_s) + lifetime_s
        secret = ClientSecret(key_id, session, expires_at, size_bytes, speaks_beta, safety_identifier)
        self._known[_digest(value)] = secret
        self._count(secret)
        return value, secret

    def find(self, value: str) -> ClientSecret | None:
        """Return what a secret opens; None where it is not known. Raises: ApiError 401 when it has expired."""
        secret = self._known.get(_digest(value))
        if secret is not None and secret.expires_at <= self._clock():
            raise ApiError(401, "Ephemeral token expired", code="invalid_api_key")
        return secret

    def _is_full(self, more_bytes: int) -> bool:
        return len(self._known) >= self._max_secrets or self._held_bytes.total() + more_bytes > self._max_bytes

    def _has_its_share(self, key_id: str | None, more_bytes: int) -> bool:
        if key_id is None:
            return False
        return (
            self._held[key_id] >= max(1, self._max_secrets // KEY_SHARE)
            or self._held_bytes[key_id] + more_bytes > self._max_bytes // KEY_SHARE
        )

    def _forget(self, expired_by_s: float, *, only_of: str | None = None) -> None:
        """Drop what had expired by then, of one key or of all: a key that wants room costs the others nothing."""
        self._known = {
            digest: secret
            for digest, secret in self._known.items()
            if secret.expires_at > expired_by_s or only_of not in (None, secret.key_id)
        }
        self._held.clear()
        self._held_bytes.clear()
        for secret in self._known.values():
            self._count(secret)

    def _count(self, secret: ClientSecret) -> None:
        self._held[secret.key_id] += 1
        self._held_bytes[secret.key_id] += secret.size_bytes


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogateescape")).digest()
