"""The caller's turns as an upstream writes them down: found by our name of a turn, told by the upstream's.

expect(ours) ──► name(ours, theirs) ──► receive(theirs) … ──► words(ours) yields them
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Final

from voice.engines.port import (
    TokenLogprob,
    TokenUsage,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptSegment,
)
from voice.errors import EngineError, EngineUnavailable
from voice.upstream.words import Event

PREFIX: Final = "conversation.item.input_audio_transcription."
_REMEMBERED: Final = 32
"""Turns; of older ones the words have been asked for or never will be."""


class WrittenTurns:
    """Of one line."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, asyncio.Future[str]] = OrderedDict()
        self._words: OrderedDict[str, asyncio.Queue[TranscriptionEvent | EngineError]] = OrderedDict()
        self._readers = 0
        self._nobody_waits = asyncio.Event()
        self._nobody_waits.set()

    @property
    def is_idle(self) -> bool:
        """True while nobody waits for words."""
        return self._nobody_waits.is_set()

    async def wait_idle(self) -> None:
        """Return when nobody waits for words."""
        await self._nobody_waits.wait()

    def expect(self, item_id: str) -> None:
        """A turn of ours is being committed; what the upstream calls it is not known yet."""
        self._names[item_id] = asyncio.get_running_loop().create_future()
        while len(self._names) > _REMEMBERED:
            _fail(self._names.popitem(last=False)[1], EngineUnavailable("The turn was forgotten."))

    def name(self, item_id: str, upstream_id: str) -> None:
        """The upstream calls it that."""
        if item_id not in self._names:
            self.expect(item_id)
        if not self._names[item_id].done():
            self._names[item_id].set_result(upstream_id)

    def refuse(self, item_id: str) -> None:
        """The upstream did not take the turn."""
        if item_id in self._names:
            _fail(self._names[item_id], EngineUnavailable("The upstream did not take the turn."))

    def receive(self, kind: str, event: Event) -> None:
        """Take an event about a turn's words."""
        words = self._of(str(event.get("item_id")))
        if kind.endswith(".delta") and isinstance(event.get("delta"), str):
            words.put_nowait(TranscriptDelta(event["delta"], _logprobs(event)))
        elif kind.endswith(".segment"):
            if (segment := _segment(event)) is not None:
                words.put_nowait(segment)
        elif kind.endswith(".completed") and isinstance(event.get("transcript"), str):
            words.put_nowait(TranscriptDone(event["transcript"], _logprobs(event), _usage(event)))
        elif kind.endswith(".failed"):
            words.put_nowait(EngineError("The upstream could not write the turn down."))

    def lose(self, error: EngineError) -> None:
        """Nothing more will come."""
        for name in self._names.values():
            _fail(name, error)
        for words in self._words.values():
            words.put_nowait(error)

    async def words(self, item_id: str, timeout_s: float) -> AsyncGenerator[TranscriptionEvent, None]:
        """Yield a turn's words as they come. Raises: EngineError."""
        with self._reader():
            words = await self._find(item_id, timeout_s)
            while True:
                try:
                    async with asyncio.timeout(timeout_s):  # `wait_for` may swallow a cancellation before Python 3.12
                        event = await words.get()
                except TimeoutError:
                    raise EngineUnavailable("The upstream did not write the turn down in time.") from None
                if isinstance(event, EngineError):
                    raise event
                yield event
                if isinstance(event, TranscriptDone):
                    return

    @contextmanager
    def _reader(self) -> Iterator[None]:
        self._readers += 1
        self._nobody_waits.clear()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._nobody_waits.set()

    async def _find(self, item_id: str, timeout_s: float) -> asyncio.Queue[TranscriptionEvent | EngineError]:
        """Return where the words of a turn come, once the upstream has named it."""
        name = self._names.get(item_id)
        if name is None:
            raise EngineUnavailable("The upstream does not have this turn.")
        try:
            async with asyncio.timeout(timeout_s):
                return self._of(await asyncio.shield(name))
        except TimeoutError:
            raise EngineUnavailable("The upstream did not take the turn in time.") from None

    def _of(self, upstream_id: str) -> asyncio.Queue[TranscriptionEvent | EngineError]:
        words = self._words.setdefault(upstream_id, asyncio.Queue())
        while len(self._words) > _REMEMBERED:
            self._words.popitem(last=False)
        return words


def _logprobs(event: Event) -> tuple[TokenLogprob, ...]:
    try:
        return tuple(TokenLogprob(str(each["token"]), float(each["logprob"])) for each in event.get("logprobs") or ())
    except (KeyError, TypeError, ValueError):
        return ()


def _segment(event: Event) -> TranscriptSegment | None:
    try:
        return TranscriptSegment(str(event["text"]), str(event["speaker"]), float(event["start"]), float(event["end"]))
    except (KeyError, TypeError, ValueError):
        return None


def _usage(event: Event) -> TokenUsage | float | None:
    """Return what the upstream counted, tokens or seconds."""
    try:
        usage = event["usage"]
        if usage["type"] == "duration":
            return float(usage["seconds"])
        details = usage.get("input_token_details") or {"audio_tokens": usage["input_tokens"]}
        return TokenUsage(
            input_text=int(details.get("text_tokens") or 0),
            input_audio=int(details.get("audio_tokens") or 0),
            output_text=int(usage["output_tokens"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _fail(name: "asyncio.Future[str]", error: EngineError) -> None:
    if not name.done():
        name.set_exception(error)
        name.exception()  # nobody has to ask
