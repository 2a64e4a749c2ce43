"""SRTP over libsrtp (RFC 3711), and its keys in SDP (SDES, RFC 4568; GCM suites RFC 7714).

Key material never stands in a message, a log or a repr.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field

import pylibsrtp

from transports.rtp.errors import SdesError, SrtpError

_MAX_PACKET_BYTES = 1500 - 144 - 4  # what pylibsrtp's buffer takes, less the longest trailer
_PROFILES = pylibsrtp.Policy


@dataclass(frozen=True, slots=True)
class Suite:
    """A crypto suite as SDES names it."""

    name: str
    profile: int
    """libsrtp's."""
    key_bytes: int
    """Master key and salt."""


SUITES = {
    suite.name: suite
    for suite in (
        Suite("AEAD_AES_128_GCM", _PROFILES.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
        Suite("AES_CM_128_HMAC_SHA1_80", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
        Suite("AES_CM_128_HMAC_SHA1_32", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
        Suite("AEAD_AES_256_GCM", _PROFILES.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
    )
}
"""Best first. AES_CM_256 has no profile in libsrtp's table that its Python binding reaches."""

_CRYPTO = re.compile(r"(\d{1,9})\s+([A-Za-z0-9_]{1,64})\s+(inline:\S{1,400})(?:\s+(.{1,400}))?\s*", re.ASCII)
_LIFETIME = re.compile(r"2\^\d{1,2}|\d{1,20}")
_HARMLESS = re.compile(r"(WSH=\d{1,6}|KDR=0)")


@dataclass(frozen=True, slots=True)
class Crypto:
    """One `a=crypto` line."""

    tag: int
    suite: str
    key: bytes = field(repr=False)
    """Master key and salt, as libsrtp takes them."""

    def to_sdp(self) -> str:
        """Return the attribute's value, without `a=crypto:`. Neither MKI nor lifetime: some trunks refuse them."""
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


def parse_crypto(value: str) -> Crypto:
    """Read the value of an `a=crypto` line.

    Raises:
        SdesError: it is broken, or asks for what is not done here: a suite, a key identifier (MKI), several keys,
            or leaving out encryption or authentication.
    """
    match = _CRYPTO.fullmatch(value.strip())
    if match is None:
        raise SdesError("a=crypto is not understood")
    tag, name, keys, parameters = int(match[1]), match[2], match[3], match[4] or ""
    suite = SUITES.get(name)
    if suite is None:
        raise SdesError(f"suite {name} is not supported")
    if ";" in keys:
        raise SdesError("several keys in one a=crypto are not supported")
    text, *options = keys.removeprefix("inline:").split("|")
    if any(not _LIFETIME.fullmatch(option) for option in options):
        raise SdesError("a key identifier (MKI) is not supported")
    for parameter in parameters.split():
        # UNENCRYPTED_* and UNAUTHENTICATED_* would make "secure" mean nothing; FEC and odd KDRs are not implemented.
        if not _HARMLESS.fullmatch(parameter):
            raise SdesError(f"session parameter {parameter[:40]} is not accepted")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SdesError("the key is not base64") from None
    if len(key) != suite.key_bytes:
        raise SdesError(f"the key of {name} has {len(key)} bytes instead of {suite.key_bytes}")
    return Crypto(tag, name, key)


def make_crypto(tag: int, suite: str) -> Crypto:
    """Return a line with a fresh random key. Raises SdesError for a suite that is not supported."""
    if suite not in SUITES:
        raise SdesError(f"suite {suite} is not supported")
    return Crypto(tag, suite, secrets.token_bytes(SUITES[suite].key_bytes))


def choose_crypto(values: list[str], allowed: tuple[str, ...] | None = None) -> tuple[Crypto, Crypto]:
    """Return the offerer's line and our answer to it: the first that can be used (RFC 4568 §5.1.2).

    Raises:
        SdesError: none can; its reason is that of the last.
    """
    last = SdesError("the offer has no a=crypto")
    for value in values[:16]:
        try:
            offered = parse_crypto(value)
        except SdesError as error:
            last = error
            continue
        if allowed is None or offered.suite in allowed:
            return offered, make_crypto(offered.tag, offered.suite)
        last = SdesError(f"suite {offered.suite} is not allowed here")
    raise last


class SrtpLeg:
    """Protects what one leg sends and opens what it receives. New keys, after a re-INVITE, are a new leg."""

    def __init__(self, suite: str, sending_key: bytes, receiving_key: bytes) -> None:
        """Keys are master key and salt. Raises SdesError for a suite or key that libsrtp does not take."""
        self._sending = suite, sending_key
        self._out = _session(suite, sending_key, _PROFILES.SSRC_ANY_OUTBOUND)
        # Any inbound SSRC: each gets a rollover counter of its own, so a change of SSRC starts at zero.
        self._in = _session(suite, receiving_key, _PROFILES.SSRC_ANY_INBOUND)
        self.rejected_packets = 0
        """Forged, replayed, of another key, or no SRTP at all."""

    def sends_as(self, other: "SrtpLeg") -> bool:
        """Say whether both protect with the same key: a stream may go on from one to the other."""
        return self._sending == other._sending

    def receiving(self, receiving_key: bytes) -> "SrtpLeg":
        """Return a leg that opens with another key and goes on protecting where this one stands: rollovers count.

        Raises SdesError.
        """
        suite, sending_key = self._sending
        leg = SrtpLeg(suite, sending_key, receiving_key)
        leg._out = self._out
        return leg

    def protect(self, packet: bytes) -> bytes:
        """Return an RTP packet protected. Raises SrtpError."""
        try:
            return self._out.protect(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Return a compound RTCP packet protected. Raises SrtpError."""
        try:
            return self._out.protect_rtcp(packet)
        except (pylibsrtp.Error, ValueError) as error:
            raise SrtpError(str(error)) from error

    def unprotect(self, datagram: bytes) -> bytes | None:
        """Return the RTP packet in a datagram, None for what is not the peer's."""
        if 12 <= len(datagram) <= _MAX_PACKET_BYTES:
            try:
                return self._in.unprotect(datagram)
            except pylibsrtp.Error:
                pass
        self.rejected_packets += 1
        return None

    def unprotect_rtcp(self, datagram: bytes) -> bytes | None:
        """Return the RTCP packet in a datagram, None for what is not the peer's."""
        if 8 <= len(datagram) <= _MAX_PACKET_BYTES:
            try:
                return self._in.unprotect_rtcp(datagram)
            except pylibsrtp.Error:
                pass
        self.rejected_packets += 1
        return None


def _session(suite: str, key: bytes, kind: int) -> pylibsrtp.Session:
    """Return libsrtp's state for one direction. Raises SdesError."""
    if suite not in SUITES:
        raise SdesError(f"suite {suite} is not supported")
    try:
        return pylibsrtp.Session(pylibsrtp.Policy(key, kind, srtp_profile=SUITES[suite].profile))
    except (pylibsrtp.Error, ValueError) as error:
        raise SdesError(f"libsrtp takes no such key: {error}") from None
