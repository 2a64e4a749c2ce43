"""An engine that does not lose a call: when one fails, it is asked again, or another goes on in its place.

    asked ─► first, again ─► next of the list ─► … ─► an apology, and the response fails
               │ nothing to hear for 2 s: a word to the caller meanwhile; for 4 s: the next of the list
               └ failed in the middle of an answer: what was said stands, and whoever goes on is told

What must not be retried is not: a refusal opens the engine's breaker for all sessions at once. The conversation is the
session's, so any engine can be told all of it.
"""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Final

import structlog

from voice.audio.frames import AudioFrame
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineNotice,
    EngineSettings,
    HostedCall,
    MessageStarted,
    ResponseEvent,
    ResponseRequest,
    Take,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.standby import Standby, speak
from voice.engines.succession import Incident, Succession
from voice.errors import EngineError, EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy
from voice.session.items import Item, Message, TextPart
from voice.tooling import ToolResult

_log = structlog.get_logger(__name__)

_PARTIAL_ID: Final = "partial"
_GO_ON: Final = (
    "\n\nYour last message broke off by a technical fault while you were speaking. The caller heard what stands there. "
    "Go on from exactly there and do not repeat it."
)
_NOBODY: Final = ToolResult("the engine that asked for the approval is gone, so the call was not made", failed=True)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, how often, and what is said meanwhile."""

    words_after_s: float = 2.0
    words: str = "One moment, please."
    give_up_s: float = 4.0
    """How long a caller may hear nothing of an engine before another is asked; where there is none, the apology is
    said."""
    apology: str = "I am sorry, I cannot answer right now. Please try again in a moment."
    retries: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=2, base_s=0.2, longest_s=1.0))
    """Of each engine, for one answer."""
    open_s: float = 5.0
    """To open any of them at the start of a session."""


@dataclass(slots=True)
class _Said:
    """What has come of an answer so far."""

    quiet_since_s: float
    """When the caller began to hear nothing, as far as can be told from what was given to be played."""
    asked_s: float
    """When the engine that thinks now was first asked."""
    clock: Callable[[], float]
    """The loop's: asking for the loop is a system call, and these notes come in hundreds."""
    is_spoken: bool
    """The answer is to be heard: its words alone are nothing yet."""
    has_begun: bool = False
    """The caller has heard, or read, something of this attempt; or a tool is being called."""
    text: str = ""
    item_id: str | None = None
    has_audio: bool = False
    open_calls: int = 0
    called: bool = False
    was_told_to_wait: bool = False

    @property
    def has_words(self) -> bool:
        """True when a message was begun."""
        return bool(self.text) or self.has_audio

    def note(self, event: ResponseEvent) -> None:
        now_s = self.clock()
        match event:
            case AudioDelta(frame=frame):
                self.has_audio = self.has_begun = True
                self.quiet_since_s = max(self.quiet_since_s, now_s) + frame.samples / frame.rate_hz
            case TextDelta(text=text):
                self.text += text
                if not self.is_spoken:
                    self.has_begun = True
                    self.quiet_since_s = max(self.quiet_since_s, now_s)
            case MessageStarted(item_id=item_id):
                self.text, self.item_id = "", item_id
            case ToolCallStarted():
                self.open_calls += 1
                self.has_begun = True
            case ToolCallDone():
                self.open_calls -= 1
                self.called = True


class ResilientEngine:
    """One session's engine, of a list."""

    def __init__(
        self,
        standbys: Sequence[Standby],
        patience: Patience | None = None,
        *,
        note: Callable[[str, Incident], None] = lambda _engine, _incident: None,
    ) -> None:
        """`standbys` in order of preference; `note` is told what happens, for the metrics."""
        self._patience = patience or Patience()
        self._note = note
        self._who = Succession(standbys, note, self._offer)
        self._only_transcribes = False
        self._take: Take | None = None
        self._flowing: dict[str, _Said] = {}
        """Answers that have begun and of which nothing but more is waited for."""

    @property
    def capabilities(self) -> Capabilities:
        """Of the engine that thinks now; a change is told by a notice."""
        return self._who.capabilities

    # --- The port -------------------------------------------------------------------------------------------------

    async def open(self, settings: EngineSettings) -> None:
        """Open the first that can be. Raises: EngineError when none can."""
        self._only_transcribes = settings.only_transcribes
        try:
            async with asyncio.timeout(self._patience.open_s):
                await self._who.open(settings)
        except TimeoutError:
            raise EngineUnavailable("No engine could be opened in time.") from None

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings."""
        self._who.configure(settings)

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Pass an utterance on."""
        self._who.engine.hear(item_id, frame)

    def drop(self, item_id: str) -> None:
        """Pass it on."""
        self._who.engine.drop(item_id)

    def offer_to(self, take: Take) -> None:
        """Offer the sound of whoever thinks, once an answer flows."""
        self._take = take

    def listen(self, frame: AudioFrame) -> None:
        """Pass everything on, to an engine that detects turns."""
        if self._who.live is not None:
            self._who.live.listen(frame)

    def restart_listening(self) -> None:
        """Pass it on."""
        if self._who.live is not None:
            self._who.live.restart_listening()

    def cut(self, item: Item) -> None:
        """Pass it on."""
        if self._who.live is not None:
            self._who.live.cut(item)

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None:
        """Pass it on."""
        if self._who.live is not None:
            self._who.live.approve(call_id, approve=approve, reason=reason)
        elif approve:
            self._who.notices.put_nowait(HostedCall(call_id, "over", _NOBODY))

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        """Yield what the engine that thinks now says unasked, and who has taken over."""
        while (notice := await self._who.notices.get()) is not None:
            yield notice

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Pass it on: once, since words that are missing cost less than words that come twice.

        A session that only transcribes has nothing but these words: there, they are asked for as an answer is.
        """
        failures, tried, has_begun = 0, {self._who.place}, False
        while True:
            place = self._who.place
            try:
                async with aclosing(self._who.engine.transcribe(request)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except EngineError as error:
                failures += 1
                if has_begun or not self._only_transcribes:
                    raise
                self._who.blame(place, error)
                if not await self._recover(place, error, failures, tried):
                    raise
                failures = failures if self._who.place == place else 0

    async def aclose(self) -> None:
        """Close every engine that was made."""
        await self._who.aclose()

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer, whoever can."""
        is_spoken = request.settings.output_modality == "audio"
        now_s, clock = _now_s(), asyncio.get_running_loop().time
        said, failures, tried = _Said(now_s, now_s, clock, is_spoken), 0, {self._who.place}
        while True:
            place = self._who.place
            try:
                async with aclosing(self._attempt(_going_on(request, said), said)) as events:
                    async for event in events:
                        yield event
                self._who.praise(place)
                return
            except EngineError as error:
                failures += 1
                self._who.blame(place, error)
                # A call that was made must not be made again.
                if said.called or said.open_calls:
                    going_on = False
                else:
                    may_retry = _now_s() < self._gives_up_s(said)
                    recovering = asyncio.ensure_future(
                        self._recover(place, error, failures if may_retry else self._patience.retries.attempts, tried)
                    )
                    async with aclosing(self._meanwhile(recovering, request, said)) as words:
                        async for event in words:
                            yield event
                    going_on = recovering.result()
                if not going_on:
                    async for event in self._apologise(request):
                        yield event
                    raise
                if self._who.place != place:
                    failures, said.asked_s = 0, _now_s()
                if said.has_words:
                    yield MessageStarted()

    # --- One attempt ----------------------------------------------------------------------------------------------

    async def _attempt(self, request: ResponseRequest, said: _Said) -> AsyncGenerator[ResponseEvent, None]:
        """Ask the engine that thinks now. A caller who waits for long is spoken to, once, and not for ever."""
        said.has_begun = False
        async with aclosing(self._who.engine.respond(request)) as events:
            event: ResponseEvent | None = None
            while not (said.has_begun or isinstance(event, EngineDone)):
                coming = asyncio.ensure_future(anext(events, None))
                limit_s = self._gives_up_s(said) - _now_s()
                async with aclosing(self._meanwhile(coming, request, said, limit_s)) as words:
                    async for word in words:
                        yield word
                if coming.cancelled():
                    raise EngineUnavailable("The engine took too long to answer.")
                event = coming.result()
                if event is None:
                    raise EngineProtocolError("The engine ended its answer without saying so.")
                said.note(event)
                yield event
            self._flowing[request.response_id] = said
            try:
                async for event in events:
                    said.note(event)
                    yield event
            finally:
                del self._flowing[request.response_id]

    def _offer(self, response_id: str, event: AudioDelta) -> bool:
        said = self._flowing.get(response_id)
        if said is None or self._take is None or not self._take(response_id, event):
            return False
        said.note(event)
        return True

    async def _meanwhile(
        self, doing: "asyncio.Future[Any]", request: ResponseRequest, said: _Said, limit_s: float | None = None
    ) -> AsyncGenerator[ResponseEvent, None]:
        """Wait for something, and speak to a caller who hears nothing for too long.

        What is not there after `limit_s`, or when this is closed, is cancelled.
        """
        # Nobody listens to a guess, or to an answer beside the conversation.
        is_patient = request.speculative or not request.in_conversation
        ends_s = math.inf if limit_s is None or is_patient else _now_s() + limit_s
        words_s = math.inf if said.was_told_to_wait or is_patient else said.quiet_since_s + self._patience.words_after_s
        try:
            if words_s < ends_s:
                await _wait_until(doing, words_s)
                if not doing.done():
                    said.was_told_to_wait = True
                    self._note(self._who.name, "waited")
                    _log.warning("engine slow", engine=self._who.name, quiet_s=self._patience.words_after_s)
                    if said.has_words:
                        yield MessageStarted()
                    async for event in speak(self._who.standbys, self._patience.words, request):
                        yield event
                    yield MessageStarted()
            await _wait_until(doing, ends_s)
        finally:
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})

    def _gives_up_s(self, said: _Said) -> float:
        return max(said.quiet_since_s, said.asked_s) + self._patience.give_up_s

    async def _recover(self, place: int, error: EngineError, failures: int, tried: set[int]) -> bool:
        """Get ready for another attempt, here or at the next engine; False when there is no sense in one."""
        if self._who.place != place:
            return True  # another answer has moved on already
        wait_s = None
        if isinstance(error, EngineUnavailable | EngineOverloaded) and not isinstance(error, EngineRefused):
            asked_s = error.retry_after_s if isinstance(error, EngineOverloaded) else None
            wait_s = self._patience.retries.wait_s(failures, asked_s, random.random())
        if wait_s is not None and self._who.allows(place):
            self._note(self._who.name, "retried")
            await asyncio.sleep(wait_s)
            return True
        try:
            await self._who.move_on(place, tried)
        except EngineError:
            return False
        tried.add(self._who.place)
        return True

    async def _apologise(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        self._note(self._who.name, "gave up")
        _log.error("no engine answers", engines=[standby.name for standby in self._who.standbys])
        if request.in_conversation and self._patience.apology:
            yield MessageStarted()
            async for event in speak(self._who.standbys, self._patience.apology, request):
                yield event


def _going_on(request: ResponseRequest, said: _Said) -> ResponseRequest:
    """Return the request with what was said of its answer already, before the engine failed."""
    if not said.text:
        return request
    partial = Message(said.item_id or _PARTIAL_ID, "assistant", (TextPart(said.text),), "incomplete")
    settings = replace(request.settings, instructions=request.settings.instructions + _GO_ON)
    return replace(request, items=(*request.items, partial), settings=settings)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _wait_until(doing: "asyncio.Future[Any]", at_s: float) -> None:
    await asyncio.wait({doing}, timeout=None if at_s == math.inf else max(0.0, at_s - _now_s()))
