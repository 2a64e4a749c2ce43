"""Tool calls that go well, and all the ways in which they do not."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from tools import Dispatcher, DispatchLimits, ThreadPool, ToolContext, ToolFailed, ToolResult, tool
from tools.errors import DuplicateTool
from voice.tooling import ServiceTools

CONTEXT = ToolContext(session_id="sess_1", agent="receptionist", said="a table for two")
OTHER = ToolContext(session_id="sess_2", agent="receptionist", said="")


async def call(function: Callable[..., Any], arguments: str = "{}", **options: Any) -> ToolResult:
    dispatcher = Dispatcher([tool(**options)(function)])
    result = await dispatcher.run(function.__name__, arguments, CONTEXT)
    assert dispatcher.running == 0
    return result


@pytest.fixture(autouse=True)
async def no_orphans() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_dispatcher_is_what_a_session_expects() -> None:
    @tool
    def first() -> None: ...

    @tool
    def second() -> None: ...

    port: ServiceTools = Dispatcher([second, first], server_label="house")
    assert [(spec.name, spec.server_label) for spec in port.specs()] == [("second", "house"), ("first", "house")]


async def test_a_synchronous_tool_runs_off_the_loop() -> None:
    def where(city: str) -> str:
        return f"{city} {threading.current_thread() is threading.main_thread()}"

    assert await call(where, '{"city": "Rome"}') == ToolResult("Rome False")


async def test_an_asynchronous_tool_runs_on_the_loop() -> None:
    async def where(city: str) -> str:
        return f"{city} {threading.current_thread() is threading.main_thread()}"

    assert await call(where, '{"city": "Rome"}') == ToolResult("Rome True")


async def test_a_plain_function_that_hands_out_a_coroutine_is_awaited() -> None:
    async def inner() -> str:
        return "inner"

    def outer() -> Any:
        return inner()

    assert await call(outer) == ToolResult("inner")


async def test_the_context_is_injected() -> None:
    async def who(context: ToolContext, greeting: str = "Hello") -> str:
        return f"{greeting} {context.session_id}: {context.said}"

    assert await call(who) == ToolResult("Hello sess_1: a table for two")
    refused = await call(who, '{"context": {"session_id": "sess_2"}}')
    assert refused.failed


class Model(BaseModel):
    day: date


@dataclass
class Record:
    name: str


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("as it is", "as it is"),
        (None, "done"),
        (True, "true"),
        ({"free": [18, 20.5]}, '{"free":[18,20.5]}'),
        (Model(day=date(2026, 1, 2)), '{"day":"2026-01-02"}'),
        (Record("Ann"), '{"name":"Ann"}'),
        ([Model(day=date(2026, 1, 2))], '[{"day":"2026-01-02"}]'),
        ("lone \ud800 surrogate", "lone ? surrogate"),
    ],
)
async def test_a_result_becomes_text(value: Any, output: str) -> None:
    async def give() -> Any:
        return value

    assert await call(give) == ToolResult(output)


async def test_a_result_that_is_no_json_is_a_failure() -> None:
    async def give() -> object:
        return object()

    assert await call(give) == ToolResult(
        "give failed: it returned a object that cannot be written as JSON.", failed=True
    )


async def test_a_result_of_a_megabyte_is_cut_and_says_so() -> None:
    async def long() -> str:
        return "ä" * 500_000

    result = await call(long)
    assert not result.failed
    assert 16_000 < len(result.output.encode()) <= 16 * 1024
    assert result.output.endswith("[The output was cut here: it has 1000000 bytes, and a tool may return 16384.]")
    assert len((await call(long, max_output_bytes=1024)).output.encode()) <= 1024


async def test_a_large_structure_is_cut() -> None:
    def rows() -> list[int]:
        return list(range(200_000))

    assert len((await call(rows)).output) <= 16 * 1024


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ToolFailed("We are closed on Monday."), "We are closed on Monday."),
        (ValueError("no such dish"), "fails failed: no such dish"),
        (ValueError(), "fails failed: ValueError"),
        (SystemExit(3), "fails failed: 3"),
        (KeyboardInterrupt(), "fails failed: KeyboardInterrupt"),
        (asyncio.CancelledError(), "fails failed: what it waited for was cancelled."),
        (ValueError("x" * 1_000_000), "fails failed: xxx"),
    ],
)
async def test_a_tool_that_raises_gives_a_failed_result(error: BaseException, words: str, in_thread: bool) -> None:
    def fails() -> None:
        raise error

    async def fails_async() -> None:
        raise error

    fails_async.__name__ = "fails"
    result = await call(fails if in_thread else fails_async)
    assert result.failed
    assert result.output.startswith(words)
    assert "Traceback" not in result.output
    assert len(result.output.encode()) <= 16 * 1024


async def test_a_tool_that_never_returns_meets_its_deadline() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    result = await call(forever, timeout_s=0.01)
    assert result == ToolResult("forever gave no answer within 0.01 s and was stopped.", failed=True)
    assert ended.is_set()


async def test_an_answer_after_the_deadline_is_not_used() -> None:
    async def late() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "too late"

    assert (await call(late, timeout_s=0.01)).failed


async def test_a_thread_that_never_returns_is_abandoned_and_counted() -> None:
    release = threading.Event()
    returned = asyncio.Event()
    loop = asyncio.get_running_loop()

    def forever() -> None:
        release.wait()
        loop.call_soon_threadsafe(returned.set)

    threads = ThreadPool(max_threads=1)
    dispatcher = Dispatcher([tool(timeout_s=0.01)(forever)], threads=threads)
    assert (await dispatcher.run("forever", "{}", CONTEXT)).failed
    assert dispatcher.abandoned == 1
    # The only place is held by it: the next call is refused at once instead of waiting for nothing.
    assert await dispatcher.run("forever", "{}", CONTEXT) == ToolResult(
        "forever is not available at the moment.", failed=True
    )
    release.set()
    await returned.wait()
    while dispatcher.abandoned:  # noqa: ASYNC110 -- what ends tells nobody
        await asyncio.sleep(0)
    assert await threads.run(lambda: "free again") == "free again"
    assert dispatcher.abandoned == 0


async def test_a_task_that_swallows_cancellation_is_abandoned_and_counted() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    dispatcher = Dispatcher([tool(timeout_s=0.01)(stubborn)], limits=DispatchLimits(cancel_grace_s=0.01))
    assert (await dispatcher.run("stubborn", "{}", CONTEXT)).failed
    assert dispatcher.abandoned == 1
    assert dispatcher.running == 0
    release.set()
    while dispatcher.abandoned:  # noqa: ASYNC110 -- what ends tells nobody
        await asyncio.sleep(0)


async def test_cancelling_a_call_cancels_the_tool_and_is_passed_on() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def forever() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    dispatcher = Dispatcher([tool(forever)])
    task = asyncio.create_task(dispatcher.run("forever", "{}", CONTEXT))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert (dispatcher.running, dispatcher.abandoned) == (0, 0)


async def test_a_tool_may_clean_up_when_it_is_cancelled() -> None:
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def careful() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    dispatcher = Dispatcher([tool(careful)])
    task = asyncio.create_task(dispatcher.run("careful", "{}", CONTEXT))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


async def test_calls_run_at_once() -> None:
    meeting = asyncio.Barrier(3)

    async def meet(name: str) -> str:
        await meeting.wait()
        return name

    dispatcher = Dispatcher([tool(timeout_s=5)(meet)])
    names = ["a", "b", "c"]
    results = await asyncio.gather(*(dispatcher.run("meet", json.dumps({"name": name}), CONTEXT) for name in names))
    assert [result.output for result in results] == names


async def test_synchronous_calls_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=5)

    def meet(name: str) -> str:
        meeting.wait()
        return name

    dispatcher = Dispatcher([tool(meet)])
    results = await asyncio.gather(*(dispatcher.run("meet", json.dumps({"name": name}), CONTEXT) for name in "abc"))
    assert [result.output for result in results] == ["a", "b", "c"]


async def test_a_session_may_not_run_more_calls_than_its_bound() -> None:
    go = asyncio.Event()

    async def hold() -> str:
        await go.wait()
        return "held"

    dispatcher = Dispatcher([tool(hold)], limits=DispatchLimits(max_concurrent_per_session=2))
    async with asyncio.TaskGroup() as group:
        held = [group.create_task(dispatcher.run("hold", "{}", CONTEXT)) for _ in range(2)]
        other = group.create_task(dispatcher.run("hold", "{}", OTHER))
        await asyncio.sleep(0)
        assert dispatcher.running == 3
        refused = await dispatcher.run("hold", "{}", CONTEXT)
        assert refused.failed
        assert "too many tools are running already" in refused.output
        go.set()
    assert [task.result().output for task in (*held, other)] == ["held"] * 3
    assert not (await dispatcher.run("hold", "{}", CONTEXT)).failed


async def test_max_concurrent_makes_calls_wait_for_each_other() -> None:
    running = most = 0

    async def one_by_one() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    dispatcher = Dispatcher([tool(max_concurrent=1)(one_by_one)])
    results = await asyncio.gather(*(dispatcher.run("one_by_one", "{}", CONTEXT) for _ in range(5)))
    assert most == 1
    assert not any(result.failed for result in results)


async def test_wrong_arguments_do_not_reach_the_tool() -> None:
    called = False

    def book(people: int) -> None:
        nonlocal called
        called = True

    result = await call(book, '{"people": "many"}')
    assert result.failed
    assert not called
    assert result.output == (
        "book was not run: 'people': input should be a valid integer, unable to parse string as an integer. "
        "Call it again with this corrected."
    )


async def test_an_unknown_tool_is_a_failed_result() -> None:
    @tool
    def book_table() -> None: ...

    dispatcher = Dispatcher([book_table])
    assert "did you mean 'book_table'?" in (await dispatcher.run("book_tabel", "{}", CONTEXT)).output
    assert (await dispatcher.run("zzz", "{}", CONTEXT)).failed


async def test_two_tools_of_one_name_are_refused() -> None:
    @tool
    def book() -> None: ...

    with pytest.raises(DuplicateTool, match="Two tools are called 'book'"):
        Dispatcher([book, book])


async def test_a_cancelled_tool_does_not_disturb_the_others() -> None:
    go = asyncio.Event()

    async def hold(name: str) -> str:
        await go.wait()
        return name

    dispatcher = Dispatcher([tool(hold)])
    first, second = (
        asyncio.create_task(dispatcher.run("hold", json.dumps({"name": name}), CONTEXT)) for name in ("a", "b")
    )
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    go.set()
    assert await second == ToolResult("b")
