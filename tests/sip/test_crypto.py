import base64
from dataclasses import replace

import pytest

from sip.crypto import SUITES, Crypto, Srtp, make_cryptos, parse_crypto, read_cryptos
from sip.errors import NotAcceptable, SipSyntaxError
from sip.media import LocalMedia
from sip.offer_answer import OfferAnswer
from sip.sdp import SessionDescription, parse_sdp

KEY = base64.b64encode(bytes(range(30))).decode()
OFFERED = f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"
LOCAL = LocalMedia("203.0.113.7", 4000)


def offer(protocol: str, *cryptos: str) -> bytes:
    lines = "".join(f"a=crypto:{crypto}\r\n" for crypto in cryptos)
    head = "v=0\r\no=- 1 1 IN IP4 198.51.100.20\r\ns=-\r\nc=IN IP4 198.51.100.20\r\nt=0 0\r\n"
    return f"{head}m=audio 5000 {protocol} 0\r\n{lines}".encode()


def answer(srtp: Srtp, protocol: str, *cryptos: str) -> tuple[SessionDescription, OfferAnswer]:
    call = OfferAnswer("1", key_source=lambda size: b"k" * size)
    call.receive_offer(offer(protocol, *cryptos))
    session = parse_sdp(call.make_answer(replace(LOCAL, srtp=srtp)))
    assert isinstance(session, SessionDescription)
    return session, call


def test_the_example_of_rfc_4568() -> None:
    text = "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32"
    crypto = parse_crypto(text)
    assert (crypto.tag, len(crypto.key), crypto.lifetime, crypto.mki) == (1, 30, "2^20", "1:32")
    assert str(crypto) == text
    assert not crypto.is_usable  # packets with a key identifier are not ours to make


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(parse_crypto(OFFERED))


@pytest.mark.parametrize(
    "text",
    ["", "1", "x AES_CM_128_HMAC_SHA1_80 inline:AA", f"1 AES_CM_128_HMAC_SHA1_80 inline:{KEY[:20]}",
     "1 AES_CM_128_HMAC_SHA1_80 inline:####", f"1 AES_CM_128_HMAC_SHA1_80 uri:{KEY}"],
)  # fmt: skip
def test_a_malformed_attribute(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_crypto(text)


@pytest.mark.parametrize(
    "param", ["UNENCRYPTED_SRTP", "UNAUTHENTICATED_SRTP", "UNENCRYPTED_SRTCP", "FEC_ORDER=x", "NEW=1"]
)
def test_weakened_or_unknown_parameters_make_it_unusable(param: str) -> None:
    assert read_cryptos([f"{OFFERED} {param}"]) == []
    assert len(read_cryptos([f"{OFFERED} WSH=64 -OPTIONAL"])) == 1


def test_keys_are_as_long_as_their_suite_wants() -> None:
    for crypto in make_cryptos():
        assert len(crypto.key) == SUITES[crypto.suite]
        assert parse_crypto(str(crypto)) == crypto


def test_an_encrypted_offer_is_answered_with_tag_and_suite_of_theirs_and_a_key_of_ours() -> None:
    second = f"7 AES_CM_128_HMAC_SHA1_32 inline:{KEY}"
    session, call = answer(Srtp.OPTIONAL, "RTP/SAVP", "3 F8_128_HMAC_SHA1_80 inline:AAAA", second, OFFERED)
    media = session.media[0]
    assert media.protocol == "RTP/SAVP"
    (ours,) = (parse_crypto(value) for value in media.get_all("crypto"))
    assert (ours.tag, ours.suite, ours.key) == (7, "AES_CM_128_HMAC_SHA1_32", b"k" * 30)
    assert call.agreement is not None
    assert call.agreement.remote_crypto == parse_crypto(second)
    assert call.agreement.local_crypto == ours


def test_best_effort_encryption_is_taken_on_a_plain_profile() -> None:
    session, call = answer(Srtp.OPTIONAL, "RTP/AVP", OFFERED)
    assert (session.media[0].protocol, session.media[0].has("crypto")) == ("RTP/AVP", True)
    assert call.agreement is not None
    assert call.agreement.local_crypto is not None


@pytest.mark.parametrize(
    ("srtp", "protocol", "cryptos", "encrypted"),
    [
        (Srtp.OFF, "RTP/AVP", (), False),
        (Srtp.OFF, "RTP/AVP", (OFFERED,), False),
        (Srtp.OPTIONAL, "RTP/AVP", (), False),
        (Srtp.REQUIRED, "RTP/SAVP", (OFFERED,), True),
        (Srtp.REQUIRED, "RTP/AVP", (OFFERED,), True),
    ],
)
def test_off_optional_and_required(srtp: Srtp, protocol: str, cryptos: tuple[str, ...], encrypted: bool) -> None:
    session, _ = answer(srtp, protocol, *cryptos)
    assert session.media[0].has("crypto") is encrypted


@pytest.mark.parametrize(
    ("srtp", "protocol", "cryptos"),
    [
        (Srtp.OFF, "RTP/SAVP", (OFFERED,)),
        (Srtp.REQUIRED, "RTP/AVP", ()),
        (Srtp.OPTIONAL, "RTP/SAVP", ()),
        (Srtp.OPTIONAL, "RTP/SAVP", (f"{OFFERED} UNENCRYPTED_SRTP",)),
        (Srtp.REQUIRED, "RTP/SAVP", (f"{OFFERED}|1:4",)),
    ],
)
def test_what_cannot_be_had_is_refused(srtp: Srtp, protocol: str, cryptos: tuple[str, ...]) -> None:
    with pytest.raises(NotAcceptable):
        answer(srtp, protocol, *cryptos)


def test_of_a_plain_and_an_encrypted_stream_the_encrypted_is_taken() -> None:
    call = OfferAnswer("1")
    data = offer("RTP/AVP") + f"m=audio 6000 RTP/SAVP 0\r\na=crypto:{OFFERED}\r\n".encode()
    call.receive_offer(data)
    session = parse_sdp(call.make_answer(replace(LOCAL, srtp=Srtp.OPTIONAL)))
    assert isinstance(session, SessionDescription)
    assert [media.port for media in session.media] == [0, 4000]


def test_a_re_invite_with_the_same_suite_keeps_our_key_and_takes_their_new_one() -> None:
    keys = iter([b"a" * 30, b"b" * 30])
    call = OfferAnswer("1", key_source=lambda size: next(keys))
    local = replace(LOCAL, srtp=Srtp.REQUIRED)
    call.receive_offer(offer("RTP/SAVP", OFFERED))
    call.make_answer(local)
    fresh = base64.b64encode(b"n" * 30).decode()
    call.receive_offer(offer("RTP/SAVP", f"2 AES_CM_128_HMAC_SHA1_80 inline:{fresh}"))
    call.make_answer(local)
    assert call.agreement is not None
    assert call.agreement.local_crypto == Crypto(2, "AES_CM_128_HMAC_SHA1_80", b"a" * 30)
    assert call.agreement.remote_crypto is not None
    assert call.agreement.remote_crypto.key == b"n" * 30


def test_our_offer_and_the_key_they_chose() -> None:
    call = OfferAnswer("1")
    session = parse_sdp(call.make_offer(replace(LOCAL, srtp=Srtp.REQUIRED)))
    assert isinstance(session, SessionDescription)
    assert session.media[0].protocol == "RTP/SAVP"
    ours = [parse_crypto(value) for value in session.media[0].get_all("crypto")]
    chosen = next(one for one in ours if one.suite == "AES_CM_128_HMAC_SHA1_80")
    agreement = call.receive_answer(offer("RTP/SAVP", f"{chosen.tag} {chosen.suite} inline:{KEY}"))
    assert agreement.local_crypto == chosen
    assert agreement.remote_crypto == Crypto(chosen.tag, chosen.suite, bytes(range(30)))


@pytest.mark.parametrize("srtp", [Srtp.REQUIRED, Srtp.OPTIONAL])
def test_an_answer_without_a_key(srtp: Srtp) -> None:
    call = OfferAnswer("1")
    call.make_offer(replace(LOCAL, srtp=srtp))
    if srtp is Srtp.OPTIONAL:
        assert call.receive_answer(offer("RTP/AVP")).local_crypto is None
    else:
        with pytest.raises(NotAcceptable):
            call.receive_answer(offer("RTP/SAVP"))


def test_a_refresh_of_ours_keeps_profile_and_key() -> None:
    session, call = answer(Srtp.OPTIONAL, "RTP/AVP", OFFERED)
    before = call.agreement
    again = parse_sdp(call.make_offer(replace(LOCAL, srtp=Srtp.OPTIONAL)))
    assert isinstance(again, SessionDescription)
    assert again.media[0].protocol == "RTP/AVP"
    assert again.media[0].get_all("crypto") == session.media[0].get_all("crypto")
    assert call.receive_answer(offer("RTP/AVP", OFFERED)) == before
