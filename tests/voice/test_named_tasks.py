"""Tasks by name, and an alarm that can be set anew."""

import asyncio

import pytest

from voice.named_tasks import Alarm, NamedTasks


async def test_a_cancelled_name_is_free_for_the_next_task() -> None:
    told: list[str] = []

    async def work(word: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            told.append(word)

    async with asyncio.TaskGroup() as group:
        tasks = NamedTasks(group)
        tasks.spawn("a", work("first"))
        await asyncio.sleep(0)
        tasks.cancel("a")
        tasks.spawn("a", work("second"))
        tasks.cancel("nobody")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told == ["first"]
        tasks.cancel_all()
    assert told == ["first", "second"]


async def test_a_task_that_fails_ends_the_group() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            NamedTasks(group).spawn("a", fail())


async def test_an_alarm_rings_once_at_the_time_that_was_set_last() -> None:
    rung = asyncio.Event()
    count = 0

    def ring() -> None:
        nonlocal count
        count += 1
        rung.set()

    alarm, now_s = Alarm(ring), asyncio.get_running_loop().time()
    alarm.set(now_s + 1000)
    alarm.set(now_s)
    alarm.set(now_s)
    async with asyncio.timeout(5):
        await rung.wait()
    assert count == 1


async def test_an_alarm_may_be_set_to_the_same_time_again_after_it_rang() -> None:
    now_s, times = asyncio.get_running_loop().time(), 0
    done = asyncio.Event()

    def ring() -> None:
        nonlocal times
        times += 1
        if times < 3:
            alarm.set(now_s)
        else:
            done.set()

    alarm = Alarm(ring)
    alarm.set(now_s)
    async with asyncio.timeout(5):
        await done.wait()
    assert times == 3


@pytest.mark.parametrize("never", [True, False])
async def test_an_alarm_that_was_taken_back_does_not_ring(never: bool) -> None:
    rung: list[bool] = []
    alarm, now_s = Alarm(lambda: rung.append(True)), asyncio.get_running_loop().time()
    alarm.set(now_s)
    if never:
        alarm.set(None)
    else:
        alarm.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert rung == []
