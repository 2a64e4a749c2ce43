"""SRTP over libsrtp (RFC 3711; RFC 6188 for AES-256 in counter mode, RFC 7714 for GCM).

How keys are agreed on is the signalling's (`sip/crypto.py`) or DTLS's; here they come as bytes, and never stand in a
message, a log or a repr.
"""

from dataclasses import dataclass

import pylibsrtp
from pylibsrtp._binding import ffi as _ffi  # type: ignore[import-not-found]  # compiled, without a stub

from transports.rtp.errors import KeyUnusable, SrtpError

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
    is_long: bool = False
    """AES with 256 bits in counter mode, for which libsrtp has no profile: the profile's with a longer key."""


SUITES = {
    suite.name: suite
    for suite in (
        Suite("AEAD_AES_256_GCM", _PROFILES.SRTP_PROFILE_AEAD_AES_256_GCM, 44),
        Suite("AEAD_AES_128_GCM", _PROFILES.SRTP_PROFILE_AEAD_AES_128_GCM, 28),
        Suite("AES_256_CM_HMAC_SHA1_80", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_80, 46, is_long=True),
        Suite("AES_256_CM_HMAC_SHA1_32", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_32, 46, is_long=True),
        Suite("AES_CM_128_HMAC_SHA1_80", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_80, 30),
        Suite("AES_CM_128_HMAC_SHA1_32", _PROFILES.SRTP_PROFILE_AES128_CM_SHA1_32, 30),
    )
}


class SrtpLeg:
    """Protects what one leg sends and opens what it receives. New keys, after a re-INVITE, are a new leg."""

    def __init__(self, suite: str, sending_key: bytes, receiving_key: bytes) -> None:
        """Keys are master key and salt. Raises KeyUnusable for a suite or key that libsrtp does not take."""
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

        Raises KeyUnusable.
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
    """Return libsrtp's state for one direction. Raises KeyUnusable."""
    known = SUITES.get(suite)
    if known is None or len(key) != known.key_bytes:
        raise KeyUnusable(f"suite {suite} is not supported" if known is None else f"the key of {suite} is too short")
    try:
        policy = pylibsrtp.Policy(key, kind, srtp_profile=known.profile)
        if known.is_long:
            _lengthen(policy)
        return pylibsrtp.Session(policy)
    except (pylibsrtp.Error, ValueError) as error:
        raise KeyUnusable(f"libsrtp takes no such key: {error}") from None


_AES_ICM_128, _AES_ICM_256 = 1, 5


def _lengthen(policy: pylibsrtp.Policy) -> None:
    """Make an AES-128 policy one of AES-256. Raises KeyUnusable where libsrtp's structure is not as it has been.

    The binding declares neither the function for it nor the fields of `srtp_crypto_policy_t`; they are six integers:
    cipher, its key's length, authentication, its key's length, tag length, services.
    """
    for part in (policy._policy.rtp, policy._policy.rtcp):
        fields = _ffi.cast("uint32_t *", _ffi.addressof(part))
        if (fields[0], fields[1]) != (_AES_ICM_128, 30):
            raise KeyUnusable("this libsrtp cannot be told to use AES-256 in counter mode")
        fields[0], fields[1] = _AES_ICM_256, 46
