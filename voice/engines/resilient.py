"""An engine that does not lose a call: when one fails, it is asked again, or another goes on in its place.

    asked ─► first, again ─► next of the list ─► … ─► an apology, and the response fails
               │ nothing to hear for 2 s: a word to the caller meanwhile
               └ failed in the middle of an answer: what was said stands, and whoever goes on is told

What must not be retried is not: a refusal opens the engine's breaker for all sessions at once. The conversation is the
session's, so any engine can be told all of it.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import structlog

from voice.audio.frames import AudioFrame
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    Engine,
    EngineNotice,
    EngineReplaced,
    EngineSettings,
    HostedCall,
    LiveEngine,
    MessageStarted,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.standby import Standby, speak
from voice.errors import EngineError, EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy
from voice.session.items import Item, Message, TextPart
from voice.tooling import ToolResult

_log = structlog.get_logger(__name__)

Incident = Literal["failed", "retried", "replaced", "gave up", "waited", "lost", "reconnected", "rotated"]

_PARTIAL_ID: Final = "partial"
_GO_ON: Final = (
    "\n\nYour last message broke off by a technical fault while you were speaking. The caller heard what stands there. "
    "Go on from exactly there and do not repeat it."
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, how often, and what is said meanwhile."""

    words_after_s: float = 2.0
    words: str = "One moment, please."
    apology: str = "I am sorry, I cannot answer right now. Please try again in a moment."
    retries: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=2, base_s=0.2, longest_s=1.0))
    """Of each engine, for one answer."""
    open_s: float = 5.0
    """To open any of them at the start of a session."""


@dataclass(slots=True)
class _Said:
    """What has come of an answer so far."""

    text: str = ""
    item_id: str | None = None
    has_audio: bool = False
    open_calls: int = 0
    called: bool = False

    def note(self, event: ResponseEvent) -> None:
        match event:
            case MessageStarted(item_id=item_id):
                self.text, self.item_id = "", item_id
            case TextDelta(text=text):
                self.text += text
            case AudioDelta():
                self.has_audio = True
            case ToolCallStarted():
                self.open_calls += 1
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
        self._standbys = tuple(standbys)
        self._patience = patience or Patience()
        self._note = note
        self._settings = EngineSettings()
        self._place = 0
        self._engine: Engine = self._standbys[0].make()
        self._live: LiveEngine | None = None
        self._is_open = False
        self._capabilities = self._engine.capabilities
        self._notices: asyncio.Queue[EngineNotice | None] = asyncio.Queue()
        self._listening: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._left: list[Engine] = []

    @property
    def capabilities(self) -> Capabilities:
        """Of the engine that thinks now; a change is told by a notice."""
        return self._capabilities

    # --- The port -------------------------------------------------------------------------------------------------

    async def open(self, settings: EngineSettings) -> None:
        """Open the first that can be. Raises: EngineError when none can."""
        self._settings = settings
        try:
            async with asyncio.timeout(self._patience.open_s):
                await self._open_one(self._place)
        except TimeoutError:
            raise EngineUnavailable("No engine could be opened in time.") from None

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings."""
        self._settings = settings
        if self._is_open:
            self._engine.configure(settings)

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Pass an utterance on."""
        self._engine.hear(item_id, frame)

    def drop(self, item_id: str) -> None:
        """Pass it on."""
        self._engine.drop(item_id)

    def listen(self, frame: AudioFrame) -> None:
        """Pass everything on, to an engine that detects turns."""
        if self._live is not None:
            self._live.listen(frame)

    def restart_listening(self) -> None:
        """Pass it on."""
        if self._live is not None:
            self._live.restart_listening()

    def cut(self, item: Item) -> None:
        """Pass it on."""
        if self._live is not None:
            self._live.cut(item)

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None:
        """Pass it on."""
        if self._live is not None:
            self._live.approve(call_id, approve=approve, reason=reason)
        elif approve:
            gone = ToolResult("the engine that asked for the approval is gone, so the call was not made", failed=True)
            self._notices.put_nowait(HostedCall(call_id, "over", gone))

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        """Yield what the engine that thinks now says unasked, and who has taken over."""
        while (notice := await self._notices.get()) is not None:
            yield notice

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Pass it on: once, since words that are missing cost less than words that come twice.

        A session that only transcribes has nothing but these words: there, they are asked for as an answer is.
        """
        failures, has_begun = 0, False
        while True:
            place = self._place
            try:
                async with aclosing(self._engine.transcribe(request)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
                return
            except EngineError as error:
                failures += 1
                if has_begun or not self._settings.only_transcribes:
                    raise
                self._blame(place, error)
                if not await self._recover(place, error, failures, _Said()):
                    raise
                failures = failures if self._place == place else 0

    async def aclose(self) -> None:
        """Close every engine that was made."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        for engine in (*self._left, self._engine):
            await engine.aclose()
        self._notices.put_nowait(None)

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer, whoever can."""
        failures, has_spoken = 0, False
        said = _Said()
        while True:
            place = self._place
            try:
                async with aclosing(self._attempt(_going_on(request, said), may_speak=not has_spoken)) as events:
                    async for event in events:
                        if isinstance(event, _Words):
                            has_spoken = True
                        else:
                            said.note(event)
                        for each in (*event.events, MessageStarted()) if isinstance(event, _Words) else (event,):
                            yield each
                self._standbys[place].breaker.note_success()
                return
            except EngineError as error:
                failures += 1
                self._blame(place, error)
                if not await self._recover(place, error, failures, said):
                    async for event in self._apologise(request):
                        yield event
                    raise
                if self._place != place:
                    failures = 0
                if said.text or said.has_audio:
                    yield MessageStarted()

    # --- One attempt ----------------------------------------------------------------------------------------------

    async def _attempt(
        self, request: ResponseRequest, *, may_speak: bool
    ) -> "AsyncGenerator[ResponseEvent | _Words, None]":
        """Ask the engine that thinks now. A caller who waits for long is spoken to, once."""
        await self._ensure_open()
        async with aclosing(self._engine.respond(request)) as events:
            first = asyncio.ensure_future(anext(events))
            try:
                if may_speak and not request.speculative:
                    await asyncio.wait({first}, timeout=self._patience.words_after_s)
                    if not first.done():
                        self._note(self._standbys[self._place].name, "waited")
                        yield _Words(
                            tuple([event async for event in speak(self._standbys, self._patience.words, request)])
                        )
                try:
                    yield await first
                except StopAsyncIteration:
                    raise EngineProtocolError("The engine had no answer.") from None
            finally:
                if not first.done():
                    first.cancel()
                    await asyncio.wait({first})
            async for event in events:
                yield event

    async def _recover(self, place: int, error: EngineError, failures: int, said: _Said) -> bool:
        """Get ready for another attempt, here or at the next engine; False when there is no sense in one."""
        if said.called or said.open_calls:
            return False  # a call that was made must not be made again
        standby = self._standbys[place]
        asked_s = error.retry_after_s if isinstance(error, EngineOverloaded) else None
        wait_s = None
        if not isinstance(error, EngineRefused | EngineProtocolError):
            wait_s = self._patience.retries.wait_s(failures, asked_s, random.random())
        if wait_s is not None and standby.breaker.allows(self._now()):
            self._note(standby.name, "retried")
            await asyncio.sleep(wait_s)
            return True
        with suppress(EngineError):
            await self._open_one(place + 1)
            return True
        return False

    def _blame(self, place: int, error: EngineError) -> None:
        standby = self._standbys[place]
        standby.breaker.note_failure(self._now(), is_final=isinstance(error, EngineRefused))
        self._note(standby.name, "failed")
        _log.warning("engine failed", engine=standby.name, error=error.code, why=error.message)

    # --- Words ----------------------------------------------------------------------------------------------------

    async def _apologise(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        self._note(self._standbys[self._place].name, "gave up")
        _log.error("no engine answers", engines=[standby.name for standby in self._standbys])
        if request.in_conversation and self._patience.apology:
            yield MessageStarted()
            async for event in speak(self._standbys, self._patience.apology, request):
                yield event

    # --- Who thinks -----------------------------------------------------------------------------------------------

    async def _ensure_open(self) -> None:
        if not self._is_open:
            await self._open_one(self._place)

    async def _open_one(self, first: int) -> None:
        """Open the first engine from that place on that can be. Raises: EngineError."""
        async with self._changing:
            error: EngineError = EngineUnavailable("No engine is left.")
            for place in range(first, len(self._standbys)):
                standby = self._standbys[place]
                # Where there is no other, trying is better than not: a breaker is for going elsewhere.
                if len(self._standbys) > 1 and not standby.breaker.allows(self._now()):
                    error = EngineUnavailable(f"The engine '{standby.name}' failed too often.")
                    continue
                try:
                    engine = self._engine if place == self._place else standby.make()
                    await engine.open(self._settings)
                except EngineError as caught:
                    error = caught
                    self._blame(place, caught)
                    continue
                standby.breaker.note_success()
                self._take(place, engine)
                return
            raise error

    def _take(self, place: int, engine: Engine) -> None:
        before, was_open = self._standbys[self._place].name, self._is_open
        if engine is not self._engine:
            self._left.append(self._engine)
            self._engine = engine
        self._is_open = True
        if self._listening is not None:
            self._listening.cancel()
        self._listening = None
        self._live = engine if isinstance(engine, LiveEngine) else None  # asked once: it takes 10 µs
        if self._live is not None:
            self._listening = asyncio.create_task(self._pass_on(self._live), name="engine notices")
        if place != self._place:
            self._place = place
            self._note(before, "replaced")
            _log.warning("engine replaced", before=before, now=self._standbys[place].name, in_call=was_open)
        if engine.capabilities != self._capabilities:
            self._capabilities = engine.capabilities
            self._notices.put_nowait(EngineReplaced(engine.capabilities))

    async def _pass_on(self, engine: LiveEngine) -> None:
        async with aclosing(engine.notices()) as notices:
            async for notice in notices:
                self._notices.put_nowait(notice)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@dataclass(frozen=True, slots=True)
class _Words:
    """Spoken while the caller waits: no part of the answer."""

    events: tuple[ResponseEvent, ...]


def _going_on(request: ResponseRequest, said: _Said) -> ResponseRequest:
    """Return the request with what was said of its answer already, before the engine failed."""
    if not said.text:
        return request
    partial = Message(said.item_id or _PARTIAL_ID, "assistant", (TextPart(said.text),), "incomplete")
    settings = replace(request.settings, instructions=request.settings.instructions + _GO_ON)
    return replace(request, items=(*request.items, partial), settings=settings)
