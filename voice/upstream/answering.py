"""An answer under way at an upstream: filled as its events come, emptied by who asked for it."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from voice.engines.port import AudioDelta, HostedCall, ResponseEvent
from voice.errors import EngineError, EngineProtocolError
from voice.upstream.answer import Answer
from voice.upstream.words import Event

_WAITING_EVENTS: Final = 8192
"""Of an answer that nobody takes: minutes of speech."""


class Answering:
    """Filled by the line, emptied by who asked."""

    def __init__(self, *, in_conversation: bool, follows_tool: bool = False) -> None:
        """`follows_tool`: it was asked for after a hosted tool, and the upstream may have begun it by itself."""
        self.in_conversation = in_conversation
        self.follows_tool = follows_tool
        self.upstream_id: str | None = None
        self.is_over = False
        """The upstream is through with it."""
        self.is_left = False
        """Nobody reads it any more."""
        self.answer = Answer()
        self._waiting: deque[ResponseEvent | EngineError] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The one that runs, once it was asked for."""
        self._limit_s = 0.0
        """How long the wait under way may last."""
        self._due_s = 0.0
        """When whoever waits has waited for too long, on the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._tools = 0
        self.offer: Callable[[AudioDelta], bool] | None = None
        """Given sound where it arrives, while the reader waits for nothing else; see `LiveEngine.offer_to`."""

    @property
    def runs_tools(self) -> bool:
        """True while a hosted tool runs of which the reader knows: then nothing else may come for long."""
        return self._tools > 0

    def receive(self, event: Event) -> None:
        """Take an event of the upstream's."""
        try:
            for each in self.answer.receive(event):
                self.put(each)
        except EngineError as error:
            self.put(error)

    def fail(self, error: EngineError) -> None:
        """Nothing more will come."""
        self.put(error)

    async def next(self, timeout_s: float) -> ResponseEvent:
        """Return the next event. Raises: EngineError as the answer ended; TimeoutError when nothing comes."""
        if not self._waiting:
            await self._wait(timeout_s)
        event = self._waiting.popleft()
        if isinstance(event, EngineError):
            raise event
        if isinstance(event, HostedCall):
            self._tools += {"running": 1, "over": -1, "asks": 0}[event.state]
        return event

    def leave(self) -> list[HostedCall]:
        """Nobody will read it from here on. Returns what is still to be told of hosted tools."""
        self.is_left, self.offer = True, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return [event for event in self._waiting if isinstance(event, HostedCall)]

    def put(self, event: ResponseEvent | EngineError) -> None:
        """Add an event."""
        if self._is_taken(event):
            return
        if len(self._waiting) >= _WAITING_EVENTS:
            self._waiting.clear()
            event = EngineProtocolError("The upstream's answer has no end.")
        self._waiting.append(event)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def put_late(self, event: HostedCall) -> bool:
        """Add an event that may come when the answer is over; False when it was read to its end, or left."""
        if self.is_left or (self.is_over and not self._waiting):
            return False
        if self.is_over:
            self._waiting.insert(len(self._waiting) - 1, event)  # before the end
        else:
            self.put(event)
        return True

    def _is_taken(self, event: ResponseEvent | EngineError) -> bool:
        """Offer sound to whoever waits for it: nothing came before that was not read."""
        if self.offer is None or self._loop is None or self._arrived is None or self._arrived.done():
            return False
        if not isinstance(event, AudioDelta) or not self.offer(event):
            return False
        self._due_s = self._loop.time() + self._limit_s
        return True

    async def _wait(self, timeout_s: float) -> None:
        """A bare future, and one timer for many waits: a timer for each would cost as much as the event itself."""
        loop = self._loop = self._loop or asyncio.get_running_loop()  # asking for it is a system call
        arrived = self._arrived = loop.create_future()
        self._limit_s, self._due_s = timeout_s, loop.time() + timeout_s
        if self._timer is None or self._timer.when() > self._due_s:
            self._look_at(self._due_s)
        try:
            await arrived
        finally:
            self._arrived = None

    def _look_at(self, when_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when_s, self._look)

    def _look(self) -> None:
        """Fail the wait under way when it has lasted for too long; else come again when it would have."""
        self._timer = None
        if self._arrived is None or self._arrived.done():
            return
        if asyncio.get_running_loop().time() < self._due_s:
            self._look_at(self._due_s)
        else:
            self._arrived.set_exception(TimeoutError())
