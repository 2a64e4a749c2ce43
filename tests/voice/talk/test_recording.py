"""Recordings: every kind of WAV becomes the same speech, and what is no recording is refused with a sentence."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from voice.audio.files import encode
from voice.talk.errors import RecordingError
from voice.talk.recording import find_speech, from_pcm, from_samples, load, resample_whole, write_stereo


def tone(rate_hz: int, seconds: float, hz: float = 400.0, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int, width: int = 2, channels: int = 1) -> Path:
    frames = np.repeat(samples[:, None], channels, axis=1).reshape(-1)
    if width == 1:
        raw = np.round(frames * 127 + 128).astype(np.uint8).tobytes()
    elif width == 3:
        raw = b"".join(struct.pack("<i", round(value * (2**23 - 1)))[:3] for value in frames)
    else:
        raw = np.round(frames * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(raw)
    return path


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 2), (3, 1), (4, 2)])
def test_any_rate_width_and_channels_give_the_same_tone(
    tmp_path: Path, rate_hz: int, width: int, channels: int
) -> None:
    path = write_wav(tmp_path / "tone.wav", tone(rate_hz, 0.5), rate_hz, width, channels)
    recording = load(path)
    samples = np.frombuffer(recording.pcm, dtype="<i2") / 2**15
    assert recording.duration_ms == pytest.approx(500, abs=1)
    middle = slice(2_400, 9_600)
    assert np.abs(samples[middle] - tone(24_000, 0.5)[middle]).max() < 0.012


def test_resampling_down_leaves_no_alias() -> None:
    high = tone(24_000, 0.5, hz=7_000)
    assert np.abs(resample_whole(high, 24_000, 8_000)[400:-400]).max() < 0.001


def test_speech_is_found_between_silences_and_noise() -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, 24_000 * 2)
    noise[12_000:36_000] += tone(24_000, 1.0)
    assert find_speech(noise, 24_000) == (500, 1_500)


def test_a_click_after_the_speech_does_not_lengthen_it() -> None:
    samples = np.zeros(24_000)
    samples[2_400:12_000] = tone(24_000, 0.4)
    samples[20_000:20_100] = 0.9
    assert find_speech(samples, 24_000) == (100, 500)


def test_silence_counts_as_a_whole() -> None:
    assert find_speech(np.zeros(24_000), 24_000) == (0, 1_000)


def test_pcm_at_another_rate_keeps_the_length() -> None:
    recording = from_samples("tone", tone(24_000, 0.5))
    assert len(recording.pcm_at(8_000)) == 8_000
    assert from_pcm("again", recording.pcm).speech_end_ms == recording.speech_end_ms


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a WAV recording"),
        (b"hello, I am a text file and no sound at all", "not a WAV recording"),
        (b"RIFF\x24\x00\x00\x00WAVE", "not a WAV recording"),
        (b"\xff\xfb\x90\x64" + bytes(400), "ffmpeg"),
    ],
)
def test_a_file_that_is_not_audio_is_refused_with_a_way_out(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        load(path)


def test_a_missing_file_a_folder_and_an_empty_recording_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file"):
        load(tmp_path / "nothing.wav")
    with pytest.raises(RecordingError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(RecordingError, match="holds no audio"):
        load(write_wav(tmp_path / "empty.wav", np.zeros(0), 16_000))


def test_a_float_wav_is_refused_with_a_way_out(tmp_path: Path) -> None:
    body = b"fmt " + struct.pack("<IHHIIHH", 16, 3, 1, 24_000, 96_000, 4, 32) + b"data" + struct.pack("<I", 0)
    path = tmp_path / "float.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    with pytest.raises(RecordingError, match="pcm_s16le"):
        load(path)


def test_the_stereo_file_holds_caller_left_and_agent_right(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_stereo(path, b"\x01\x00" * 3, b"\x02\x00" * 5)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 24_000, 5)
        tracks = np.frombuffer(file.readframes(5), dtype="<i2").reshape(-1, 2)
    assert tracks[:, 0].tolist() == [1, 1, 1, 0, 0]
    assert tracks[:, 1].tolist() == [2] * 5


def test_a_stream_of_unknown_length_that_was_saved_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    pcm = np.round(tone(24_000, 0.5) * 32_767).astype("<i2").tobytes()
    path.write_bytes(encode(pcm, "wav"))
    assert load(path).pcm == pcm
