"""Lets a generator run ahead of who reads it: one clause is spoken while the next is thought of."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

AHEAD: Final = 4
"""How many values may wait; beyond it the source waits."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Ended:
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Given(Generic[_Value]):
    value: _Value


async def ahead(source: AsyncGenerator[_Value, None], *, limit: int = AHEAD) -> AsyncGenerator[_Value, None]:
    """Yield what `source` yields. Use it under `aclosing`: leaving early cancels the source before this returns.

    Raises: what the source raises, in its place among the values.
    """
    queue: asyncio.Queue[_Given[_Value] | _Ended] = asyncio.Queue(limit)
    task = asyncio.create_task(_run(source, queue), name="ahead")
    try:
        while isinstance(given := await queue.get(), _Given):
            yield given.value
        if given.error is not None:
            raise given.error
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _run(source: AsyncGenerator[_Value, None], queue: asyncio.Queue[_Given[_Value] | _Ended]) -> None:
    ended = _Ended()
    try:
        async with aclosing(source) as values:
            async for value in values:
                await queue.put(_Given(value))
    except Exception as error:  # noqa: BLE001 -- raised again by `ahead`, in the task that asked
        ended = _Ended(error)
    await queue.put(ended)
