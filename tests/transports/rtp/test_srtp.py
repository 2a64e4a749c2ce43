import base64
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pylibsrtp")

from transports.rtp.errors import SdesError, SrtpError
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.rtcp import ReceiverReport, serialise_rtcp
from transports.rtp.srtp import SUITES, SrtpLeg, choose_crypto, make_crypto, parse_crypto

KEY = base64.b64encode(bytes(range(30))).decode()
GOOD = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"


def pair(suite: str) -> tuple[SrtpLeg, SrtpLeg]:
    ours, theirs = make_crypto(1, suite).key, make_crypto(1, suite).key
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


def test_a_crypto_line_reads_as_it_was_written_and_hides_its_key() -> None:
    crypto = parse_crypto(GOOD)
    assert (crypto.tag, crypto.suite, crypto.key) == (1, "AES_CM_128_HMAC_SHA1_80", bytes(range(30)))
    assert parse_crypto(crypto.to_sdp()) == crypto
    assert "key" not in repr(crypto)


@pytest.mark.parametrize("tail", ["|2^31", "|1048576", " WSH=64", "|2^48 KDR=0"])
def test_lifetimes_and_harmless_parameters_are_taken(tail: str) -> None:
    assert parse_crypto(GOOD + tail).tag == 1


@pytest.mark.parametrize(
    "line",
    [
        *("", "1", "1 AES_CM_128_HMAC_SHA1_80", "x AES_CM_128_HMAC_SHA1_80 inline:" + KEY),
        *(GOOD + "|2^20|1:4", GOOD + "|1:4", GOOD + ";inline:" + KEY),
        *(GOOD + " UNENCRYPTED_SRTP", GOOD + " UNAUTHENTICATED_SRTP", GOOD + " KDR=3"),
        *("1 AES_CM_128_HMAC_SHA1_80 inline:short", "1 F8_128_HMAC_SHA1_80 inline:" + KEY, GOOD + "\u00e9"),
    ],
)
def test_what_cannot_be_done_is_refused_without_naming_the_key(line: str) -> None:
    with pytest.raises(SdesError) as caught:
        parse_crypto(line)
    assert KEY not in str(caught.value)


@given(st.text(max_size=120))
def test_reading_a_line_only_ever_refuses(line: str) -> None:
    with suppress(SdesError):
        parse_crypto(line)


def test_the_first_usable_line_of_an_offer_is_answered_with_a_key_of_our_own() -> None:
    offer = ["1 AES_CM_256_HMAC_SHA1_80 inline:" + KEY, f"2 AES_CM_128_HMAC_SHA1_32 inline:{KEY}", GOOD]
    theirs, ours = choose_crypto(offer)
    assert (theirs.tag, ours.tag, ours.suite) == (2, 2, "AES_CM_128_HMAC_SHA1_32")
    assert ours.key != theirs.key
    assert choose_crypto(offer, ("AES_CM_128_HMAC_SHA1_80",))[1].tag == 1


@pytest.mark.parametrize("offer", [[], ["nonsense"], ["1 AES_CM_256_HMAC_SHA1_80 inline:" + KEY]])
def test_an_offer_without_a_usable_line_is_refused(offer: list[str]) -> None:
    with pytest.raises(SdesError):
        choose_crypto(offer)


def test_a_key_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(SdesError):
        SrtpLeg("AES_CM_128_HMAC_SHA1_80", b"short", bytes(30))
