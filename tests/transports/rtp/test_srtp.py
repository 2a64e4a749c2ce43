"""SRTP: what one end protects the other opens, and nobody else."""

import hmac
import secrets

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pylibsrtp")

from transports.rtp.errors import KeyUnusable, SrtpError
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.rtcp import ReceiverReport, serialise_rtcp
from transports.rtp.srtp import SUITES, SrtpLeg


def pair(suite: str) -> tuple[SrtpLeg, SrtpLeg]:
    ours, theirs = (secrets.token_bytes(SUITES[suite].key_bytes) for _ in range(2))
    return SrtpLeg(suite, ours, theirs), SrtpLeg(suite, theirs, ours)


def packet(sequence: int, ssrc: int = 5) -> bytes:
    return serialise_rtp(RtpPacket(0, sequence, sequence * 160 & 0xFFFF_FFFF, ssrc, b"x" * 160))


@pytest.mark.parametrize("suite", SUITES)
def test_what_one_end_protects_the_other_opens(suite: str) -> None:
    alice, bob = pair(suite)
    for sequence in range(5):
        protected = alice.protect(packet(sequence))
        assert b"xxxx" not in protected
        assert bob.unprotect(protected) == packet(sequence)
    report = serialise_rtcp(ReceiverReport(5))
    assert bob.unprotect_rtcp(alice.protect_rtcp(report)) == report


def test_a_forged_or_replayed_packet_is_none_and_counted() -> None:
    alice, bob = pair("AES_CM_128_HMAC_SHA1_80")
    protected = alice.protect(packet(1))
    assert bob.unprotect(protected[:-1] + bytes((protected[-1] ^ 1,))) is None
    assert bob.unprotect(protected) == packet(1)
    assert bob.unprotect(protected) is None
    assert bob.unprotect(packet(2)) is None
    assert bob.rejected_packets == 3


def test_sequence_numbers_wrap_and_a_new_ssrc_starts_its_own_count() -> None:
    alice, bob = pair("AES_CM_128_HMAC_SHA1_80")
    for sequence in range(65_530, 65_545):
        assert bob.unprotect(alice.protect(packet(sequence & 0xFFFF))) == packet(sequence & 0xFFFF)
    assert bob.unprotect(alice.protect(packet(7, ssrc=6))) == packet(7, ssrc=6)


def test_a_packet_too_long_to_protect_is_our_own_fault() -> None:
    alice, _ = pair("AEAD_AES_128_GCM")
    with pytest.raises(SrtpError):
        alice.protect(bytes(1600))


@given(st.binary(max_size=1600))
def test_junk_never_raises(datagram: bytes) -> None:
    _, bob = pair("AES_CM_128_HMAC_SHA1_32")
    assert bob.unprotect(datagram) is None
    assert bob.unprotect_rtcp(datagram) is None


def test_long_keys_are_derived_as_rfc_6188_has_it() -> None:
    """Its example of §7.2; what libsrtp has protected is opened here by hand."""
    key = bytes.fromhex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6")
    salt = bytes.fromhex("3b04803de51ee7c96423ab5b78d2")
    cipher_key = bytes.fromhex("5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4")
    cipher_salt = bytes.fromhex("fa31791685ca444a9e07c6c64e93")
    authentication_key = bytes.fromhex("fd9c32d39ed5fbb5a9dc96b30818454d1313dc05")
    protected = SrtpLeg("AES_256_CM_HMAC_SHA1_80", key + salt, bytes(46)).protect(packet(3))
    body, tag = protected[:-10], protected[-10:]
    assert tag == hmac.digest(authentication_key, body + bytes(4), "sha1")[:10]
    index = (5 << 64 | 3 << 16) ^ int.from_bytes(cipher_salt + bytes(2), "big")
    opened = Cipher(AES(cipher_key), CTR(index.to_bytes(16, "big"))).decryptor().update(body[12:])
    assert body[:12] + opened == packet(3)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(KeyUnusable):
        SrtpLeg("AES_CM_128_HMAC_SHA1_80", b"short", bytes(30))
