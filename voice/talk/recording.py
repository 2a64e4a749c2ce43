"""Recordings as the caller's mouth: any WAV file becomes 24 kHz mono, with the moments where speech begins and ends."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voice.audio.frames import CORE_RATE_HZ
from voice.talk.errors import RecordingError

WINDOW_MS = 10
"""Resolution of the onset and the end of speech."""

_RUN_WINDOWS = 3
"""Shorter than this is a click, not speech."""

_SPEECH_RANGE_DB = 30.0
"""How far below its loud parts speech may fall and still be speech."""

_ABOVE_FLOOR_DB = 8.0
_QUIETEST_DBFS = -60.0

_HINT = "convert it first, for example: ffmpeg -i {name} -ac 1 -ar 24000 -c:a pcm_s16le speech.wav"


@dataclass(frozen=True, slots=True)
class Recording:
    """Speech to be sent at its own pace."""

    name: str
    pcm: bytes
    """24 kHz, mono, signed 16-bit."""
    speech_start_ms: int
    """Onset by energy, to 10 ms."""
    speech_end_ms: int
    """Where the last speech ends by energy, to 10 ms: latencies are counted from here."""

    @property
    def duration_ms(self) -> float:
        """Length of the whole file."""
        return len(self.pcm) / 2 * 1000 / CORE_RATE_HZ

    def pcm_at(self, rate_hz: int) -> bytes:
        """Return the audio at another rate, for wire formats that are not 24 kHz."""
        return _to_pcm(resample_whole(_from_pcm(self.pcm), CORE_RATE_HZ, rate_hz))


def load(path: Path) -> Recording:
    """Read a WAV file of any rate, width and number of channels.

    Raises: RecordingError, with what to do about it.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate_hz, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
            # A stream that was saved says that it is of some gigabytes, and so much would be asked for.
            raw = file.readframes(min(file.getnframes(), path.stat().st_size // (width * channels)))
    except FileNotFoundError:
        raise RecordingError(
            f"{path}: there is no such file; record one, or have the service speak one (POST /v1/audio/speech)"
        ) from None
    except IsADirectoryError:
        raise RecordingError(f"{path} is a folder; name a WAV file in it") from None
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror or error}") from None
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise RecordingError(f"{path} is not a WAV recording ({reason}); {_HINT.format(name=path.name)}") from None
    samples = _decode(raw, width, channels)
    if rate_hz <= 0 or samples.size < rate_hz // 50:
        raise RecordingError(f"{path} holds no audio")
    return from_samples(path.name, resample_whole(samples, rate_hz, CORE_RATE_HZ))


def from_samples(name: str, samples: NDArray[np.float64]) -> Recording:
    """Make a recording of 24 kHz samples between -1 and 1."""
    start_ms, end_ms = find_speech(samples, CORE_RATE_HZ)
    return Recording(name, _to_pcm(samples), start_ms, end_ms)


def from_pcm(name: str, pcm: bytes) -> Recording:
    """Make a recording of 24 kHz, mono, signed 16-bit PCM."""
    samples = _from_pcm(pcm)
    start_ms, end_ms = find_speech(samples, CORE_RATE_HZ)
    return Recording(name, pcm, start_ms, end_ms)


def find_speech(samples: NDArray[np.float64], rate_hz: int) -> tuple[int, int]:
    """Return onset and end of speech in milliseconds, by energy; the whole length where nothing stands out."""
    window = rate_hz * WINDOW_MS // 1000
    count = samples.size // window
    whole = (0, round(samples.size * 1000 / rate_hz))
    if count < _RUN_WINDOWS:
        return whole
    power = np.square(samples[: count * window].reshape(count, window)).mean(axis=1)
    level_db = 10 * np.log10(power + 1e-12)
    loud_db, floor_db = float(np.percentile(level_db, 95)), float(np.percentile(level_db, 5))
    threshold_db = max(loud_db - _SPEECH_RANGE_DB, min(floor_db + _ABOVE_FLOOR_DB, loud_db - 6), _QUIETEST_DBFS)
    above = (level_db >= threshold_db).astype(np.int64)
    runs = np.convolve(above, np.ones(_RUN_WINDOWS, dtype=np.int64), mode="valid")
    starts = np.flatnonzero(runs == _RUN_WINDOWS)
    if starts.size == 0:
        return whole
    return int(starts[0]) * WINDOW_MS, (int(starts[-1]) + _RUN_WINDOWS) * WINDOW_MS


def resample_whole(samples: NDArray[np.float64], from_hz: int, to_hz: int) -> NDArray[np.float64]:
    """Change the rate of a whole recording by its spectrum: exact for any pair of rates, no delay.

    Only for audio that is known to its end; the live path has `voice.audio.resample`.
    """
    if from_hz == to_hz or samples.size == 0:
        return samples
    guard = from_hz // 10  # silence around it, so that the spectrum's circle does not join end and beginning
    padded = np.concatenate([np.zeros(guard), samples, np.zeros(guard)])
    # Both lengths are multiples of 100 ms, so that the ratio of lengths is the ratio of rates.
    block = from_hz // np.gcd(from_hz, to_hz)
    padded = np.concatenate([padded, np.zeros(-padded.size % block)])
    length = padded.size * to_hz // from_hz
    spectrum = np.fft.rfft(padded)
    bins = length // 2 + 1
    spectrum = spectrum[:bins] if bins <= spectrum.size else np.pad(spectrum, (0, bins - spectrum.size))
    changed = np.fft.irfft(spectrum, length) * (length / padded.size)
    start, wanted = round(guard * to_hz / from_hz), round(samples.size * to_hz / from_hz)
    return np.asarray(changed[start : start + wanted], dtype=np.float64)


def write_stereo(path: Path, left: bytes, right: bytes) -> None:
    """Write two 24 kHz tracks as one stereo WAV file; the shorter one is filled with silence.

    Raises: RecordingError when the place cannot be written.
    """
    length = max(len(left), len(right)) // 2
    tracks = np.zeros((length, 2), dtype="<i2")
    for channel, pcm in enumerate((left, right)):
        tracks[: len(pcm) // 2, channel] = np.frombuffer(pcm, dtype="<i2")
    try:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(CORE_RATE_HZ)
            file.writeframes(tracks.tobytes())
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror or error}") from None


def _decode(raw: bytes, width: int, channels: int) -> NDArray[np.float64]:
    """Turn interleaved WAV samples into mono between -1 and 1 (8-bit WAV is unsigned, everything else signed)."""
    raw = raw[: len(raw) - len(raw) % (width * channels)]
    if width == 1:
        samples = (np.frombuffer(raw, dtype=np.uint8).astype(np.float64) - 128) / 128
    elif width == 2:
        samples = np.frombuffer(raw, dtype="<i2").astype(np.float64) / 2**15
    elif width == 3:
        widened = np.zeros((len(raw) // 3, 4), dtype=np.uint8)
        widened[:, 1:] = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3)
        samples = widened.view("<i4").reshape(-1).astype(np.float64) / 2**31
    elif width == 4:
        samples = np.frombuffer(raw, dtype="<i4").astype(np.float64) / 2**31
    else:
        raise RecordingError(f"samples of {width} bytes are not known")
    mono: NDArray[np.float64] = samples.reshape(-1, channels).mean(axis=1)
    return mono


def _from_pcm(pcm: bytes) -> NDArray[np.float64]:
    return np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 2**15


def _to_pcm(samples: NDArray[np.float64]) -> bytes:
    return np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()
