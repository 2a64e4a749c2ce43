"""Runs synchronous calls in a bounded number of threads that never hold up the end of the process.

`concurrent.futures` does not do here: its threads are joined when the interpreter ends, so one call that never
returns would keep the service from stopping. A thread cannot be killed. One whose caller has gone is *abandoned*: it
keeps its place until its call returns, and is counted; when every place is held so, calls are refused at once.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tools.errors import ThreadsExhausted

DEFAULT_THREADS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    value: T | None = None
    error: BaseException | None = None


class ThreadPool:
    """A bound on threads, shared by all agents of one event loop. A thread lives for one call."""

    def __init__(self, max_threads: int = DEFAULT_THREADS) -> None:
        """`max_threads` counts the abandoned ones too."""
        self._max_threads = max_threads
        self._places = asyncio.Semaphore(max_threads)
        self._abandoned = 0

    @property
    def abandoned(self) -> int:
        """Threads whose caller has given up and whose call has not returned."""
        return self._abandoned

    async def run(self, call: Callable[[], T]) -> T:
        """Run `call` in a thread, in a copy of this context; waits for a place. Cancelling abandons the thread.

        Raises: what `call` raises; ThreadsExhausted when all places are held by abandoned threads.
        """
        if self._abandoned >= self._max_threads:
            raise ThreadsExhausted(f"all {self._max_threads} threads for tools are held by calls that do not return")
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[_Outcome[T]] = loop.create_future()

        def settle(outcome: _Outcome[T]) -> None:
            self._places.release()
            if settled.cancelled():
                self._abandoned -= 1
            else:
                settled.set_result(outcome)

        try:
            self._start(call, loop, settle)
        except RuntimeError:  # the system gives no more threads
            self._places.release()
            raise
        try:
            outcome = await settled
        except asyncio.CancelledError:
            if settled.cancelled():
                self._abandoned += 1
            raise
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[return-value]  # None only where T is None

    def _start(
        self, call: Callable[[], T], loop: asyncio.AbstractEventLoop, settle: Callable[[_Outcome[T]], Any]
    ) -> None:
        def work() -> None:
            try:
                outcome: _Outcome[T] = _Outcome(value=call())
            except BaseException as error:  # noqa: BLE001 -- boundary of the thread: it is raised again where it is awaited
                outcome = _Outcome(error=error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, outcome)

        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(work,), name="tool call", daemon=True).start()
