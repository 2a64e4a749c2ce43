"""The model host as a real process, with scripted models in place of the weights."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from voice.errors import EngineOverloaded, EngineUnavailable
from voice.models.client import GenerationDone, ModelHost
from voice.models.settings import HostSettings, ScriptedModels

REPLY = "Sure. We are open until ten."
StartHost = Callable[..., "contextlib.AbstractAsyncContextManager[ModelHost]"]


def settings(queue_limit: int = 64, slots: int = 4, **script: object) -> HostSettings:
    return HostSettings(
        scripted=ScriptedModels(**{"reply": REPLY, **script}),  # type: ignore[arg-type]
        queue_limit=queue_limit,
        slots=slots,
        nice=0,
    )


async def answer(host: ModelHost, session: str = "s", prompt: str = "hello", max_tokens: int = 99) -> list[object]:
    async with contextlib.aclosing(host.generate(session, prompt, max_tokens=max_tokens)) as pieces:
        return [piece async for piece in pieces]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - another process does it; there is no event to wait for
            await asyncio.sleep(0.01)


async def fill(host: ModelHost, name: str) -> list[asyncio.Task[str]]:
    """Let one transcript run and two more wait: as many as may."""
    tasks = []
    for number in range(3):
        tasks.append(asyncio.create_task(host.transcribe(f"{name}{number}", b"")))
        await asyncio.sleep(0.05)
    assert not any(task.done() for task in tasks)
    return tasks


async def cancel(*tasks: "asyncio.Task[str]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def host() -> AsyncIterator[ModelHost]:
    async with ModelHost(settings()) as running:
        yield running


@pytest.fixture
async def slow() -> AsyncIterator[ModelHost]:
    """Ten seconds a token: whatever ends in time was cancelled."""
    async with ModelHost(settings(queue_limit=2, slots=1, token_s=10.0, transcribe_s=10.0)) as running:
        yield running


async def test_it_hears_thinks_and_speaks(host: ModelHost) -> None:
    assert await host.transcribe("s", bytes(32_000)) == "hello there"
    *pieces, done = await answer(host, prompt="hello")
    assert "".join(str(piece) for piece in pieces) == REPLY
    assert done == GenerationDone("stop", prompt_tokens=1, cached_tokens=0, output_tokens=6)
    sound = b"".join([pcm async for pcm in host.speak("s", "Sure.", voice="heart", speed=1.0)])
    assert len(sound) == 2 * int(24_000 * 0.06 * 5)


async def test_a_prefilled_prompt_is_in_the_cache(host: ModelHost) -> None:
    await host.prefill("s", "you are a receptionist")
    *_, done = await answer(host, prompt="you are a receptionist hello")
    assert isinstance(done, GenerationDone)
    assert done.cached_tokens == 4


async def test_a_released_session_starts_cold(host: ModelHost) -> None:
    await host.prefill("s", "you are a receptionist")
    host.release("s")
    *_, done = await answer(host, prompt="you are a receptionist hello")
    assert isinstance(done, GenerationDone)
    assert done.cached_tokens == 0


async def test_a_reply_at_its_limit_says_so(host: ModelHost) -> None:
    *_, done = await answer(host, max_tokens=2)
    assert isinstance(done, GenerationDone)
    assert (done.reason, done.output_tokens) == ("length", 2)


async def test_many_sessions_at_once_all_get_theirs(host: ModelHost) -> None:
    answers = await asyncio.gather(*(answer(host, session=f"s{number}") for number in range(20)))
    assert all(len(one) == 7 for one in answers)


async def test_closing_an_iterator_frees_the_model() -> None:
    async with ModelHost(settings(slots=1, token_s=0.05, reply="word " * 1000)) as host:
        async with contextlib.aclosing(host.generate("a", "x", max_tokens=1000)) as pieces:
            await anext(pieces)
        async with asyncio.timeout(5):
            await answer(host, "b", max_tokens=1)


async def test_cancelling_a_task_frees_the_model_and_the_queue(slow: ModelHost) -> None:
    await cancel(*await fill(slow, "s"))
    await cancel(*await fill(slow, "t"))  # with the old ones still there, the queue would have refused


async def test_a_full_queue_raises_overloaded(slow: ModelHost) -> None:
    tasks = await fill(slow, "s")
    with pytest.raises(EngineOverloaded):
        await slow.transcribe("one too many", b"")
    await cancel(*tasks)


async def test_an_overtaken_partial_is_empty(slow: ModelHost) -> None:
    busy = asyncio.create_task(slow.transcribe("other", b""))
    await asyncio.sleep(0.1)
    older = asyncio.create_task(slow.transcribe("s", b"", partial=True))
    await asyncio.sleep(0.05)
    newer = asyncio.create_task(slow.transcribe("s", b"", partial=True))
    async with asyncio.timeout(5):
        assert await older == ""
    await cancel(busy, newer)


async def test_a_killed_host_fails_what_is_under_way_and_answers_the_next() -> None:
    died: list[bool] = []
    async with ModelHost(settings(token_s=0.05), on_death=lambda: died.append(True)) as host:
        first = host.pid
        assert first is not None
        victim = asyncio.create_task(answer(host))
        await asyncio.sleep(0.1)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(EngineUnavailable):
            await victim
        assert not host.ready
        assert len(await answer(host)) == 7
        assert host.pid != first
        assert (host.deaths, died) == (1, [True])


async def test_a_host_killed_again_and_again_comes_back() -> None:
    async with ModelHost(settings()) as host:
        for _ in range(3):
            assert host.pid is not None
            os.kill(host.pid, signal.SIGKILL)
            await until(lambda: not host.ready)
            assert len(await answer(host)) == 7
        assert host.deaths == 3


async def test_a_host_that_hangs_is_ended_and_started_again() -> None:
    watched = replace(settings(), beat_s=0.05, silent_s=0.5)
    async with ModelHost(watched) as host:
        assert host.pid is not None
        hanging = host.pid
        os.kill(hanging, signal.SIGSTOP)
        with pytest.raises(EngineUnavailable):
            await answer(host)
        assert len(await answer(host)) == 7
        assert host.pid != hanging
        assert host.deaths == 1


async def test_a_model_that_cannot_be_loaded_fails_the_start_and_leaves_nothing() -> None:
    host = ModelHost(settings(fail_to_load="The file is not a model."))
    with pytest.raises(EngineUnavailable, match=r"The file is not a model\."):
        await host.start()
    assert host.pid is None
    assert not host.ready


async def test_requests_before_start_and_after_the_end_are_refused() -> None:
    host = ModelHost(settings())
    with pytest.raises(EngineUnavailable):
        await host.transcribe("s", b"")
    await host.start()
    await host.aclose()
    await host.aclose()
    with pytest.raises(EngineUnavailable):
        await host.transcribe("s", b"")


async def test_the_end_fails_requests_and_leaves_no_process_and_no_descriptor() -> None:
    async with ModelHost(settings()):
        pass  # the event loop opens descriptors of its own for the first child
    before = psutil.Process().num_fds()
    host = ModelHost(settings(token_s=10.0))
    await host.start()
    pid = host.pid
    assert pid is not None
    under_way = asyncio.create_task(answer(host))
    await asyncio.sleep(0.05)
    await host.aclose()
    with pytest.raises(EngineUnavailable):
        await under_way
    assert not psutil.pid_exists(pid)
    assert psutil.Process().num_fds() == before


async def test_the_host_outlives_a_terminals_interrupt(host: ModelHost) -> None:
    assert host.pid is not None
    os.kill(host.pid, signal.SIGINT)
    os.kill(host.pid, signal.SIGTERM)
    assert len(await answer(host)) == 7
    assert host.deaths == 0


async def test_the_host_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import asyncio\n"
        "from voice.models.client import ModelHost\n"
        "from voice.models.settings import HostSettings, ScriptedModels\n"
        "async def main():\n"
        "    host = ModelHost(HostSettings(scripted=ScriptedModels()))\n"
        "    await host.start()\n"
        "    print(host.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = str(Path(__file__).parents[3])
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": root},
    )
    assert parent.stdout is not None
    async with asyncio.timeout(20):
        pid = 0
        while not pid:
            line = (await parent.stdout.readline()).strip()
            pid = int(line) if line.isdigit() else 0
    parent.kill()
    await parent.communicate()
    await until(lambda: not psutil.pid_exists(pid))
