"""An answer under way at an upstream: filled as its events come, emptied by who asked for it."""

import asyncio
from collections import deque
from typing import Final

from voice.engines.port import ResponseEvent
from voice.errors import EngineError, EngineProtocolError
from voice.upstream.answer import Answer
from voice.upstream.words import Event

_WAITING_EVENTS: Final = 8192
"""Of an answer that nobody takes: minutes of speech."""


class Answering:
    """Filled by the line, emptied by who asked."""

    def __init__(self, *, in_conversation: bool) -> None:
        self.in_conversation = in_conversation
        self.upstream_id: str | None = None
        self.is_over = False
        """The upstream is through with it."""
        self._answer = Answer()
        self._waiting: deque[ResponseEvent | EngineError] = deque()
        self._arrived: asyncio.Future[None] | None = None

    def receive(self, event: Event) -> None:
        """Take an event of the upstream's."""
        try:
            for each in self._answer.receive(event):
                self._put(each)
        except EngineError as error:
            self._put(error)

    def fail(self, error: EngineError) -> None:
        """Nothing more will come."""
        self._put(error)

    async def next(self, timeout_s: float) -> ResponseEvent:
        """Return the next event. Raises: EngineError as the answer ended; TimeoutError when nothing comes."""
        if not self._waiting:
            await self._wait(timeout_s)
        event = self._waiting.popleft()
        if isinstance(event, EngineError):
            raise event
        return event

    async def _wait(self, timeout_s: float) -> None:
        """A bare future and a timer: `asyncio.timeout` around an event would cost three times as much, per frame."""
        loop = asyncio.get_running_loop()
        arrived = self._arrived = loop.create_future()
        timer = loop.call_later(timeout_s, _expire, arrived)
        try:
            await arrived
        finally:
            timer.cancel()
            self._arrived = None

    def _put(self, event: ResponseEvent | EngineError) -> None:
        if len(self._waiting) >= _WAITING_EVENTS:
            self._waiting.clear()
            event = EngineProtocolError("The upstream's answer has no end.")
        self._waiting.append(event)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


def _expire(arrived: "asyncio.Future[None]") -> None:
    if not arrived.done():
        arrived.set_exception(TimeoutError())
