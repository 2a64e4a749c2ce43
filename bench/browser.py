"""Barge-in in a browser: onset of the caller's speech → last audible sample in what Chromium received.

Debian's Chromium calls the service with a recording as its microphone, talks over a long answer, and records both sides
on one clock: what its microphone gave, and what came out of its jitter buffer. The answer is a tone that never pauses,
so that its length in the recording is what the caller heard: the item has to be truncated there.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page

from bench.barge_in import INTERRUPTIONS
from bench.chromium import RECORDER, Tape, chromium, loudness, read_tape, write_microphone
from bench.harness import Outcome, emit, parser, percentile, progress, say, scripted_service
from bench.scripts import LONG_ANSWER
from voice.audio.frames import CORE_RATE_HZ
from voice.talk.recording import Recording

READY_S = 3.0
"""Silence before the question: the call is made meanwhile."""
INTO_THE_ANSWER_S = 2.0
AUDIBLE = 0.005
"""RMS of a frame: -46 dBFS."""
FRAME_MS = 5
ONSET_DB = 30.0
"""Speech begins within this of its loudest frame, as in `voice.talk.recording`."""
LIMIT_S = 40


@dataclass(frozen=True, slots=True)
class Trial:
    """One answer that was talked over."""

    started_ms: float
    """Onset → `speech_started` arrives."""
    silent_ms: float
    """Onset → last audible sample."""
    heard_ms: float
    """Length of the answer in what was received."""
    truncated_ms: float
    """`audio_end_ms` of the item."""


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=16, help="calls, one after the other")
    given = options.parse_args()
    with scripted_service(LONG_ANSWER) as service, tempfile.TemporaryDirectory() as folder:
        trials = asyncio.run(_try_all(service.http_url, Path(folder), given.trials))
    emit(outcome_of(trials, given.trials), given.json)


async def _try_all(url: str, folder: Path, number: int) -> list[Trial]:
    question = say("Tell me a long story, please.")
    trials = []
    for each in range(number):
        interruption = say(INTERRUPTIONS[each % len(INTERRUPTIONS)])
        # Moved by a part of a frame from trial to trial: the service's 20 ms grid and the browser's are not in step.
        pause_s = INTO_THE_ANSWER_S + 0.0031 * each
        microphone = write_microphone(folder / f"{each}.wav", READY_S, question, pause_s, interruption, 60.0)
        try:
            tape = await asyncio.wait_for(_call(url, microphone), LIMIT_S)
            trials.append(judge(tape, interruption))
        except (TimeoutError, ValueError) as error:
            progress(f"{interruption.name}: {error or 'nothing was cut'}")
    return trials


async def _call(url: str, microphone: Path) -> Tape:
    async with chromium(microphone) as browser:
        window = await browser.new_context(bypass_csp=True)
        await window.add_init_script(path=RECORDER)
        page: Page = await window.new_page()
        await page.goto(url)
        await page.get_by_label("Who answers").select_option("bench")
        await page.get_by_role("button", name="Start talking").click()
        await page.wait_for_function(
            "recorder.events.some(({event}) => event.type === 'conversation.item.truncated')", timeout=LIMIT_S * 1000
        )
        await page.wait_for_timeout(1000)
        return await read_tape(page)


def judge(tape: Tape, interruption: Recording) -> Trial:
    """Find in a tape when what happened. Raises: ValueError where the answer was not cut while it played."""
    started = [at_s for at_s, _ in tape.of("output_audio_buffer.started")]
    truncated = [event for _, event in tape.of("conversation.item.truncated")]
    speech = [at_s for at_s, _ in tape.of("input_audio_buffer.speech_started")]
    if not started or not truncated or len(speech) < 2:
        raise ValueError("the answer was not cut")
    onset_s = _onset_s(tape.caller, after_s=started[0] + INTO_THE_ANSWER_S / 3, of=interruption)
    first_s, last_s = _answer(tape.agent, from_s=started[0] - 0.2, over_s=onset_s)
    return Trial(
        started_ms=(speech[1] - onset_s) * 1000,
        silent_ms=(last_s - onset_s) * 1000,
        heard_ms=(last_s - first_s) * 1000,
        truncated_ms=truncated[0]["audio_end_ms"],
    )


def _onset_s(samples: NDArray[np.float64], *, after_s: float, of: Recording) -> float:
    """Return when the speech behind `after_s` begins, by its energy."""
    begin = int(after_s * CORE_RATE_HZ)
    within = loudness(
        samples[begin : begin + int((INTO_THE_ANSWER_S + of.duration_ms / 1000) * CORE_RATE_HZ)], FRAME_MS
    )
    loud = np.flatnonzero(within > within.max() / 10 ** (ONSET_DB / 20))
    # Two frames in a row: a click is no onset.
    onset = next(frame for frame, following in pairwise(loud) if following == frame + 1)
    return after_s + float(onset) * FRAME_MS / 1000


def _answer(samples: NDArray[np.float64], *, from_s: float, over_s: float) -> tuple[float, float]:
    """Return when the answer that plays at `over_s` was first and last audible."""
    begin_s = max(0.0, from_s)
    audible = loudness(samples[int(begin_s * CORE_RATE_HZ) :], FRAME_MS) > AUDIBLE
    first = int(np.argmax(audible))
    playing = int((over_s - begin_s) * 1000 / FRAME_MS)
    quiet = np.flatnonzero(~audible[playing:])
    if not audible[first] or not quiet.size:
        raise ValueError("no answer is in the recording")
    return begin_s + first * FRAME_MS / 1000, begin_s + (playing + int(quiet[0])) * FRAME_MS / 1000


def outcome_of(trials: list[Trial], number: int) -> Outcome:
    """Make the table."""
    outcome = Outcome("barge-in in Chromium, milliseconds", ("what", "p50", "p90", "at most"))
    errors = [abs(each.truncated_ms - each.heard_ms) for each in trials]
    rows = {
        "onset of speech → speech_started arrives": [each.started_ms for each in trials],
        "onset of speech → last audible sample received": [each.silent_ms for each in trials],
        "truncated at, less received: either way": errors,
    }
    for name, values in rows.items():
        spread = [percentile(values, share) for share in (0.5, 0.9, 1.0)]
        outcome.rows.append((name, *spread))
    outcome.figures = {
        "trials": number,
        "cut": len(trials),
        "started_ms": rows["onset of speech → speech_started arrives"],
        "silent_ms": rows["onset of speech → last audible sample received"],
        "silent_p50_ms": percentile([each.silent_ms for each in trials], 0.5),
        "truncated_minus_received_ms": [each.truncated_ms - each.heard_ms for each in trials],
    }
    outcome.notes.append(f"{len(trials)} of {number} answers were cut; both sides recorded in the page, on one clock")
    outcome.notes.append(
        "onset: first 5 ms frames of the microphone's track within 30 dB of the interruption's loudest"
    )
    return outcome


if __name__ == "__main__":
    main()
