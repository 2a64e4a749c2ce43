"""Turn completion: features as the model was trained on, and real speech told from half of it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from voice.audio.turn_completion import TurnCompletionModel, log_mel
from voice.errors import ModelError
from voice.models.manifest import find

RATE_HZ = 16_000
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="session")
def model() -> TurnCompletionModel:
    try:
        path: Path = find("smart-turn-v3.2")
    except ModelError as error:
        pytest.skip(f"needs the turn-completion model: {error.command}")
    return TurnCompletionModel(path)


def chirp(seconds: float) -> npt.NDArray[np.int16]:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * (200 + 300 * time) * time)).astype(np.int16)


def ended(speech: Floats) -> npt.NDArray[np.int16]:
    """Cut silence off, and add the 200 ms of it that the model is asked behind."""
    loud = np.flatnonzero(np.abs(speech) > 0.05 * np.abs(speech).max())
    return np.concatenate((speech[: loud[-1] + 1], np.zeros(RATE_HZ // 5))).astype(np.int16)


def test_features_are_those_of_whisper() -> None:
    features = log_mel(chirp(3.0))
    assert features.shape == (80, 800)
    assert features.dtype == np.float32
    # By Whisper's own feature extraction of the same samples, normalised, zeros in front.
    expected = [
        [-0.21539999544620514, 1.3517999649047852, -0.21539999544620514, 0.38850000500679016],
        [-0.21539999544620514, 1.086899995803833, -0.21539999544620514, 0.40720000863075256],
        [-0.21539999544620514, 0.758899986743927, 1.736899971961975, 0.4350000023841858],
        [-0.21539999544620514, 0.41760000586509705, -0.21539999544620514, 0.7275999784469604],
        [-0.21539999544620514, -0.07270000129938126, -0.21539999544620514, 0.015300000086426735],
    ]
    assert features[[0, 10, 20, 40, 79], :][:, [0, 500, 600, 799]] == pytest.approx(np.array(expected), abs=1e-3)


def test_only_the_last_eight_seconds_count() -> None:
    long = chirp(10.0)
    assert np.array_equal(log_mel(long), log_mel(long[-8 * RATE_HZ :]))


def test_loudness_does_not_count() -> None:
    quiet = (chirp(2.0) // 8).astype(np.int16)
    assert np.abs(log_mel(chirp(2.0)) - log_mel(quiet)).mean() < 0.05


@pytest.mark.parametrize("samples", [0, 1, 160, 8 * RATE_HZ])
def test_silence_of_any_length_has_finite_features(samples: int) -> None:
    assert np.isfinite(log_mel(np.zeros(samples, np.int16))).all()


@pytest.mark.parametrize("name", ["cards_005", "goforward", "libri-2412-0000", "spk1_snt4"])
def test_a_finished_sentence_is_complete(model: TurnCompletionModel, recordings: dict[str, Floats], name: str) -> None:
    assert model.judge(ended(recordings[name])) > 0.8


@pytest.mark.parametrize(("name", "share"), [("jfk", 0.7), ("librivox_0930", 0.5), ("spk1_snt2", 0.6)])
def test_half_a_sentence_is_not(
    model: TurnCompletionModel, recordings: dict[str, Floats], name: str, share: float
) -> None:
    speech = recordings[name]
    assert model.judge(ended(speech[: round(len(speech) * share)])) < 0.3
