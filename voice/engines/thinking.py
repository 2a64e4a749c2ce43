"""Lets the language model think in a task of its own, so that speaking one clause and thinking of the next overlap."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from voice.engines.ahead import ahead
from voice.engines.clauses import ClauseCutter
from voice.engines.model_port import Finished
from voice.engines.speakable import SpokenFilter


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
    async with aclosing(ahead(_thoughts(pieces, early, determined))) as thoughts:
        async for thought in thoughts:
            yield thought


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
