"""Voice to voice: from the end of speech in a recording to the first audio event of the answer, stage by stage.

Questions come from a folder of recordings or are spoken by the embedded voice; they go at the pace of speech to an
agent, several turns to a call, each after the answer to the one before has been heard.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

from bench.harness import Outcome, emit, parser, percentile, progress, recordings_in, say
from voice.talk.client import Caller, CallerOptions
from voice.talk.errors import ServiceSilent
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess
from voice.talk.turns import STAGES, Turn

TURNS_PER_CALL = 5

QUESTIONS = (
    "Hello, are you open on Sundays?",
    "What time do you close on Friday?",
    "Do you have vegetarian dishes?",
    "Where is the restaurant?",
    "Can I bring my dog?",
    "Is there parking nearby?",
    "How much is the lunch menu?",
    "Do you have a table outside?",
    "Can I pay by card?",
    "Do you serve breakfast?",
    "What is your phone number?",
    "Is the kitchen open all day?",
    "Do you have gluten free bread?",
    "Are children welcome?",
    "What do you recommend?",
    "Do you have a private room?",
    "Is there live music?",
    "Which wines do you have?",
    "Can I come by wheelchair?",
    "Thank you, that is all.",
)


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("folder", nargs="?", type=Path, help="recordings to ask with, instead of spoken questions")
    options.add_argument("--turns", type=int, default=20, help="how many turns")
    options.add_argument("--url", help="a running service instead of one of its own")
    options.add_argument("--config", type=Path, help="config.yaml of the service (the one here by default)")
    options.add_argument("--engine", help="engine of the service")
    options.add_argument("--model", help="agent or alias to ask for")
    given = options.parse_args()
    spoken = recordings_in(given.folder) if given.folder else [say(text) for text in QUESTIONS]
    if not spoken:
        options.error(f"there is no WAV file in {given.folder}")
    recordings = list(islice(cycle(spoken), given.turns))
    extra = [
        *(("--config", str(given.config)) if given.config else ()),
        *(("--engine", given.engine) if given.engine else ()),
    ]
    with _service(given.url, extra) as url:
        turns = asyncio.run(measure(CallerOptions(url, given.model), recordings))
    emit(outcome_of(turns), given.json)


@contextmanager
def _service(url: str | None, options: list[str]) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with ServiceProcess(*options, ready_timeout_s=120) as service:
        yield service.url


async def measure(options: CallerOptions, recordings: list[Recording]) -> list[Turn]:
    """Hold the calls one after the other; return the turns that were answered."""
    turns: list[Turn] = []
    for start in range(0, len(recordings), TURNS_PER_CALL):
        async with Caller(options) as caller:
            await asyncio.sleep(0.5)
            greeting = caller.log.greeting
            if greeting.open_responses or greeting.closed_responses:
                await caller.wait_for(lambda log=greeting: log.answered, 60, "its greeting")  # type: ignore[misc]
                await caller.played_out()
            for recording in recordings[start : start + TURNS_PER_CALL]:
                try:
                    turn = await caller.ask(recording, 60)
                except ServiceSilent as error:
                    progress(f"{recording.name}: {error}")
                    if caller.closed is not None:
                        break
                    continue
                turns.append(turn)
                await caller.played_out()
                progress(f"{_stages(turn)}  {turn.transcript!r} -> {turn.answer[:60]!r}")
    return turns


def outcome_of(turns: list[Turn]) -> Outcome:
    """Make the table: one line a stage."""
    outcome = Outcome(
        "voice to voice, milliseconds from the end of speech", ("stage", "turns", "p50", "p95", "min", "max")
    )
    for stage in STAGES:
        values = [value for turn in turns if (value := turn.latency_ms(stage)) is not None]
        spread = (percentile(values, 0.5), percentile(values, 0.95), min(values, default=0.0), max(values, default=0.0))
        outcome.rows.append((stage.replace("_", " "), len(values), *spread))
        outcome.figures[stage] = {"turns": len(values), "p50_ms": spread[0], "p95_ms": spread[1], "values_ms": values}
    outcome.notes.append(
        "end of speech: last 10 ms of the recording that stand out by energy; client on the same machine"
    )
    outcome.figures["tool_turns"] = sum(bool(turn.tools) for turn in turns)
    return outcome


def _stages(turn: Turn) -> str:
    return " ".join(f"{stage} {value:4.0f}" for stage in STAGES if (value := turn.latency_ms(stage)) is not None)


if __name__ == "__main__":
    main()
