"""Waiting for the events of an answer: each wait has its own limit, and all of them one timer."""

import asyncio

import pytest

from voice.audio.frames import AudioFrame
from voice.engines.port import AudioDelta, EngineDone, TextDelta
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


class Taken:
    """Takes everything."""

    def __init__(self) -> None:
        self.events: list[AudioDelta] = []

    def take(self, event: AudioDelta) -> bool:
        self.events.append(event)
        return True


SOUND = AudioDelta(AudioFrame(bytes(960), 24_000))


async def test_sound_is_offered_to_whoever_waits_and_read_by_nobody_else() -> None:
    answering, taken = Answering(in_conversation=True), Taken()
    answering.offer = taken.take
    reading = await waiting(answering, LONG_S)
    answering.put(SOUND)
    answering.put(SOUND)
    assert taken.events == [SOUND, SOUND]
    assert not reading.done()
    answering.put(TextDelta("words"))
    assert await reading == TextDelta("words")


async def test_sound_behind_what_was_not_read_yet_is_not_offered() -> None:
    answering, taken = Answering(in_conversation=True), Taken()
    answering.offer = taken.take
    answering.put(SOUND)  # nobody waits
    reading = await waiting(answering, LONG_S)
    assert await reading == SOUND
    reading = await waiting(answering, LONG_S)
    answering.put(TextDelta("words"))
    answering.put(SOUND)  # who waits was woken, and has not read the words
    assert [await reading, await answering.next(LONG_S)] == [TextDelta("words"), SOUND]
    assert taken.events == []


async def test_sound_that_is_declined_is_read() -> None:
    answering = Answering(in_conversation=True)
    answering.offer = lambda _: False
    reading = await waiting(answering, LONG_S)
    answering.put(SOUND)
    assert await reading == SOUND


async def test_sound_that_was_taken_begins_the_wait_anew() -> None:
    answering = Answering(in_conversation=True)
    answering.offer = lambda _: True
    reading = await waiting(answering, LONG_S)
    answering._due_s = 0.0  # it has lasted for too long
    answering.put(SOUND)
    answering._look()
    await asyncio.sleep(0)
    assert not reading.done()
    answering.put(EngineDone())
    await reading


async def test_nothing_is_offered_when_nobody_reads_any_more() -> None:
    answering, taken = Answering(in_conversation=True), Taken()
    answering.offer = taken.take
    reading = await waiting(answering, LONG_S)
    reading.cancel()
    answering.put(SOUND)  # barge-in: cancelled, and not gone yet
    answering.leave()
    answering.put(SOUND)
    assert taken.events == []
