"""The tasks of one session, by name, and its one timer: what the runner starts can be stopped again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class NamedTasks:
    """Tasks in a group. A name stands for its newest task."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        """`group` is entered; it ends when all tasks have."""
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task."""
        task = self._group.create_task(work, name=name)
        self._tasks[name] = task

        def forget(done: asyncio.Task[None]) -> None:
            if self._tasks.get(name) is done:  # a newer one may have the name
                del self._tasks[name]

        task.add_done_callback(forget)

    def cancel(self, name: str) -> None:
        """Stop a task; nothing happens when there is none."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def cancel_all(self) -> None:
        """Stop every task."""
        for task in self._tasks.values():
            task.cancel()


class Alarm:
    """Calls back once, at the time that was set last."""

    def __init__(self, ring: Callable[[], None]) -> None:
        """`ring` is called on the event loop; it may set the alarm anew."""
        self._ring = ring
        self._due_s: float | None = None
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_s: float | None) -> None:
        """Ring at `due_s` of the loop's clock, and not at what was set before; None: never."""
        if due_s == self._due_s and (self._handle is not None or due_s is None):
            return
        self.cancel()
        self._due_s = due_s
        if due_s is not None:
            self._handle = asyncio.get_running_loop().call_at(due_s, self._go_off)

    def cancel(self) -> None:
        """Do not ring."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _go_off(self) -> None:
        self._handle = None
        self._ring()
