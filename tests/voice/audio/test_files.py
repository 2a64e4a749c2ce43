"""Speech survives the way into a file of every format and back."""

import io
import wave

import numpy as np
import pytest

from voice.audio import files
from voice.audio.files import CONTENT_TYPES, Encoder, FileFormat, UnreadableAudio, decode, encode

RATE_HZ = 24_000


def tone(seconds: float, hz: float = 440.0) -> bytes:
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * hz * t) * 12_000).astype("<i2").tobytes()


def loudest_hz(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return float(np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples))


@pytest.mark.parametrize("format", [name for name in CONTENT_TYPES if name != "pcm"])
def test_a_tone_comes_back_as_it_was(format: FileFormat) -> None:
    pcm = decode(encode(tone(2.0), format))
    assert len(pcm) == pytest.approx(2 * RATE_HZ * 2, abs=RATE_HZ * 0.15)
    assert loudest_hz(pcm) == pytest.approx(440, abs=1)
    level = np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2").astype(float))))
    assert level == pytest.approx(12_000 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("format", CONTENT_TYPES)
def test_speech_is_given_as_it_is_made(format: FileFormat) -> None:
    encoder = Encoder(format)
    pieces = [encoder.feed(tone(0.25)) for _ in range(4)]
    assert all(pieces[1:])  # a codec may keep the first frames back, never a second of speech
    whole = b"".join(pieces) + encoder.finish()
    if format == "pcm":
        assert whole == tone(0.25) * 4
    else:
        assert len(decode(whole)) == pytest.approx(RATE_HZ * 2, abs=RATE_HZ * 0.15)


def test_nothing_said_is_still_a_file() -> None:
    assert encode(b"", "wav").startswith(b"RIFF")
    assert encode(b"", "pcm") == b""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be decoded"),
        (b"garbage" * 100, "cannot be decoded"),
        (encode(b"", "wav"), "no audio"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "cannot be decoded"),
    ],
)
def test_what_is_no_audio_is_said_to_be_none(content: bytes, why: str) -> None:
    with pytest.raises(UnreadableAudio, match=why):
        decode(content)


def test_a_wav_of_unknown_length_is_read_to_its_end() -> None:
    said = tone(0.5)
    with wave.open(io.BytesIO(encode(said, "wav"))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE_HZ, 2, 1)
        assert file.readframes(2 * len(said)) == said


def test_an_endless_recording_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_DURATION_S", 1)
    with pytest.raises(UnreadableAudio, match="longer than"):
        decode(encode(tone(2.0), "flac"))
