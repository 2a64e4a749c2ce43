"""SRTP keys in SDP: the `a=crypto` attribute (RFC 4568, RFC 6188, RFC 7714), as data.

One attribute names a suite and the key that its *sender* encrypts with. An answer takes one offered attribute: same
tag, same suite, a key of its own.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum

from sip.errors import SipSyntaxError

SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
"""Suite → octets of master key and salt together."""

DEFAULT_SUITES = (
    "AEAD_AES_256_GCM",
    "AEAD_AES_128_GCM",
    "AES_256_CM_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_80",
    "AES_CM_128_HMAC_SHA1_32",
)

KeySource = Callable[[int], bytes]

_CRYPTO = re.compile(r"(\d{1,9}) ++(\w{1,64}) ++(\S++)(?: ++(.*+))?")


class Srtp(Enum):
    """What a trunk wants."""

    OFF = "off"
    OPTIONAL = "optional"
    """Offer RTP/AVP with crypto, take what comes."""
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Crypto:
    """One `a=crypto` attribute."""

    tag: int
    suite: str
    key: bytes
    """Master key and salt, as long as the suite wants."""
    mki: str = ""
    """`value:length` when packets carry a master key identifier."""
    lifetime: str = ""
    session_params: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the attribute's value."""
        inline = "inline:" + base64.b64encode(self.key).decode()
        inline += "".join(f"|{part}" for part in (self.lifetime, self.mki) if part)
        return " ".join((str(self.tag), self.suite, inline, *self.session_params))

    def __repr__(self) -> str:
        """Show all but the key: logs are no place for it."""
        return f"Crypto(tag={self.tag}, suite={self.suite!r})"

    @property
    def is_usable(self) -> bool:
        """Whether we can take it: a known suite, full protection, no MKI and no parameter that we would ignore.

        UNENCRYPTED_* and UNAUTHENTICATED_SRTP weaken the stream and are refused; an unknown parameter without `-`
        makes the attribute unusable (RFC 4568 §6.3).
        """
        harmless = all(part.startswith(("-", "WSH=")) or part == "KDR=0" for part in self.session_params)
        return self.suite in SUITES and harmless and not self.mki


def parse_crypto(value: str) -> Crypto:
    """Read an attribute's value; of several keys the first is read. Raises: SipSyntaxError."""
    found = _CRYPTO.fullmatch(value.strip())
    if found is None:
        raise SipSyntaxError("crypto attribute is malformed")
    tag, suite, keys, params = found.groups()
    first, more, _ = keys.partition(";")
    method, _, info = first.partition(":")
    if method.lower() != "inline":
        raise SipSyntaxError("crypto key is not inline")
    encoded, *rest = info.split("|")
    suite = suite.upper()
    try:
        # Some leave the padding off.
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SipSyntaxError("crypto key is not base64") from None
    if suite in SUITES and len(key) != SUITES[suite]:
        raise SipSyntaxError("crypto key has the wrong length")
    mki = next((part for part in rest if ":" in part), "")
    lifetime = next((part for part in rest if ":" not in part), "")
    # Several keys can only be told apart by their identifiers.
    return Crypto(int(tag), suite, key, mki or ("several" if more else ""), lifetime, tuple((params or "").split()))


def read_cryptos(values: Sequence[str]) -> list[Crypto]:
    """Return the usable attributes among `values`, in their order of preference."""
    found: list[Crypto] = []
    for value in values[:32]:
        try:
            crypto = parse_crypto(value)
        except SipSyntaxError:
            continue
        if crypto.is_usable:
            found.append(crypto)
    return found


def make_cryptos(suites: Sequence[str] = DEFAULT_SUITES, key_source: KeySource = secrets.token_bytes) -> list[Crypto]:
    """Return fresh attributes to offer, best suite first."""
    return [Crypto(tag, suite, key_source(SUITES[suite])) for tag, suite in enumerate(suites, 1)]


def answer_crypto(
    offered: Sequence[Crypto],
    suites: Collection[str],
    previous: Crypto | None = None,
    key_source: KeySource = secrets.token_bytes,
) -> tuple[Crypto, Crypto] | None:
    """Choose an offered attribute; return ours and theirs, None when none fits.

    The offerer's order counts (RFC 4568 §5.1.2). `previous` is our key so far: it stays while the suite stays, so that
    a re-INVITE does not restart a running stream (§7.1.4).
    """
    for theirs in offered:
        if theirs.suite in suites:
            same = previous is not None and previous.suite == theirs.suite
            key = previous.key if same and previous is not None else key_source(SUITES[theirs.suite])
            return Crypto(theirs.tag, theirs.suite, key), theirs
    return None
