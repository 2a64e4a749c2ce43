"""Waiting for the events of an answer: each wait has its own limit, and all of them one timer."""

import asyncio

import pytest

from voice.engines.port import EngineDone, TextDelta
from voice.upstream.answering import Answering

LONG_S, SHORT_S = 3600.0, 0.001


async def waiting(answering: Answering, timeout_s: float) -> "asyncio.Task[object]":
    task: asyncio.Task[object] = asyncio.ensure_future(answering.next(timeout_s))
    await asyncio.sleep(0)
    return task


async def test_a_short_wait_behind_a_long_one_ends_at_its_own_time() -> None:
    answering = Answering(in_conversation=True)
    first = await waiting(answering, LONG_S)
    answering.put(TextDelta("a"))
    assert await first == TextDelta("a")
    with pytest.raises(TimeoutError):
        await answering.next(SHORT_S)


async def test_a_long_wait_is_not_ended_by_the_timer_of_a_short_one_before_it() -> None:
    answering = Answering(in_conversation=True)
    first = await waiting(answering, SHORT_S)
    answering.put(TextDelta("a"))
    await first
    second = await waiting(answering, LONG_S)
    answering._look()  # as the timer does that was set for the first
    await asyncio.sleep(0)
    assert not second.done()
    answering.put(EngineDone())
    assert await second == EngineDone()


async def test_no_timer_is_left_when_nobody_reads_any_more() -> None:
    answering = Answering(in_conversation=True)
    first = await waiting(answering, LONG_S)
    timer = answering._timer
    assert timer is not None
    answering.put(EngineDone())
    await first
    answering.leave()
    assert timer.cancelled()
