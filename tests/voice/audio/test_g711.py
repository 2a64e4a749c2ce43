import hashlib

import numpy as np
import pytest

from voice.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm

EVERY_SAMPLE = np.arange(65536, dtype="<u2").tobytes()
EVERY_OCTET = bytes(range(256))


def pcm(*samples: int) -> bytes:
    return np.array(samples, "<i2").tobytes()


@pytest.mark.parametrize(
    ("sample", "octet"),
    [(0, 0xFF), (-1, 0x7E), (8, 0xFE), (1000, 0xCE), (-1000, 0x4E), (32635, 0x80), (32767, 0x80), (-32768, 0x00)],
)
def test_ulaw_encodes_the_reference_values(sample: int, octet: int) -> None:
    assert pcm_to_ulaw(pcm(sample)) == bytes([octet])


@pytest.mark.parametrize(
    ("octet", "sample"), [(0xFF, 0), (0x7F, 0), (0x00, -32124), (0x80, 32124), (0xFE, 8), (0xEF, 132), (0x7E, -8)]
)
def test_ulaw_decodes_the_reference_values(octet: int, sample: int) -> None:
    assert ulaw_to_pcm(bytes([octet])) == pcm(sample)


@pytest.mark.parametrize(
    ("sample", "octet"),
    [(0, 0xD5), (-1, 0x55), (8, 0xD5), (1000, 0xFA), (-1000, 0x7A), (32767, 0xAA), (-32768, 0x2A)],
)
def test_alaw_encodes_the_reference_values(sample: int, octet: int) -> None:
    assert pcm_to_alaw(pcm(sample)) == bytes([octet])


@pytest.mark.parametrize(
    ("octet", "sample"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256), (0x80, 5504), (0xFA, 1008)]
)
def test_alaw_decodes_the_reference_values(octet: int, sample: int) -> None:
    assert alaw_to_pcm(bytes([octet])) == pcm(sample)


@pytest.mark.parametrize(
    ("converted", "digest"),
    [
        (pcm_to_ulaw(EVERY_SAMPLE), "617fa4850d68d3906597e949f7625fb2fc46db479e29707f33159b3d131721cb"),
        (ulaw_to_pcm(EVERY_OCTET), "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827"),
        (pcm_to_alaw(EVERY_SAMPLE), "f77c76aa923ee25617453f87514828a12896227f82ff383bf3bb53d6ac7c2a0f"),
        (alaw_to_pcm(EVERY_OCTET), "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174"),
    ],
    ids=["to-ulaw", "from-ulaw", "to-alaw", "from-alaw"],
)
def test_every_value_is_that_of_the_audioop_module_of_python_3_11(converted: bytes, digest: str) -> None:
    assert hashlib.sha256(converted).hexdigest() == digest


def test_what_was_decoded_encodes_to_the_same_octets() -> None:
    assert pcm_to_alaw(alaw_to_pcm(EVERY_OCTET)) == EVERY_OCTET
    positive_zero = EVERY_OCTET.replace(b"\x7f", b"\xff")  # μ-law has two zeros
    assert pcm_to_ulaw(ulaw_to_pcm(EVERY_OCTET)) == positive_zero


@pytest.mark.parametrize("codec", [(pcm_to_ulaw, ulaw_to_pcm), (pcm_to_alaw, alaw_to_pcm)], ids=["ulaw", "alaw"])
def test_a_round_trip_keeps_36_db_of_a_tone(codec: tuple) -> None:  # type: ignore[type-arg]
    encode, decode = codec
    tone = np.rint(10_000 * np.sin(np.arange(8000) * 2 * np.pi * 441 / 8000)).astype("<i2")
    error = np.frombuffer(decode(encode(tone.tobytes())), "<i2").astype(float) - tone
    assert 10 * np.log10(np.mean(tone.astype(float) ** 2) / np.mean(error**2)) > 36


def test_nothing_becomes_nothing() -> None:
    assert [convert(b"") for convert in (pcm_to_ulaw, ulaw_to_pcm, pcm_to_alaw, alaw_to_pcm)] == [b""] * 4


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of element size"):
        pcm_to_ulaw(b"\0\0\0")
