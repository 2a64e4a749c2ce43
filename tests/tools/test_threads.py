"""Threads for synchronous tools: bounded, abandoned when their caller goes, never in the way of the end."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools.errors import ThreadsExhausted
from tools.threads import ThreadPool


async def test_a_call_waits_for_a_place() -> None:
    pool = ThreadPool(max_threads=1)
    release, started = threading.Event(), threading.Event()

    def hold() -> str:
        started.set()
        release.wait()
        return "first"

    first = asyncio.create_task(pool.run(hold))
    second = asyncio.create_task(pool.run(lambda: "second"))
    await asyncio.get_running_loop().run_in_executor(None, started.wait)
    assert not second.done()
    release.set()
    assert [await first, await second] == ["first", "second"]


async def test_waiting_for_a_place_can_be_cancelled() -> None:
    pool = ThreadPool(max_threads=1)
    release = threading.Event()
    first = asyncio.create_task(pool.run(release.wait))
    second = asyncio.create_task(pool.run(lambda: None))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert pool.abandoned == 0
    release.set()
    assert await first
    assert await pool.run(lambda: 1) == 1


async def test_a_place_comes_back_when_an_abandoned_call_returns() -> None:
    pool = ThreadPool(max_threads=1)
    release = threading.Event()
    call = asyncio.create_task(pool.run(release.wait))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert pool.abandoned == 1
    with pytest.raises(ThreadsExhausted):
        await pool.run(lambda: None)
    release.set()
    while pool.abandoned:  # noqa: ASYNC110 -- what ends tells nobody
        await asyncio.sleep(0)
    assert await pool.run(lambda: 1) == 1


async def test_the_context_goes_along() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    assert await ThreadPool().run(variable.get) == "set"


def test_a_call_that_never_returns_does_not_hold_up_the_end_of_the_process() -> None:
    program = """
import asyncio, threading
from tools import Dispatcher, ToolContext, tool

@tool(timeout_s=0.01)
def forever() -> None:
    threading.Event().wait()

async def main() -> None:
    print((await Dispatcher([forever]).run("forever", "{}", ToolContext("s", "a", ""))).failed)

asyncio.run(main())
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "True"
