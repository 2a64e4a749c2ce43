"""Noise reduction: how far noise falls in the pauses, what speech loses, and the CPU.

Takes a folder with WAV files and a `manifest.json`: a list of `{"id": file name without .wav}`. The recordings stand
behind one another with a second of pause between, under steady noise; the first two seconds are for the suppressor to
learn in. What the input buffer would hold is compared with the same without reduction.
"""

import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.harness import SEED, Outcome, emit, parser, progress
from voice.audio.frames import CORE_RATE_HZ
from voice.protocol.session_fields import NoiseReduction
from voice.session.conditioning import InputConditioner
from voice.talk.recording import load

KINDS = (None, "near_field", "far_field")
SNRS_DB = (15, 10, 5)

_CHUNK_BYTES = CORE_RATE_HZ // 50 * 2
_LEARN_S = 2

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path, help="with WAV files and a manifest.json")
    given = options.parse_args()
    emit(measure(given.folder), given.json)


def measure(folder: Path) -> Outcome:
    """Run every kind over every noise."""
    names = [entry["id"] for entry in json.loads((folder / "manifest.json").read_text("utf-8"))]
    speech = np.concatenate([_with_pause(folder / f"{name}.wav") for name in names])
    pauses = _pauses(speech)
    columns = ("noise", "SNR dB", "reduction", "noise in pauses dB", "speech dB", "SNR gain dB")
    outcome = Outcome("noise", (*columns, "CPU ms/s"))
    for colour in ("white", "pink"):
        for snr_db in SNRS_DB:
            progress(f"{colour} noise at {snr_db} dB")
            heard = speech + _noise(colour, len(speech)) * _rms(speech[~pauses]) / 10 ** (snr_db / 20)
            plain = np.clip(np.rint(heard), -32768, 32767).astype("<i2")
            for kind in KINDS:
                cleaned, cpu_ms = _condition(plain, kind)
                quieter = _db(plain[pauses], cleaned[pauses])
                softer = _db(plain[~pauses], cleaned[~pauses])
                row = (f"{-quieter:.1f}", f"{-softer:.1f}", f"{quieter - softer:.1f}", f"{cpu_ms:.2f}")
                outcome.rows.append((colour, snr_db, kind or "off", *row))
                key = f"{colour}_{snr_db}_db_{kind or 'off'}"
                outcome.figures[f"{key}_snr_gain_db"] = quieter - softer
                outcome.figures[f"{key}_cpu_ms_per_s"] = cpu_ms
    return outcome


def _with_pause(path: Path) -> Floats:
    return np.concatenate((np.frombuffer(load(path).pcm, "<i2").astype(np.float64), np.zeros(CORE_RATE_HZ)))


def _pauses(speech: Floats) -> npt.NDArray[np.bool_]:
    """Mark what is further than 150 ms from any speech, behind the time to learn in."""
    reach = np.ones(2 * (CORE_RATE_HZ * 150 // 1000) + 1)
    loud = np.abs(speech) > 100
    near = np.convolve(np.add.reduceat(loud, np.arange(0, len(loud), 240)), np.ones(len(reach) // 240), "same") > 0
    pauses = ~np.repeat(near, 240)[: len(speech)]
    pauses[: _LEARN_S * CORE_RATE_HZ] = False
    return pauses


def _noise(colour: str, count: int) -> Floats:
    """Return noise of effective value 1."""
    white = np.random.default_rng(SEED).normal(size=count)
    if colour == "pink":
        spectrum = np.fft.rfft(white)
        spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
        white = np.fft.irfft(spectrum, count)
    noise: Floats = white / _rms(white)
    return noise


def _condition(heard: npt.NDArray[np.int16], kind: str | None) -> tuple[npt.NDArray[np.int16], float]:
    """Return what the session would hear, and the CPU of it in ms a second of audio."""
    conditioner, pcm = InputConditioner(), heard.tobytes()
    conditioner.configure(NoiseReduction.model_validate({"type": kind}) if kind else None)
    began = time.process_time()
    out = [
        conditioner.process(pcm[start : start + _CHUNK_BYTES], CORE_RATE_HZ)
        for start in range(0, len(pcm), _CHUNK_BYTES)
    ]
    out.append(conditioner.settle())
    took_s = time.process_time() - began
    return np.frombuffer(b"".join(out), "<i2"), took_s * 1000 / (len(heard) / CORE_RATE_HZ)


def _rms(samples: Floats) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def _db(before: npt.NDArray[np.int16], after: npt.NDArray[np.int16]) -> float:
    return float(20 * np.log10(_rms(before.astype(np.float64)) / _rms(after.astype(np.float64))))


if __name__ == "__main__":
    main()
