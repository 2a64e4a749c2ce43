"""Lets the language model think in a task of its own, so that speaking one clause and thinking of the next overlap."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from voice.engines.clauses import ClauseCutter
from voice.engines.model_port import Finished
from voice.engines.speakable import SpokenFilter

_AHEAD_CLAUSES = 4
"""How far thinking may be ahead of speaking; beyond it the model waits."""


@dataclass(frozen=True, slots=True)
class Clause:
    """The next words to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """The model wrote a tool call instead of words."""

    text: str


@dataclass(frozen=True, slots=True)
class End:
    """The thought is over."""

    reached_limit: bool
    text: str
    """All that the model wrote."""


Thought = Clause | Call | End

Determined = Callable[[str], str | None]
"""Gives the whole call from its beginning, where there is only one; None where the model has to go on."""


async def think(
    pieces: AsyncGenerator[str | Finished, None], *, early: bool, determined: Determined
) -> AsyncGenerator[Thought, None]:
    """Yield a generation's clauses as they are complete, or its call; then the end. Use it under `aclosing`.

    `early`: the first clause is to come soon. `determined` completes a call from its beginning. Leaving early cancels
    the generation before this returns.
    Raises: what the generation raises.
    """
    queue: asyncio.Queue[Thought | Exception] = asyncio.Queue(_AHEAD_CLAUSES)
    task = asyncio.create_task(_run(_thoughts(pieces, early, determined), queue), name="think")
    try:
        while True:
            thought = await queue.get()
            if isinstance(thought, Exception):
                raise thought
            yield thought
            if isinstance(thought, End):
                return
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _run(source: AsyncGenerator[Thought, None], queue: asyncio.Queue[Thought | Exception]) -> None:
    try:
        async with aclosing(source) as thoughts:
            async for thought in thoughts:
                await queue.put(thought)
    except Exception as error:  # noqa: BLE001 -- raised again by `think`, in the task that asked
        await queue.put(error)


async def _thoughts(
    pieces: AsyncGenerator[str | Finished, None], early: bool, determined: Determined
) -> AsyncGenerator[Thought, None]:
    spoken, cutter = SpokenFilter(), ClauseCutter(early=early)
    written = ""
    reached_limit = False
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, str):
                written += piece
                if written.lstrip().startswith("{") and (call := determined(written.strip())):
                    written = call
                    break
                # A grammar lets nothing but a call begin with a brace.
                if written.lstrip() and not written.lstrip().startswith("{"):
                    fresh = spoken.feed(piece if written.lstrip() != piece.lstrip() else piece.lstrip())
                    for clause in cutter.feed(fresh):
                        yield Clause(clause)
            else:
                reached_limit = piece.reason == "length"
    if written.lstrip().startswith("{"):
        yield Call(written.strip())
    else:
        for clause in [*cutter.feed(spoken.flush()), *cutter.flush()]:
            yield Clause(clause)
    yield End(reached_limit, written)
