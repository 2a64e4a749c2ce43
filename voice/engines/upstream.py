"""An engine behind another Realtime server: gpt-realtime and its relatives, or a second instance of this service.

    caller ─► session ─► hear / listen ─► line ─► upstream
                 ▲                          │
                 └── answers, turns ◄───────┘      a line lasts less than a call: the next one is seeded with the items

The conversation is ours (design §1): the upstream is made to hold the same items, and neither answers nor interrupts
by itself. Turns are found here, or, with `turns: upstream`, there.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, Protocol

import structlog

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    Capabilities,
    EngineDone,
    EngineNotice,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TokenUsage,
    TranscriptionEvent,
    TranscriptionRequest,
    TurnStarted,
    TurnStopped,
)
from voice.errors import EngineError, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy
from voice.session.items import AudioPart, Item, Message
from voice.upstream.connection import Connection
from voice.upstream.line import Line
from voice.upstream.options import UpstreamOptions
from voice.upstream.rotation import Rotation

Taken = Literal["lost", "reconnected", "rotated"]
"""Why another line was taken: to a ready one or a new one after a loss, or before the old one's end."""

_log = structlog.get_logger(__name__)

_KEPT_SAMPLES: Final = CORE_RATE_HZ
"""Of silence, for the next line's ears: what was just said may be the beginning of a word."""

_KEPT_SPEECH_SAMPLES: Final = 60 * CORE_RATE_HZ
_LOOK_S: Final = 0.05
"""How often a quiet moment is looked for."""

_LEAVE_S: Final = 60.0
"""What an answer under way may take on a line that was left."""

_TRANSCRIPT_S: Final = 15.0
_COMING_BACK: Final = RetryPolicy(attempts=1_000_000, base_s=0.25, longest_s=15.0)


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


class UpstreamEngine:
    """One session's way to an upstream."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        safety_identifier: str | None = None,
        connect: Callable[[], Opened] | None = None,
        on_rotated: Callable[[Taken], None] = lambda _why: None,
        on_usage: Callable[[TokenUsage], None] = lambda _usage: None,
    ) -> None:
        """`connect` makes a connection that is not open yet; `on_rotated` is told when another line was taken.

        `on_usage` is told what each answer cost in tokens.
        """
        self._options = options
        self._connect = connect or (lambda: Connection(options, safety_identifier=safety_identifier))
        self._on_rotated = on_rotated
        self._on_usage = on_usage
        self._settings = EngineSettings()
        self._connection: Opened | None = None
        self._next: Opened | None = None
        self._rotation: Rotation | None = None
        self._opening = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._notices: asyncio.Queue[EngineNotice | None] = asyncio.Queue()
        self._items: Sequence[Item] = ()
        self._utterance: str | None = None
        self._turn: str | None = None
        """The turn that the upstream has found and not ended."""
        self._recent: deque[AudioFrame] = deque()
        self._recent_samples = 0
        self._line_starts = 0
        """The sample of the session's clock at which the line's own begins."""
        self._appended_samples = 0
        """To that line."""
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def capabilities(self) -> Capabilities:
        """It hears, speaks and sees, as Realtime models do."""
        return Capabilities(
            hears_audio=True,
            detects_turns=self._options.turns == "upstream",
            takes_images=True,
            speculates=False,
            reports_limits=True,
        )

    # --- The port -------------------------------------------------------------------------------------------------

    async def open(self, settings: EngineSettings) -> None:
        """Connect. Raises: EngineError."""
        self._settings = settings
        await self._ready()
        self._keeper = asyncio.create_task(self._keep(), name="upstream keeper")

    def configure(self, settings: EngineSettings) -> None:
        """Send new settings on."""
        self._settings = settings
        for connection in (self._connection, self._next):
            if connection is not None and connection.line.is_usable:
                connection.line.configure(settings)

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Pass on more of an utterance that this service found."""
        is_first, self._utterance = self._utterance != item_id, item_id
        if self._connection is not None:
            self._connection.line.grow(item_id, frame.pcm, is_first=is_first)

    def drop(self, item_id: str) -> None:
        """Forget an utterance that was no turn."""
        if self._utterance == item_id:
            self._utterance = None
        if self._connection is not None:
            self._connection.line.discard(item_id)

    def listen(self, frame: AudioFrame) -> None:
        """Pass on everything: turns are found there."""
        self._recent.append(frame)
        self._recent_samples += frame.samples
        kept = _KEPT_SPEECH_SAMPLES if self._turn is not None else _KEPT_SAMPLES
        while self._recent_samples - self._recent[0].samples >= kept:
            self._recent_samples -= self._recent.popleft().samples
        if self._connection is not None and self._connection.line.is_usable:
            self._append(self._connection.line, frame)

    def restart_listening(self) -> None:
        """Forget what belongs to no turn."""
        self._recent.clear()
        self._recent_samples, self._turn = 0, None
        if self._connection is not None:
            self._connection.line.discard()

    def cut(self, item: Item) -> None:
        """Cut it there as well."""
        if self._connection is not None:
            self._connection.line.cut(item)

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        """Yield turns and limits."""
        while (notice := await self._notices.get()) is not None:
            yield notice

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer. One attempt on one line; who wants another asks again (`voice.engines.resilient`)."""
        line = await self._ready()
        if request.in_conversation:
            await line.wait_idle(self._options.next_s)
            self._items = request.items
            self._finish_utterance(line, request)
        answering = line.ask(request)
        limit_s = self._options.answer_s
        try:
            while True:
                event = await answering.next(limit_s)
                if isinstance(event, TokenUsage):
                    self._on_usage(event)
                yield event
                if isinstance(event, EngineDone):
                    return
                limit_s = self._options.next_s
        except TimeoutError:
            # It is there and says nothing: what it owes may come at any time, so nothing more is taken from it.
            line.lose(EngineUnavailable("The upstream stopped in the middle of an answer."))
            raise EngineUnavailable("The upstream does not go on with its answer.") from None
        finally:
            line.cancel(request.response_id)

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Have the upstream write a turn down; it does so once for each that is committed there."""
        line = await self._ready()
        if not self._upstream_listens:
            line.commit(request.item_id, request.pcm)
        self._note_committed(request.item_id)
        async for event in line.transcript(request.item_id, _TRANSCRIPT_S):
            yield event

    async def aclose(self) -> None:
        """Close what is open."""
        self._is_closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None
        for leaving in self._leaving:
            leaving.cancel()
        if self._leaving:
            await asyncio.wait(self._leaving)
        for connection in (self._next, self._connection):
            if connection is not None:
                await connection.aclose()
        self._notices.put_nowait(None)

    # --- Lines ----------------------------------------------------------------------------------------------------

    async def _ready(self) -> Line:
        """Return a line that can be asked. Raises: EngineError."""
        async with self._opening:
            if self._is_closed:
                raise EngineUnavailable("The engine is closed.")
            if self._connection is not None and self._connection.line.is_usable:
                return self._connection.line
            if self._next is not None and self._next.line.is_usable:
                self._take(self._next, "lost")
            else:
                is_again = self._connection is not None
                self._take(await self._make(), "reconnected" if is_again else None)
            assert self._connection is not None
            return self._connection.line

    async def _make(self) -> Opened:
        connection = self._connect()
        await connection.open()
        connection.line.configure(self._settings)
        connection.line.seed(self._items)
        return connection

    def _take(self, connection: Opened, why: Taken | None) -> None:
        """Work with this connection from here on."""
        old, self._connection, self._next = self._connection, connection, None
        line = connection.line
        self._appended_samples = 0
        line.on_notice = self._notices.put_nowait
        line.on_turn = lambda started, at, name: self._hear_turn(line, started, at, name)
        opened_s = asyncio.get_running_loop().time()
        limit_s = self._options.session_max_s
        if line.expires_s is not None:
            limit_s = min(limit_s, max(line.expires_s - time.time(), 1.0))
        self._rotation = Rotation.plan(opened_s, limit_s, self._options.rotate_before_s)
        if self._recent:
            # The new ears begin a little earlier than now, or where the turn under way began.
            for frame in self._recent:
                self._append(line, frame)
        if why:
            _log.info("upstream line taken", why=why)
            self._on_rotated(why)
        if old is not None:
            leaving = asyncio.create_task(self._leave(old), name="upstream line left")
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, connection: Opened) -> None:
        """Let an answer under way be taken to its end, then close."""
        try:
            with suppress(EngineError):
                await connection.line.wait_idle(_LEAVE_S)
        finally:
            await connection.aclose()

    def _append(self, line: Line, frame: AudioFrame) -> None:
        self._line_starts = frame.pts - self._appended_samples
        self._appended_samples += frame.samples
        line.append(frame.pcm)

    async def _keep(self) -> None:
        """Have a line at any time: come back when it is lost, and leave it before its end."""
        failures = 0
        while True:
            connection, rotation = self._connection, self._rotation
            assert connection is not None
            assert rotation is not None
            try:
                if not connection.line.is_usable:
                    await self._ready()
                else:
                    await self._rotate(connection, rotation)
                failures = 0
            except EngineError as error:
                failures += 1
                asked_s = getattr(error, "retry_after_s", None)
                wait_s = _COMING_BACK.wait_s(failures, asked_s, random.random()) or _COMING_BACK.longest_s
                if isinstance(error, EngineRefused):
                    wait_s = _COMING_BACK.longest_s
                _log.warning("upstream line not made", why=error.message, again_in_s=round(wait_s, 2))
                await asyncio.sleep(wait_s)

    async def _rotate(self, connection: Opened, rotation: Rotation) -> None:
        """Wait for the line's end, or for the time to leave it, and do the next step."""
        now_s = asyncio.get_running_loop().time()
        has_next = self._next is not None and self._next.line.is_usable
        match rotation.step(now_s, has_next=has_next, is_quiet=self._is_quiet(connection.line)):
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

    def _is_quiet(self, line: Line) -> bool:
        return not line.is_answering and self._turn is None and self._utterance is None

    # --- Turns ----------------------------------------------------------------------------------------------------

    def _hear_turn(self, line: Line, started: bool, at: int, name: str) -> None:
        """The upstream found a turn. After a change of line in the middle of one, it finds the same turn again."""
        if line is not (self._connection.line if self._connection else None):
            return
        at_sample = self._line_starts + at
        if started and self._turn is not None:
            line.note_turn(self._turn, name)
        elif started:
            self._turn = name
            line.note_turn(name, name)
            self._notices.put_nowait(TurnStarted(at_sample, name))
        elif self._turn is not None:
            turn, self._turn = self._turn, None
            self._notices.put_nowait(TurnStopped(at_sample, turn))

    def _finish_utterance(self, line: Line, request: ResponseRequest) -> None:
        """Commit the turn that is to be answered: what was passed on as it was spoken, or the whole of it.

        Where the upstream finds turns it commits by itself, and must not hear anything twice.
        """
        last = request.items[-1] if request.items else None
        if not isinstance(last, Message) or last.role != "user" or self._upstream_listens:
            return
        if len(last.parts) == 1 and isinstance(last.parts[0], AudioPart):
            line.commit(last.id, last.parts[0].pcm)
        self._note_committed(last.id)

    def _note_committed(self, item_id: str) -> None:
        if self._utterance == item_id:
            self._utterance = None

    @property
    def _upstream_listens(self) -> bool:
        return self._options.turns == "upstream" and self._settings.turn_detection is not None
