"""Turn completion: finished sentences against cut ones, what a judgement costs, and whether it holds the event loop.

Takes a folder with WAV files and a `manifest.json`: a list of `{"id": file name without .wav}`. Each recording is
judged whole and cut in the middle, with 200 ms of room noise behind, as the service asks. Excerpts that are read aloud
are a hard test: not every file ends where a sentence does, and a cut may fall where one could end.
"""

import asyncio
import json
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.harness import SEED, Outcome, emit, parser, percentile, progress
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.models.manifest import find
from voice.talk.recording import load
from voice.turn_judge import TurnJudge

CUTS = (0.4, 0.6, 0.8)
"""Shares of the speech after which it is cut off."""

_SILENCE_S = 0.2
_ROOM_NOISE = 8.0
_TICK_S = 0.001
_JUDGEMENTS = 40


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path, help="with WAV files and a manifest.json")
    given = options.parse_args()
    emit(asyncio.run(measure(given.folder)), given.json)


async def measure(folder: Path) -> Outcome:
    """Judge every recording, then measure a judgement's price."""
    judge = TurnJudge.load(find("smart-turn-v3.2"))
    outcome = Outcome("turns", ("recording", "s", "whole", *(f"cut at {cut:.0%}" for cut in CUTS)))
    names = [entry["id"] for entry in json.loads((folder / "manifest.json").read_text("utf-8"))]
    speech = {name: _speech(folder / f"{name}.wav") for name in names}
    whole, cut = [], []
    for name, samples in speech.items():
        progress(f"judging {name}")
        scores = [await _score(judge, samples[: round(len(samples) * share)]) for share in (1.0, *CUTS)]
        whole.append(scores[0])
        cut += scores[1:]
        outcome.rows.append((name, f"{len(samples) / CORE_RATE_HZ:.1f}", *(f"{score:.2f}" for score in scores)))
    longest = max(speech.values(), key=len)
    took_s = [await _timed(judge, longest) for _ in range(_JUDGEMENTS)]
    idle_s, busy_s = await _stalls(judge, longest, 0), await _stalls(judge, longest, _JUDGEMENTS)
    judge.close()
    outcome.figures = {
        "whole_complete_share": sum(score >= 0.5 for score in whole) / len(whole),
        "cut_complete_share": sum(score >= 0.5 for score in cut) / len(cut),
        "judgement_p50_ms": percentile(took_s, 0.5) * 1000,
        "judgement_p95_ms": percentile(took_s, 0.95) * 1000,
        "loop_late_idle_p99_ms": percentile(idle_s, 0.99) * 1000,
        "loop_late_judging_p99_ms": percentile(busy_s, 0.99) * 1000,
        "loop_late_judging_max_ms": max(busy_s) * 1000,
    }
    outcome.notes = [f"{name}: {value:.2f}" for name, value in outcome.figures.items()]
    return outcome


def _speech(path: Path) -> npt.NDArray[np.int16]:
    """Read a recording at 24 kHz, without the silence at its ends."""
    samples = np.frombuffer(load(path).pcm, "<i2")
    levels = np.abs(samples.astype(np.int32))
    loud = np.flatnonzero(levels > max(200, levels.max() // 20))
    return samples[loud[0] : loud[-1] + 1]


def _frame(speech: npt.NDArray[np.int16]) -> AudioFrame:
    noise = np.random.default_rng(SEED).normal(0, _ROOM_NOISE, round(_SILENCE_S * CORE_RATE_HZ))
    heard = np.concatenate((speech, noise.astype(np.int16)))[-8 * CORE_RATE_HZ :]
    return AudioFrame(heard.tobytes(), CORE_RATE_HZ)


async def _score(judge: TurnJudge, speech: npt.NDArray[np.int16]) -> float:
    score = await judge.judge(_frame(speech))
    return float("nan") if score is None else score


async def _timed(judge: TurnJudge, speech: npt.NDArray[np.int16]) -> float:
    frame, started = _frame(speech), time.perf_counter()
    await judge.judge(frame)
    return time.perf_counter() - started


async def _stalls(judge: TurnJudge, speech: npt.NDArray[np.int16], judgements: int) -> list[float]:
    """Return how late the loop woke up each millisecond while so many judgements ran, one behind the other."""
    frame = _frame(speech)
    late: list[float] = []

    async def work() -> None:
        for _ in range(judgements):
            await judge.judge(frame)

    async with asyncio.TaskGroup() as group:
        working = group.create_task(work())
        ends = time.perf_counter() + 1.5
        while not working.done() or time.perf_counter() < ends:
            before = time.perf_counter()
            await asyncio.sleep(_TICK_S)
            late.append(time.perf_counter() - before - _TICK_S)
    return late


if __name__ == "__main__":
    main()
