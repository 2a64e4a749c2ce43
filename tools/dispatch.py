"""Runs tool calls so that none can harm a session: with deadlines, bounds, and every failure turned into words.

    arguments ──► validated ──► within the session's bound? ──► child task ──► result, cut to size
        │ unfit                      │ no                          │ raises      deadline: cancelled, failed
        └──────────── failed result ─┴─────────────────────────────┘             our cancellation: cancelled, raised

Every call is one child task that ends before `run` returns. The one exception is a tool that swallows cancellation:
after `CANCEL_GRACE_S` it is abandoned, held, counted and logged, as a thread that does not return is.
"""

import asyncio
import contextlib
import difflib
import functools
import inspect
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tools.errors import ArgumentsInvalid, DuplicateTool, ThreadsExhausted, ToolFailed
from tools.function import Tool
from tools.output import OutputUnserialisable, cut, render
from tools.threads import ThreadPool
from voice.tooling import ToolContext, ToolResult, ToolSpec

CANCEL_GRACE_S = 1.0
"""What a cancelled tool has to clean up in before it is abandoned."""

_FRAMES_LOGGED = 8
_MESSAGE_LOGGED = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """Bounds over all tools of an agent."""

    max_concurrent_per_session: int = 8
    """Calls of one session under way at once; one more is a failed result at once."""
    cancel_grace_s: float = CANCEL_GRACE_S
    """What a cancelled tool has to clean up in before it is abandoned."""


class Dispatcher:
    """The tools of one agent; implements `voice.tooling.ServiceTools`. Belongs to one event loop."""

    def __init__(
        self,
        tools: Sequence[Tool[..., Any]],
        *,
        server_label: str = "service",
        limits: DispatchLimits | None = None,
        threads: ThreadPool | None = None,
    ) -> None:
        """`server_label` stands in `mcp_call` items; `threads` may be shared between agents. Raises: DuplicateTool."""
        self._tools: dict[str, Tool[..., Any]] = {}
        for one in tools:
            if one.name in self._tools:
                raise DuplicateTool(f"Two tools are called '{one.name}'.", import_path=one.name)
            self._tools[one.name] = one
        self._limits = limits or DispatchLimits()
        self._threads = threads or ThreadPool()
        self._specs = tuple(one.spec(server_label) for one in tools)
        self._gates = {one.name: asyncio.Semaphore(one.max_concurrent) for one in tools if one.max_concurrent}
        self._running: Counter[str] = Counter()
        self._abandoned: set[asyncio.Task[ToolResult]] = set()

    @property
    def running(self) -> int:
        """Calls under way, over all sessions."""
        return self._running.total()

    @property
    def abandoned(self) -> int:
        """Calls that were given up and have not ended: tasks that swallow cancellation, and threads of the pool."""
        return len(self._abandoned) + self._threads.abandoned

    def specs(self) -> Sequence[ToolSpec]:
        """Return the tools, in the order they were given."""
        return self._specs

    async def run(self, name: str, arguments: str, context: ToolContext) -> ToolResult:
        """Run one call to its end, its deadline or its cancellation. Never raises but `CancelledError`."""
        chosen = self._tools.get(name)
        if chosen is None:
            return ToolResult(self._unknown(name), failed=True)
        try:
            values = chosen.read_arguments(arguments, context)
        except ArgumentsInvalid as error:
            _log.info("tool_arguments_invalid", tool=name, session=context.session_id)
            return _failure(chosen, f"{name} was not run: {error}. Call it again with this corrected.")
        except Exception as error:  # noqa: BLE001 -- validators are the tool author's code
            _log.error("tool_arguments_unreadable", tool=name, session=context.session_id, exception=_traceback(error))
            return _failure(chosen, f"{name} was not run: {_words(error)}")
        if self._running[context.session_id] >= self._limits.max_concurrent_per_session:
            _log.warning("tool_refused", tool=name, session=context.session_id)
            return _failure(chosen, f"{name} was not run: too many tools are running already; wait for their results.")
        with self._counted(context.session_id):
            return await self._supervise(chosen, values, context)

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._tools, n=1)
        if near:
            return f"There is no tool '{name}'; did you mean '{near[0]}'?"
        return f"There is no tool '{name}', only: {', '.join(self._tools) or 'none at all'}."

    @contextlib.contextmanager
    def _counted(self, session_id: str) -> Iterator[None]:
        self._running[session_id] += 1
        try:
            yield
        finally:
            self._running[session_id] -= 1
            if not self._running[session_id]:
                del self._running[session_id]

    async def _supervise(self, chosen: Tool[..., Any], values: dict[str, Any], context: ToolContext) -> ToolResult:
        """Hold the child task to its deadline, and take it along when this task is cancelled."""
        call = asyncio.create_task(self._perform(chosen, values, context), name=f"tool {chosen.name}")
        try:
            await asyncio.wait({call}, timeout=chosen.timeout_s)
        finally:
            if not call.done():
                await self._stop(call, chosen, context)
        if call.cancelled() or call in self._abandoned or call.cancelling():
            _log.warning("tool_deadline", tool=chosen.name, session=context.session_id, timeout_s=chosen.timeout_s)
            return _failure(chosen, f"{chosen.name} gave no answer within {chosen.timeout_s:g} s and was stopped.")
        return call.result()

    async def _stop(self, call: asyncio.Task[ToolResult], chosen: Tool[..., Any], context: ToolContext) -> None:
        call.cancel()
        try:
            await asyncio.wait({call}, timeout=self._limits.cancel_grace_s)
        finally:
            if not call.done():
                _log.error("tool_abandoned", tool=chosen.name, session=context.session_id)
                self._abandoned.add(call)
                call.add_done_callback(self._abandoned.discard)

    async def _perform(self, chosen: Tool[..., Any], values: dict[str, Any], context: ToolContext) -> ToolResult:
        """Run the function; whatever it raises ends here."""
        log = _log.bind(tool=chosen.name, session=context.session_id)
        try:
            async with self._gates.get(chosen.name) or contextlib.nullcontext():
                returned = await self._call(chosen, values)
            return ToolResult(render(returned, chosen.max_output_bytes))
        except ToolFailed as error:
            log.info("tool_failed")
            return _failure(chosen, _words(error))
        except ThreadsExhausted as error:
            log.error("tool_threads_exhausted", reason=str(error))
            return _failure(chosen, f"{chosen.name} is not available at the moment.")
        except OutputUnserialisable as error:
            log.error("tool_output_unserialisable", reason=str(error))
            return _failure(chosen, f"{chosen.name} failed: {error}.")
        except asyncio.CancelledError:
            if _is_cancelled():
                raise
            # Raised by the tool itself, as when it awaits a task of its own that was cancelled.
            log.warning("tool_cancelled_itself")
            return _failure(chosen, f"{chosen.name} failed: what it waited for was cancelled.")
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 -- SystemExit too: `sys.exit()` ends a call, not the service
            log.error("tool_raised", exception=_traceback(error))
            return _failure(chosen, f"{chosen.name} failed: {_words(error)}")

    async def _call(self, chosen: Tool[..., Any], values: dict[str, Any]) -> Any:
        if chosen.is_async:
            return await chosen.function(**values)
        returned = await self._threads.run(functools.partial(chosen.function, **values))
        # A plain function may hand out a coroutine: a lambda, or a decorator that hides `async`.
        return await returned if inspect.isawaitable(returned) else returned


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _traceback(error: BaseException) -> str:
    """Return the innermost frames and the message, bounded.

    Not `log.exception`: its pretty printing holds the loop for longer than a frame of audio, and for minutes where
    the message is 1 MB.
    """
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-_FRAMES_LOGGED))
    return f"{frames}{type(error).__name__}: {_words(error)[:_MESSAGE_LOGGED]}"


def _failure(chosen: Tool[..., Any], words: str) -> ToolResult:
    return ToolResult(cut(words.encode("utf-8", "replace"), chosen.max_output_bytes), failed=True)


def _words(error: BaseException) -> str:
    """Return an exception's message, or its name in words where it has none."""
    try:
        message = str(error).strip()
    except Exception:  # noqa: BLE001 -- a broken __str__ of the tool author's
        message = ""
    return message or type(error).__name__
