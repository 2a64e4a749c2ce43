import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.rtp.codecs import CODECS, G722, OPUS, PCMA, PCMU, Codec, make_decoder, make_encoder
from transports.rtp.errors import CodecUnavailable
from transports.rtp.opus import OpusDecoder, OpusEncoder, packet_samples
from transports.rtp.packet import RtpPacket

pytest.importorskip("av")
ALL = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


def speech_like(seconds: float = 1.0) -> bytes:
    t = np.arange(int(24_000 * seconds)) / 24_000
    pitch = 2 * np.pi * np.cumsum(130 + 30 * np.sin(2 * np.pi * 2 * t)) / 24_000
    wave = sum(np.sin(n * pitch) / n for n in range(1, 9)) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))
    return (4000 * wave).astype("<i2").tobytes()


def frames(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + 960] for at in range(0, len(pcm) - 959, 960)]


def similarity(sent: bytes, got: bytes, max_delay_ms: float = 15) -> tuple[float, float]:
    """Best correlation, and the delay it is at."""
    first, second = (np.frombuffer(pcm, "<i2").astype(float) for pcm in (sent, got))
    best = (0.0, 0.0)
    for delay in range(0, int(max_delay_ms * 24), 3):
        a, b = first[: len(first) - delay][: len(second) - delay], second[delay : len(first)]
        a = a[: len(b)]
        best = max(best, (float(np.corrcoef(a, b)[0, 1]), delay / 24))
    return best


@ALL
def test_what_is_sent_is_heard_with_little_delay(codec: Codec) -> None:
    encoder, decoder, pcm = make_encoder(codec), make_decoder(codec), speech_like()
    got = b"".join(decoder.decode(encoder.encode(frame)) or b"" for frame in frames(pcm))
    assert len(got) == len(pcm)
    correlation, delay_ms = similarity(pcm, got)
    assert correlation > 0.97
    assert delay_ms <= 7


@ALL
def test_a_packet_tells_its_length_in_clock_units(codec: Codec) -> None:
    payload = make_encoder(codec).encode(bytes(960))
    assert codec.samples_of(RtpPacket(0, 0, 0, 0, payload)) == codec.clock_hz // 50


@ALL
@settings(max_examples=60, deadline=None)
@given(payloads=st.lists(st.binary(max_size=400), max_size=6))
def test_junk_never_raises_and_never_grows(codec: Codec, payloads: list[bytes]) -> None:
    decoder = make_decoder(codec)
    for payload in payloads:
        got = decoder.decode(payload)
        assert got is None or len(got) <= 24_000 * 2 * 0.2
        codec.samples_of(RtpPacket(0, 0, 0, 0, payload))
        decoder.recover(payload, 480)
        decoder.conceal(480)


@pytest.mark.parametrize(("payload", "samples"), [
    (b"\x08", 960), (b"\x18", 2880), (b"\x0b\x03", 2880), (b"\xf9", 1920), (b"\x80", 120), (b"", 0), (b"\x03", 0),
    (b"\x1b\x3f", 0),
])  # fmt: skip
def test_opus_packets_tell_their_length_by_their_first_octets(payload: bytes, samples: int) -> None:
    assert packet_samples(payload) == samples


def test_opus_conceals_only_what_it_can() -> None:
    decoder = OpusDecoder()
    assert len(decoder.conceal(480) or b"") == 960
    assert decoder.conceal(7) is None
    assert decoder.recover(b"", 480) is None


def test_reported_loss_turns_redundancy_on_and_off_again() -> None:
    encoder = OpusEncoder()
    encoder.expect_loss(0.01)
    assert not encoder.sends_fec
    encoder.expect_loss(0.05)
    assert encoder.sends_fec
    for share in (0.01, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0):  # bursts
        encoder.expect_loss(share)
        assert encoder.sends_fec
    encoder.expect_loss(0.0)
    assert not encoder.sends_fec
    assert encoder.encode(bytes(960))


def test_redundancy_brings_a_lost_packet_back_better_than_concealment() -> None:
    encoder, pcm = OpusEncoder(), speech_like(2.0)
    encoder.expect_loss(0.1)
    packets = [encoder.encode(frame) for frame in frames(pcm)]
    plain, recovering, whole = OpusDecoder(), OpusDecoder(), OpusDecoder()
    errors = {"concealed": 0.0, "recovered": 0.0}
    chance = random.Random(4)
    for number, payload in enumerate(packets[:-1]):
        wanted = np.frombuffer(whole.decode(payload) or b"", "<i2").astype(float)
        if number > 10 and chance.random() < 0.1:
            concealed = plain.conceal(480) or b""
            recovered = recovering.recover(packets[number + 1], 480) or b""
            errors["concealed"] += float(np.sum((np.frombuffer(concealed, "<i2") - wanted) ** 2))
            errors["recovered"] += float(np.sum((np.frombuffer(recovered, "<i2") - wanted) ** 2))
        else:
            plain.decode(payload)
            recovering.decode(payload)
    assert errors["recovered"] < 0.5 * errors["concealed"]


def test_a_frame_that_opus_has_no_length_for_is_refused() -> None:
    with pytest.raises(ValueError, match="frame"):
        OpusEncoder().encode(bytes(962))


def test_an_unknown_codec_is_refused() -> None:
    speex = Codec("speex", 8000, None)
    for make in (make_encoder, make_decoder):
        with pytest.raises(CodecUnavailable):
            make(speex)


def test_the_clock_of_g722_is_that_of_rfc_3551() -> None:
    assert (G722.clock_hz, OPUS.clock_hz, OPUS.channels) == (8000, 48000, 2)
    assert (PCMU.static_payload_type, PCMA.static_payload_type, G722.static_payload_type) == (0, 8, 9)


@pytest.mark.parametrize("codec", [PCMU, PCMA])
def test_speech_after_long_silence_is_coded_as_without_it(codec: Codec) -> None:
    quick, plain = make_encoder(codec), make_encoder(codec)
    speech = (np.sin(np.arange(480) / 5) * 8000).astype("<i2").tobytes()
    silence = bytes(960)
    assert [quick.encode(pcm) for pcm in (speech, silence, silence, silence, speech, speech)][4:] == [
        plain.encode(pcm) for pcm in (speech, silence, speech, speech)
    ][2:]
