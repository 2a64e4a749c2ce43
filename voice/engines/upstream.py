"""An engine behind another Realtime server: gpt-realtime and its relatives, or a second instance of this service.

    caller ─► session ─► hear / listen ─► line ─► upstream
                 ▲                          │
                 └── answers, turns ◄───────┘      a line lasts less than a call: the next one is seeded with the items

The conversation is ours (design §1): the upstream is made to hold the same items, and neither answers nor interrupts
by itself. Turns are found here, or, with `turns: upstream`, there.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from typing import Final

from voice.audio.frames import AudioFrame
from voice.engines.port import (
    Capabilities,
    EngineDone,
    EngineLost,
    EngineNotice,
    EngineSettings,
    HostedCall,
    ResponseEvent,
    ResponseRequest,
    Take,
    TokenUsage,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.errors import EngineError, EngineUnavailable
from voice.session.items import AudioPart, Item, Message, pcm_duration_ms
from voice.upstream.connection import Connection
from voice.upstream.ears import Ears
from voice.upstream.hosted import FORGOTTEN
from voice.upstream.line import Line
from voice.upstream.lines import Lines, Opened, Taken
from voice.upstream.options import UpstreamOptions

_TRANSCRIPT_S: Final = 15.0


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
        on_heard: Callable[[str, float], None] = lambda _model, _duration_s: None,
    ) -> None:
        """`connect` makes a connection that is not open yet; `on_rotated` is told when another line was taken.

        `on_usage` is told what each answer cost in tokens, `on_heard` which model wrote how many seconds down.
        """
        self._options = options
        self._on_rotated = on_rotated
        self._on_usage = on_usage
        self._on_heard = on_heard
        self._safety_identifier = safety_identifier
        self._settings = EngineSettings()
        self._lines = Lines(
            options,
            connect or self._connect,
            prepare=self._prepare,
            taken=self._work_with,
            is_quiet=lambda: not self._ears.has_turn and self._utterance is None,
            failed=self._note_lost,
        )
        self._notices: asyncio.Queue[EngineNotice | None] = asyncio.Queue()
        """Bounded by what one read of the socket brings: it is emptied in the next turn of the loop."""
        self._items: Sequence[Item] = ()
        self._utterance: str | None = None
        self._ears = Ears()
        self._take: Take | None = None

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
        await self._lines.ready()
        self._lines.keep()

    def configure(self, settings: EngineSettings) -> None:
        """Send new settings on."""
        self._settings = settings
        for line in self._lines.usable():
            line.configure(settings)

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Pass on more of an utterance that this service found."""
        is_first, self._utterance = self._utterance != item_id, item_id
        if (line := self._lines.line) is not None:
            line.grow(item_id, frame.pcm, is_first=is_first)

    def drop(self, item_id: str) -> None:
        """Forget an utterance that was no turn."""
        if self._utterance == item_id:
            self._utterance = None
        if (line := self._lines.line) is not None:
            line.discard(item_id)

    def offer_to(self, take: Take) -> None:
        """Offer sound as it arrives."""
        self._take = take

    def listen(self, frame: AudioFrame) -> None:
        """Pass on everything: turns are found there."""
        line = self._lines.line
        self._ears.hear(frame, line.append if line is not None and line.is_usable else None)

    def restart_listening(self) -> None:
        """Forget what belongs to no turn."""
        self._ears.forget()
        if (line := self._lines.line) is not None:
            line.discard()

    def cut(self, item: Item) -> None:
        """Cut it there as well."""
        if (line := self._lines.line) is not None:
            line.cut(item)

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None:
        """Tell the upstream, if it still is the one that asked."""
        line = self._lines.line
        if (line is None or not line.approve(call_id, approve=approve, reason=reason)) and approve:
            self._notices.put_nowait(HostedCall(call_id, "over", FORGOTTEN))

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        """Yield turns and limits."""
        while (notice := await self._notices.get()) is not None:
            yield notice

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer. One attempt on one line; who wants another asks again (`voice.engines.resilient`)."""
        line = await self._lines.ready()
        if request.in_conversation:
            await line.make_room(request, self._options.next_s)
            self._items = request.items
            self._finish_utterance(line, request)
        answering = line.ask(request)
        if self._take is not None:
            answering.offer = partial(self._take, request.response_id)
        limit_s = self._options.answer_s
        try:
            while True:
                event = await answering.next(limit_s)
                yield event
                if isinstance(event, EngineDone):
                    return
                limit_s = self._options.tool_s if answering.runs_tools else self._options.next_s
        except TimeoutError:
            # It is there and says nothing: what it owes may come at any time, so nothing more is taken from it.
            line.lose(EngineUnavailable("The upstream stopped in the middle of an answer."))
            raise EngineUnavailable("The upstream does not go on with its answer.") from None
        finally:
            line.leave(request, answering)

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Have the upstream write a turn down; it does so once for each that is committed there."""
        line = await self._lines.ready()
        if not self._upstream_listens:
            line.commit(request.item_id, request.pcm)
        self._note_committed(request.item_id)
        async for event in line.transcript(request.item_id, _TRANSCRIPT_S):
            if isinstance(event, TranscriptDone):
                model = self._settings.transcription_model or self._options.transcription_model or ""
                counted_s = event.usage if isinstance(event.usage, float) else pcm_duration_ms(len(request.pcm)) / 1000
                self._on_heard(model, counted_s)
            yield event

    async def aclose(self) -> None:
        """Close what is open."""
        await self._lines.aclose()
        self._items = ()
        self._ears.forget()
        self._notices.put_nowait(None)

    # --- Lines and turns --------------------------------------------------------------------------------------------

    def _connect(self) -> Connection:
        return Connection(
            self._options,
            safety_identifier=self._safety_identifier,
            only_transcribes=self._settings.only_transcribes,
        )

    def _prepare(self, line: Line) -> None:
        """Tell a new line what the upstream has to know: the settings and the conversation."""
        line.on_usage = self._on_usage
        line.configure(self._settings)
        line.seed(self._items, is_replay=True)

    def _work_with(self, line: Line, why: Taken | None) -> None:
        """This line is in use from here on."""
        line.on_notice = self._notices.put_nowait
        line.on_turn = lambda started, at, name: self._hear_turn(line, started, at, name)
        self._ears.change(line.append)
        if why is not None:
            self._on_rotated(why)

    def _note_lost(self, error: EngineError) -> None:
        """There is no line: whoever waits for an answer is told so, and of turns nobody would hear."""
        if self._upstream_listens:
            self._notices.put_nowait(EngineLost(error))

    def _hear_turn(self, line: Line, started: bool, at: int, name: str) -> None:
        """The upstream found a turn. After a change of line in the middle of one, it finds the same turn again."""
        if line is not self._lines.line:
            return
        notice = self._ears.start(at, name) if started else self._ears.stop(at)
        if started and self._ears.turn is not None:
            line.note_turn(self._ears.turn, name)
        if notice is not None:
            self._notices.put_nowait(notice)

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
