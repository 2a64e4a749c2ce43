from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from voice.audio.endpointing import Endpointing, EndpointingSettings, EndpointState, SpeechStarted
from voice.audio.vad import WINDOW_SAMPLES, SileroModel, VoiceActivityDetector, WebrtcGate, Windows

Floats = npt.NDArray[np.float64]
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def silero(silero_path: Path) -> SileroModel:
    return SileroModel(silero_path)


def windows(samples: Floats) -> Windows:
    """Cut into rows of a window; what is left over is dropped."""
    whole = len(samples) // WINDOW_SAMPLES * WINDOW_SAMPLES
    return np.clip(np.rint(samples[:whole]), -32768, 32767).astype("<i2").reshape(-1, WINDOW_SAMPLES)


def judge_alone(detector: VoiceActivityDetector[Any], samples: Floats) -> list[float]:
    stream = detector.open_stream()
    return [detector.judge([stream], row[np.newaxis])[0] for row in windows(samples)]


def noise(milliseconds: float, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).standard_normal(int(milliseconds * RATE_HZ / 1000))


def buzz(milliseconds: float) -> Floats:
    """Make something like a vowel: 120 Hz and its harmonics under two formants."""
    time_s = np.arange(int(milliseconds * RATE_HZ / 1000)) / RATE_HZ
    formants = [(700, 1.0), (1200, 0.6)]
    voice = sum(
        np.sin(2 * np.pi * 120 * k * time_s) * sum(a / (1 + ((120 * k - f) / 120) ** 2) for f, a in formants)
        for k in range(1, 25)
    )
    return 6000 * np.asarray(voice)


def test_the_gate_is_closed_in_silence_and_open_on_a_vowel() -> None:
    shares = judge_alone(WebrtcGate(), np.concatenate([np.zeros(RATE_HZ), buzz(500)]))
    assert not any(shares[2:30])  # webrtcvad says yes to its very first frames
    assert sum(shares[33:]) / len(shares[33:]) > 0.9


def test_the_gate_hears_every_sample_once() -> None:
    gate = WebrtcGate()
    stream = gate.open_stream()
    seen = 0

    class Counting:
        def is_speech(self, frame: bytes, rate_hz: int) -> bool:
            nonlocal seen
            assert (len(frame), rate_hz) == (640, RATE_HZ)
            seen += 320
            return False

    stream.vad = Counting()
    for row in windows(np.zeros(WINDOW_SAMPLES * 25)):
        gate.judge([stream], row[np.newaxis])
    assert seen + len(stream.rest) // 2 == WINDOW_SAMPLES * 25
    assert len(stream.rest) < 640


def test_a_gate_that_was_reset_judges_as_a_new_one() -> None:
    gate = WebrtcGate()
    stream = gate.open_stream()
    loud = windows(noise(1000) * 8000)
    first = [gate.judge([stream], row[np.newaxis]) for row in loud]
    gate.reset(stream)
    assert [gate.judge([stream], row[np.newaxis]) for row in loud] == first


def test_silero_tells_speech_from_silence(silero: SileroModel, recordings: dict[str, Floats]) -> None:
    probabilities = judge_alone(silero, np.concatenate([np.zeros(RATE_HZ), recordings["jfk"][: 2 * RATE_HZ]]))
    assert max(probabilities[:31]) < 0.1
    assert max(probabilities[31:]) > 0.95


def test_silero_judges_a_batch_as_it_judges_each_stream_alone(
    silero: SileroModel, recordings: dict[str, Floats]
) -> None:
    clips = [recordings[name][:RATE_HZ] for name in ("jfk", "cards_001", "goforward")]
    alone = [judge_alone(silero, clip) for clip in clips]
    streams = [silero.open_stream() for _ in clips]
    together = [silero.judge(streams, np.stack(rows)) for rows in zip(*map(windows, clips), strict=True)]
    assert np.abs(np.array(together).T - np.array(alone)).max() < 1e-4


def test_a_silero_stream_that_was_reset_judges_as_a_new_one(silero: SileroModel, recordings: dict[str, Floats]) -> None:
    stream = silero.open_stream()
    rows = windows(recordings["cards_001"])
    first = [silero.judge([stream], row[np.newaxis]) for row in rows]
    silero.reset(stream)
    assert [silero.judge([stream], row[np.newaxis]) for row in rows] == first


def test_silero_takes_an_empty_batch(silero: SileroModel) -> None:
    assert silero.judge([], np.empty((0, WINDOW_SAMPLES), np.int16)) == []


def in_band(samples: Floats, low_hz: float, high_hz: float) -> Floats:
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    spectrum[(hz < low_hz) | (hz > high_hz)] = 0
    filtered = np.fft.irfft(spectrum, len(samples))
    return np.asarray(filtered / filtered.std())


def struck(samples: Floats, attack_ms: float, decay_ms: float) -> Floats:
    time_ms = np.arange(len(samples)) * 1000 / RATE_HZ
    return samples * np.minimum(1, time_ms / attack_ms) * np.exp(-time_ms / decay_ms)


NOISES: dict[str, Callable[[], Floats]] = {
    "white burst": lambda: noise(200) * 6000,
    "long white noise": lambda: noise(1500) * 3000,
    "rumble": lambda: in_band(noise(500), 30, 300) * 6000,
    "cough": lambda: struck(in_band(noise(180), 300, 3000), 4, 60) * 12_000,
    "bright cough": lambda: struck(in_band(noise(250), 500, 4000), 4, 80) * 12_000,
    "double cough": lambda: (
        np.concatenate([struck(in_band(noise(150, seed), 300, 2500), 3, 40) for seed in (1, 2)]) * 12_000
    ),
    "key click": lambda: struck(in_band(noise(15), 1500, 7000), 0.3, 3) * 12_000,
    "typing": lambda: np.concatenate([struck(in_band(noise(110, s), 1000, 7000), 0.3, 4) for s in range(9)]) * 9000,
    "door slam": lambda: struck(in_band(noise(350), 40, 400), 2, 80) * 12_000,
    "beep": lambda: 8000 * np.sin(2 * np.pi * 1000 / RATE_HZ * np.arange(RATE_HZ // 3)),
}


@pytest.mark.parametrize("name", NOISES)
def test_noise_does_not_start_speech(silero: SileroModel, name: str) -> None:
    scene = np.concatenate([np.zeros(8000), NOISES[name](), np.zeros(8000)])
    machine = Endpointing(EndpointingSettings())
    events = [
        machine.receive(probability, 0, 0) for probability in judge_alone(silero, scene + noise(3000)[: len(scene)])
    ]
    assert not any(events)


def test_speech_starts_within_60_ms_half_the_time_and_120_ms_mostly(
    silero: SileroModel, recordings: dict[str, Floats]
) -> None:
    """Onset by energy: where a run of 100 ms begins that stays within 25 dB of the loud parts."""
    delays_ms = []
    for clip in recordings.values():
        frames = clip[: len(clip) // 80 * 80].reshape(-1, 80)
        level_db = 10 * np.log10((frames**2).mean(axis=1) + 1)
        loud = level_db > max(np.percentile(level_db, 95) - 25, np.percentile(level_db, 5) + 8)
        onset = next(i for i in range(len(loud)) if loud[i : i + 4].all() and loud[i : i + 20].sum() >= 17) * 80
        for lead in (RATE_HZ, RATE_HZ + 170, RATE_HZ + 340):
            machine = Endpointing(EndpointingSettings())
            probabilities = judge_alone(silero, np.concatenate([noise(lead / 16) * 3, clip]))
            for index, probability in enumerate(probabilities):
                if isinstance(machine.receive(probability, 0, 0), SpeechStarted):
                    delays_ms.append(((index + 1) * WINDOW_SAMPLES - lead - onset) / 16)
                    break
            assert machine.state is EndpointState.SPEAKING
    assert np.median(delays_ms) <= 60
    assert np.percentile(delays_ms, 90) <= 120
