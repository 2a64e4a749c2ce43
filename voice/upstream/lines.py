"""The connections of one session to its upstream: the one in use, and the next when it is time for it.

    open ─► in use ──lost──► the next, or a new one ─► in use
                └─ limit near ─► make the next ─► quiet: take it; the old one ends when its answer has

Each new line is told the conversation first. What must not be tried again soon is not.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Literal, Protocol

import structlog

from voice.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy
from voice.upstream.line import Line
from voice.upstream.options import UpstreamOptions
from voice.upstream.rotation import Rotation

Taken = Literal["lost", "reconnected", "rotated"]
"""Why another line was taken: to a ready one or a new one after a loss, or before the old one's end."""

_log = structlog.get_logger(__name__)

_LOOK_S: Final = 0.05
"""How often a quiet moment is looked for."""

_LEAVE_S: Final = 60.0
"""What an answer under way may take on a line that was left."""

_COMING_BACK: Final = RetryPolicy(attempts=1_000_000, base_s=0.25, longest_s=15.0)
_REFUSED_S: Final = 60.0
"""Before a refused key is shown again: somebody may have mended it."""


class Opened(Protocol):
    """A connection; `voice.upstream.connection.Connection`, or a test's."""

    @property
    def line(self) -> Line:
        """What is said over it."""
        ...

    async def open(self) -> None:
        """Return when the upstream's session stands. Raises: EngineError."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class Lines:
    """Has a line at any time, as far as the upstream lets it."""

    def __init__(
        self,
        options: UpstreamOptions,
        connect: Callable[[], Opened],
        *,
        prepare: Callable[[Line], None],
        taken: Callable[[Line, Taken | None], None],
        is_quiet: Callable[[], bool],
        failed: Callable[[EngineError], None] = lambda _: None,
    ) -> None:
        """`connect` makes a connection that is not open yet; `prepare` tells a new line what it has to know.

        `taken` is told which line is in use from then on (why is None for the first), `failed` that there is none;
        `is_quiet` says that the caller is not speaking.
        """
        self._options = options
        self._connect = connect
        self._prepare = prepare
        self._taken = taken
        self._is_quiet = is_quiet
        self._failed = failed
        self._connection: Opened | None = None
        self._next: Opened | None = None
        self._rotation: Rotation | None = None
        self._opening = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._refused: EngineRefused | None = None
        self._refused_until_s = 0.0

    @property
    def line(self) -> Line | None:
        """The one in use, which may be lost."""
        return self._connection.line if self._connection is not None else None

    def usable(self) -> list[Line]:
        """Return the lines that can be told something: the one in use, and the next."""
        lines = [connection.line for connection in (self._connection, self._next) if connection is not None]
        return [line for line in lines if line.is_usable]

    async def ready(self) -> Line:
        """Return a line that can be asked. Raises: EngineError."""
        async with self._opening:
            if self._is_closed:
                raise EngineUnavailable("The engine is closed.")
            if self._connection is not None and self._connection.line.is_usable:
                return self._connection.line
            if self._next is not None and self._next.line.is_usable:
                return self._take(self._next, "lost")
            if self._refused is not None and asyncio.get_running_loop().time() < self._refused_until_s:
                raise self._refused
            is_again = self._connection is not None
            return self._take(await self._make(), "reconnected" if is_again else None)

    def keep(self) -> None:
        """From now on come back when a line is lost, and leave each before its end. Once `ready` has returned."""
        self._keeper = asyncio.create_task(self._keep(), name="upstream keeper")

    async def aclose(self) -> None:
        """Close what is open."""
        self._is_closed = True
        tasks = {*self._leaving, *({self._keeper} if self._keeper is not None else ())}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._keeper = None
        for connection in (self._next, self._connection):
            if connection is not None:
                await connection.aclose()

    async def _make(self) -> Opened:
        connection = self._connect()
        try:
            await connection.open()
        except EngineRefused as error:
            self._refused, self._refused_until_s = error, asyncio.get_running_loop().time() + _REFUSED_S
            raise
        self._prepare(connection.line)
        return connection

    def _take(self, connection: Opened, why: Taken | None) -> Line:
        """Work with this connection from here on."""
        old, self._connection, self._next = self._connection, connection, None
        line = connection.line
        limit_s = self._options.session_max_s
        if line.expires_s is not None:
            limit_s = min(limit_s, max(line.expires_s - time.time(), 1.0))
        opened_s = asyncio.get_running_loop().time()
        self._rotation = Rotation.plan(opened_s, limit_s, self._options.rotate_before_s)
        if why is not None:
            lost = old.line.error if old is not None else None
            _log.info("upstream line taken", why=why, **({"cause": lost.message} if lost is not None else {}))
        self._taken(line, why)
        if old is not None:
            leaving = asyncio.create_task(_leave(old), name="upstream line left")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        return line

    async def _keep(self) -> None:
        failures = 0
        while True:
            connection, rotation = self._connection, self._rotation
            assert connection is not None
            assert rotation is not None
            try:
                if not connection.line.is_usable:
                    await self.ready()
                else:
                    await self._rotate(connection, rotation)
                failures = 0
            except EngineError as error:
                failures += 1
                wait_s = coming_back_s(error, failures, random.random())
                _log.warning("upstream line not made", why=error.message, again_in_s=round(wait_s, 2))
                if not connection.line.is_usable:
                    self._failed(error)
                await asyncio.sleep(wait_s)

    async def _rotate(self, connection: Opened, rotation: Rotation) -> None:
        """Wait for the line's end, or for the time to leave it, and do the next step."""
        now_s = asyncio.get_running_loop().time()
        has_next = self._next is not None and self._next.line.is_usable
        is_quiet = not connection.line.is_busy and self._is_quiet()
        match rotation.step(now_s, has_next=has_next, is_quiet=is_quiet):
            case "make":
                self._next = await self._make()
            case "switch" if self._next is not None:
                async with self._opening:
                    if self._next is not None and self._connection is connection:
                        self._take(self._next, "rotated")
            case _:
                wait_s = _LOOK_S if has_next else max(rotation.due_s - now_s, _LOOK_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await connection.line.lost.wait()


async def _leave(connection: Opened) -> None:
    """Let an answer and words under way be taken to their end, then close."""
    try:
        with suppress(EngineError):
            await connection.line.wait_over(_LEAVE_S)
    finally:
        await connection.aclose()


def coming_back_s(error: EngineError, failures: int, chance: float) -> float:
    """Return how long to wait before another try, after so many that failed; never less than the upstream asked."""
    if isinstance(error, EngineRefused):
        return _REFUSED_S
    wait_s = _COMING_BACK.wait_s(failures, None, chance) or _COMING_BACK.longest_s
    return max(wait_s, error.retry_after_s) if isinstance(error, EngineOverloaded) else wait_s
