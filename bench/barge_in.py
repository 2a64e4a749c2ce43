"""Barge-in: from the onset of speech over a playing answer to `speech_started` and to the answer's last audio event.

The scripted engine speaks a long answer in real time. Into it go, a call each: speech, clean and in noise, which must
stop it, and noise, a cough and a knock, which must not.
"""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.harness import (
    SEED,
    Outcome,
    emit,
    louder_by,
    parser,
    percentile,
    progress,
    recordings_in,
    say,
    scripted_service,
)
from bench.scripts import LONG_ANSWER
from voice.audio.frames import CORE_RATE_HZ
from voice.talk.client import Caller, CallerOptions
from voice.talk.errors import ServiceSilent
from voice.talk.recording import Recording, from_samples

INTO_THE_ANSWER_S = 1.0
WATCHED_S = 1.5
"""How long after the onset a decision, or late audio, is waited for."""

INTERRUPTIONS = (
    "Wait, stop please.",
    "No, that is not what I meant.",
    "Excuse me, one question.",
    "Hold on a second.",
    "Actually, can I change that?",
    "Thank you, that is enough.",
    "Sorry, what was that?",
    "Please repeat the last part.",
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What happened to one answer."""

    kind: str
    started_ms: float | None
    """Onset to `speech_started`; negative when the service was early by energy's measure. None: it did not come."""
    last_audio_ms: float
    """Onset to the last audio event of the answer that was playing."""
    cancelled: bool
    audio_after_started: int
    """Audio events of the cancelled response that came after `speech_started`."""


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("folder", nargs="?", type=Path, help="recordings to interrupt with, instead of spoken ones")
    options.add_argument("--snr", type=float, default=15, help="dB of speech over noise in the noisy half")
    options.add_argument("--disturbances", type=int, default=8, help="trials of each sound that must not interrupt")
    options.add_argument("--concurrency", type=int, default=4, help="calls at a time")
    given = options.parse_args()
    clean = recordings_in(given.folder) if given.folder else [say(text) for text in INTERRUPTIONS]
    noise = np.random.default_rng(SEED).normal(0, 0.1, CORE_RATE_HZ * 5)
    sounds = [("speech", clip) for clip in clean]
    sounds += [("speech in noise", louder_by(clip, noise, given.snr)) for clip in clean]
    for number in range(given.disturbances):
        sounds += [(kind, make(number)) for kind, make in (("noise", _noise), ("cough", _cough), ("knock", _knock))]
    with scripted_service(LONG_ANSWER) as service:
        call = CallerOptions(service.url, "bench")
        trials = asyncio.run(_try_all(call, say("Tell me a long story, please."), sounds, given.concurrency))
    emit(outcome_of(trials), given.json)


async def _try_all(
    call: CallerOptions, question: Recording, sounds: list[tuple[str, Recording]], concurrency: int
) -> list[Trial]:
    room = asyncio.Semaphore(concurrency)

    async def one(kind: str, sound: Recording) -> Trial | None:
        async with room:
            try:
                return await interrupt(call, question, kind, sound)
            except ServiceSilent as error:
                progress(f"{kind} {sound.name}: {error}")
                return None

    return [trial for trial in await asyncio.gather(*(one(*sound) for sound in sounds)) if trial is not None]


async def interrupt(call: CallerOptions, question: Recording, kind: str, sound: Recording) -> Trial:
    """Ask, wait until the answer has been playing for a while, make the sound, watch."""
    async with Caller(call) as caller:
        turn = caller.say(question)
        await caller.wait_for(lambda: turn.first_audio_s is not None, 30, "an answer")
        response_id = _playing(caller)
        await asyncio.sleep(INTO_THE_ANSWER_S)
        caller.log.begin(sound.name, 0, 0)
        utterance = caller.microphone.say(sound)
        since_s = time.monotonic()
        await asyncio.sleep(sound.speech_start_ms / 1000 + WATCHED_S)
        return _judge(caller, kind, response_id, utterance.speech_start_s, since_s)


def _playing(caller: Caller) -> str:
    return next(
        str(event["response_id"])
        for _, event in reversed(caller.events)
        if event["type"] == "response.output_audio.delta"
    )


def _judge(caller: Caller, kind: str, response_id: str, onset_s: float, since_s: float) -> Trial:
    later = [(at_s, event) for at_s, event in caller.events if at_s >= since_s]
    started = next((at_s for at_s, event in later if event["type"] == "input_audio_buffer.speech_started"), None)
    audio = [
        at_s
        for at_s, event in caller.events
        if event["type"] == "response.output_audio.delta" and event["response_id"] == response_id
    ]
    cancelled = any(_is_cancelled(event, response_id) for _, event in later)
    after = 0 if started is None else sum(at_s > started for at_s in audio)
    started_ms = None if started is None else (started - onset_s) * 1000
    return Trial(kind, started_ms, (audio[-1] - onset_s) * 1000, cancelled, after)


def _is_cancelled(event: dict[str, Any], response_id: str) -> bool:
    if event["type"] != "response.done":
        return False
    response = event["response"]
    return bool(response["id"] == response_id and response["status"] == "cancelled")


def outcome_of(trials: list[Trial]) -> Outcome:
    """Make the table: one line a kind of sound."""
    columns = ("sound", "trials", "cancelled", "started p50", "p90", "last audio p50", "p90", "audio after")
    outcome = Outcome("barge-in, milliseconds from the onset", columns)
    for kind in dict.fromkeys(trial.kind for trial in trials):
        mine = [trial for trial in trials if trial.kind == kind]
        started = [trial.started_ms for trial in mine if trial.started_ms is not None]
        last = [trial.last_audio_ms for trial in mine if trial.cancelled]
        cancelled, after = sum(trial.cancelled for trial in mine), sum(trial.audio_after_started for trial in mine)
        spread = [percentile(values, share) for values in (started, last) for share in (0.5, 0.9)]
        outcome.rows.append((kind, len(mine), cancelled, *spread, after))
        outcome.figures[kind] = {
            "trials": len(mine),
            "cancelled": cancelled,
            "started_ms": started,
            "started_p50_ms": spread[0],
            "started_p90_ms": spread[1],
            "last_audio_p50_ms": spread[2],
            "last_audio_p90_ms": spread[3],
            "audio_events_after_started": after,
        }
    outcome.notes.append("onset: first 10 ms of the recording that stand out by energy; sent in 20 ms chunks")
    return outcome


def _padded(name: str, samples: NDArray[np.float64]) -> Recording:
    quiet = np.zeros(CORE_RATE_HZ // 5)
    return from_samples(name, np.concatenate([quiet, samples, quiet]))


def _noise(number: int) -> Recording:
    """A second of steady noise, as of a passing car: half of the trials white, half low."""
    samples = np.random.default_rng(SEED + number).normal(0, 0.05, CORE_RATE_HZ)
    if number % 2:
        samples = np.convolve(samples, np.ones(24) / 5, mode="same")
    return _padded("noise", samples)


def _cough(number: int) -> Recording:
    """Two bursts of shaped noise with a fast onset and a falling tail, 150 ms each, as a cough is."""
    random = np.random.default_rng(100 + SEED + number)
    length = CORE_RATE_HZ * 150 // 1000
    envelope = np.minimum(np.arange(length) / 120, 1.0) * np.exp(-np.arange(length) / (CORE_RATE_HZ * 0.04))
    burst = np.convolve(random.normal(0, 1, length), np.ones(6) / 6, mode="same") * envelope
    gap = np.zeros(CORE_RATE_HZ * 120 // 1000)
    samples = np.concatenate([burst, gap, burst * 0.6])
    return _padded("cough", 0.5 * samples / np.abs(samples).max())


def _knock(number: int) -> Recording:
    """Three knocks on a table."""
    length = CORE_RATE_HZ * 60 // 1000
    knock = np.sin(2 * np.pi * (110 + 15 * number) * np.arange(length) / CORE_RATE_HZ)
    knock *= np.exp(-np.arange(length) / (CORE_RATE_HZ * 0.012))
    return _padded("knock", 0.6 * np.concatenate([knock, np.zeros(CORE_RATE_HZ // 8)] * 3))


if __name__ == "__main__":
    main()
