"""DTLS (RFC 5764) by aiortc: the handshake, the keys for SRTP, and the bytes of the data channel.

Media never passes here: `IceAgent` hands it to the leg, which opens it with the keys of `DtlsLink.srtp`. aiortc's names
with an underscore that are used here are kept to this module.
"""

import asyncio
import datetime
from typing import Literal, cast

from aiortc.rtcdtlstransport import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    SRTPProtectionProfile,
    State,
)
from aiortc.rtcicetransport import RTCIceTransport

from transports.rtp.srtp import SrtpLeg
from transports.webrtc.description import RemoteDescription
from transports.webrtc.errors import ConnectFailed
from transports.webrtc.ice import IceAgent

Role = Literal["client", "server"]

_SUITES = {
    b"SRTP_AEAD_AES_256_GCM": "AEAD_AES_256_GCM",
    b"SRTP_AEAD_AES_128_GCM": "AEAD_AES_128_GCM",
    b"SRTP_AES128_CM_SHA1_80": "AES_CM_128_HMAC_SHA1_80",
}
_MAX_QUEUED = 64
"""More than a handshake or a full window of SCTP brings at once."""
_RENEW_BEFORE = datetime.timedelta(days=2)


class CertificateStore:
    """This process's certificate for DTLS: made once, since a key costs a millisecond, and renewed before it ends."""

    def __init__(self) -> None:
        """Makes the first when it is asked for."""
        self._current: RTCCertificate | None = None

    def current(self) -> RTCCertificate:
        """Return one that will be valid for longer than any call."""
        now = datetime.datetime.now(tz=datetime.UTC)
        if self._current is None or self._current.expires - now < _RENEW_BEFORE:
            self._current = RTCCertificate.generateCertificate()
        return self._current


def fingerprints(certificate: RTCCertificate) -> tuple[tuple[str, str], ...]:
    """Return what a description says of a certificate: SHA-256 alone, which every peer knows."""
    return tuple((each.algorithm, each.value) for each in certificate.getFingerprints() if each.algorithm == "sha-256")


class _Route:
    """Where DTLS goes: what aiortc takes for its ICE transport. The agent under it may be replaced (ICE restart)."""

    def __init__(self, agent: IceAgent, role: Role) -> None:
        self.agent = agent
        self.role = "controlling" if role == "server" else "controlled"
        self.state = "completed"
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_QUEUED + 1)

    def receive(self, datagram: bytes) -> None:
        if self._queue.qsize() < _MAX_QUEUED:
            self._queue.put_nowait(datagram)

    def end(self) -> None:
        """Let whoever reads know that nothing will come any more."""
        while self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        datagram = await self._queue.get()
        if datagram is None:
            raise ConnectionError("the call is over")
        return datagram

    async def _send(self, data: bytes) -> None:
        self.agent.send_now(data)


class DtlsLink(RTCDtlsTransport):
    """One call's association; after `establish` its `srtp` opens and protects media."""

    def __init__(self, agent: IceAgent, certificate: RTCCertificate, role: Role) -> None:
        """`role` is what offer and answer agreed on."""
        self._route = _Route(agent, role)
        super().__init__(cast(RTCIceTransport, self._route), [certificate])
        self._set_role(role)
        self.srtp: SrtpLeg | None = None

    def receive(self, datagram: bytes) -> None:
        """Take a datagram; dropped where too many wait, since both DTLS and SCTP send again."""
        self._route.receive(datagram)

    def use(self, agent: IceAgent) -> None:
        """Go on over another agent."""
        self._route.agent = agent

    async def end(self) -> None:
        """Say goodbye (close_notify) and read no more."""
        await self.stop()
        self._route.end()

    async def establish(self, remote: RemoteDescription) -> SrtpLeg:
        """Shake hands; return the keys. Set a deadline. Raises: ConnectFailed, also where the certificate is not
        the one that the description announced.
        """
        await self.start(RTCDtlsParameters([RTCDtlsFingerprint(*each) for each in remote.fingerprints]))
        if self.srtp is None or self.state != "connected":
            raise ConnectFailed("dtls")
        return self.srtp

    def _setup_srtp(self) -> None:
        """Export the keys (called by aiortc once the peer's certificate was found to be the announced one)."""
        assert self._ssl is not None
        chosen = self._ssl.get_selected_srtp_profile()
        profile = next((each for each in self._srtp_profiles if each.openssl_profile == chosen), None)
        if profile is None:
            self._set_state(State.FAILED)
            return
        size = 2 * (profile.key_length + profile.salt_length)
        material = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", size)
        own, other = (1, 0) if self._role == "server" else (0, 1)
        self.srtp = SrtpLeg(_SUITES[chosen], _key(profile, material, own), _key(profile, material, other))


def _key(profile: SRTPProtectionProfile, material: bytes, index: int) -> bytes:
    return profile.get_key_and_salt(material, index)
