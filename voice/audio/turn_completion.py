"""Turn completion: how likely has a speaker finished what they were saying, from the sound of the last 8 seconds.

    16 kHz ──► the last 8 s, zeros before ──► zero mean, unit variance ──► log-mel [80, 800] ──► smart-turn ──► 0 … 1

The model is smart-turn v3 (a Whisper tiny encoder with a classifier); its features are those of Whisper: a periodic
Hann window of 25 ms every 10 ms, reflected ends, 80 triangular bands on the Slaney scale with unit area, log10 with a
floor 8 below the maximum. It was trained on turns that end in about 200 ms of silence: ask it there.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from voice.audio.frames import HEARING_RATE_HZ

CONTEXT_S = 8
"""What the model hears; older audio is left out."""

_CONTEXT_SAMPLES = CONTEXT_S * HEARING_RATE_HZ
_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_BANDS = 80
_POWER_FLOOR = 1e-10
_VARIANCE_FLOOR = 1e-7
_DYNAMIC_RANGE = 8.0
_ROWS_AT_ONCE = 16
"""OpenBLAS spreads a larger product over threads that then spin: a judgement took twice as long, and the event loop
came up to 12 ms late."""

# The Slaney scale: linear to 1 kHz, 15 mel there, logarithmic above with 27 mel to a factor of 6.4.
_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ, _LOG_FROM_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0

Samples = npt.NDArray[np.float32]


def log_mel(pcm_16k: npt.NDArray[np.int16]) -> Samples:
    """Return the features of the last 8 seconds, shape [80, 800]; 3 ms."""
    heard = np.zeros(_CONTEXT_SAMPLES, np.float32)
    last = pcm_16k[-_CONTEXT_SAMPLES:]
    np.multiply(last, np.float32(1 / 32768), out=heard[_CONTEXT_SAMPLES - len(last) :])
    heard -= heard.mean()
    heard /= np.sqrt(heard.var() + _VARIANCE_FLOOR)
    padded = np.pad(heard, _WINDOW_SAMPLES // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[:-1:_HOP_SAMPLES]
    spectrum = np.fft.rfft(windows * _WINDOW, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32, copy=False)
    bands = np.log10(np.maximum(_in_bands(power), _POWER_FLOOR))
    np.maximum(bands, bands.max() - _DYNAMIC_RANGE, out=bands)
    return (bands.T + np.float32(4.0)) / np.float32(4.0)


class TurnCompletionModel:
    """smart-turn on onnxruntime: one thread, no spinning; `judge` may run in any thread, several at a time."""

    def __init__(self, model_path: Path) -> None:
        """Load the model, 100 ms and 30 MB.

        Raises:
            Exception: onnxruntime's own, when the file is missing or no model (`voice.models.manifest` checks first).
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._model: Any = onnxruntime.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])

    def judge(self, pcm_16k: npt.NDArray[np.int16]) -> float:
        """Return the probability that the turn is complete. 35 ms of CPU, nearly all of it without the interpreter."""
        (probabilities,) = self._model.run(None, {"input_features": log_mel(pcm_16k)[np.newaxis]})
        return float(probabilities[0, 0])


def _in_bands(power: Samples) -> Samples:
    """Sum power spectra [windows, 201] into bands [windows, 80], few at a time: see `_ROWS_AT_ONCE`."""
    bands = np.empty((len(power), _BANDS), np.float32)
    for row in range(0, len(power), _ROWS_AT_ONCE):
        np.dot(power[row : row + _ROWS_AT_ONCE], _FILTERS, out=bands[row : row + _ROWS_AT_ONCE])
    return bands


def _hz_of(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _HZ_PER_MEL, logarithmic)


def _filters() -> Samples:
    """Return the bands' weights on the power spectrum, shape [201, 80]."""
    top_mel = _LOG_FROM_MEL + np.log(HEARING_RATE_HZ / 2 / _LOG_FROM_HZ) / _LOG_STEP
    edges = _hz_of(np.linspace(0.0, top_mel, _BANDS + 2))
    bins = np.linspace(0.0, HEARING_RATE_HZ / 2, _WINDOW_SAMPLES // 2 + 1)[:, np.newaxis]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))
    return (triangles * 2.0 / (high - low)).astype(np.float32)


_WINDOW = np.hanning(_WINDOW_SAMPLES + 1)[:-1].astype(np.float32)
_FILTERS = _filters()
