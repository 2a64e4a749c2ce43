"""One session at an upstream, over one connection: what was sent there, who waits for what, and what came back.

    events out ──► Connection ──► upstream
    answers, transcripts, turns ◄── receive(event)

No socket in here: `send` puts an event on its way and returns at once, `receive` is called for each one that comes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

import pybase64
import structlog

from voice.audio.frames import CORE_RATE_HZ
from voice.engines.port import (
    EngineComplaint,
    EngineNotice,
    EngineSettings,
    RateLimitLeft,
    RateLimitsReported,
    ResponseRequest,
    TokenUsage,
    TranscriptionEvent,
)
from voice.errors import EngineError, EngineRefused, EngineUnavailable
from voice.session.items import Item
from voice.upstream.answer import failure
from voice.upstream.answering import Answering
from voice.upstream.answers import Answers
from voice.upstream.mirror import Mirror
from voice.upstream.options import UpstreamOptions
from voice.upstream.words import Event, item_create, response_create, say_exactly, session_update
from voice.upstream.written import PREFIX as TRANSCRIPTION
from voice.upstream.written import WrittenTurns

_log = structlog.get_logger(__name__)

_SLICE_BYTES: Final = CORE_RATE_HZ * 2
"""One second: what is appended in one event when a whole turn is handed over."""

_SETTINGS: Final = "settings"
"""The event id of each `session.update`: an error about it is told to the client, whose wishes they are."""

_TURN_EVENTS: Final = {
    "input_audio_buffer.speech_started": "audio_start_ms",
    "input_audio_buffer.speech_stopped": "audio_end_ms",
}


class Line:
    """The books of one connection. Ends when `lost` is set; then every waiting answer has failed."""

    def __init__(
        self,
        options: UpstreamOptions,
        send: Callable[[Event], None],
        send_audio: Callable[[str], None] | None = None,
    ) -> None:
        """`send_audio` puts an append on its way, given its base64: fifty a second, so it has a way of its own."""
        self.options = options
        self.mirror = Mirror()
        self.lost = asyncio.Event()
        self.error: EngineError | None = None
        self.expires_s: float | None = None
        """Unix time at which the upstream ends the session, if it says so."""
        self.created = asyncio.Event()
        self.settings: EngineSettings | None = None
        self.on_notice: Callable[[EngineNotice], None] = lambda _: None
        self.on_turn: Callable[[bool, int, str], None] = lambda _started, _at, _item_id: None
        """Whether a turn started or stopped, the sample of this line's own clock, and what the upstream calls it."""
        self._send = send
        self._send_audio = send_audio or (lambda audio: send({"type": "input_audio_buffer.append", "audio": audio}))
        self.on_usage: Callable[[TokenUsage], None] = lambda _: None
        """What each answer has cost, those that were broken off among them."""
        self._answers = Answers(
            self.mirror, send, tell=lambda notice: self.on_notice(notice), count=lambda usage: self.on_usage(usage)
        )
        self._going_on: Answering | None = None
        self._asking = 0
        """Who is in `make_room`."""
        self._growing: str | None = None
        self._committing: deque[str] = deque()
        self._written = WrittenTurns()

    # --- Out ------------------------------------------------------------------------------------------------------

    @property
    def is_usable(self) -> bool:
        """True while it can be asked."""
        return not self.lost.is_set()

    @property
    def is_answering(self) -> bool:
        """True while an answer of the conversation is under way there, or a hosted tool."""
        return not self._answers.is_idle

    @property
    def is_busy(self) -> bool:
        """True while it is answering or about to be asked, or writes a turn down for somebody."""
        return self.is_answering or self._asking > 0 or not self._written.is_idle

    def configure(self, settings: EngineSettings) -> None:
        """Send the session's settings, if they changed."""
        if settings != self.settings:
            self.settings = settings
            self._send(session_update(settings, self.options) | {"event_id": _SETTINGS})

    def append(self, pcm: bytes) -> None:
        """Pass audio on, a run as it is."""
        self._send_audio(pybase64.b64encode_as_string(pcm))

    def grow(self, item_id: str, pcm: bytes, *, is_first: bool) -> None:
        """Pass on more of an utterance. One whose beginning this line missed is handed over whole when it is over."""
        if is_first:
            if self._growing is not None:
                self._send({"type": "input_audio_buffer.clear"})
            self._growing = item_id
        if self._growing == item_id:
            self.append(pcm)

    def discard(self, item_id: str | None = None) -> None:
        """Forget what was appended: of that utterance, or all."""
        if item_id is None or self._growing == item_id:
            self._growing = None
            self._send({"type": "input_audio_buffer.clear"})

    def commit(self, item_id: str, pcm: bytes = b"") -> None:
        """Make an utterance an item: what has grown, or `pcm`, the whole of it. Nothing happens to one that is."""
        if item_id in self.mirror or (self._growing != item_id and not pcm):
            return
        if self._growing != item_id:
            if self._growing is not None:
                return  # the next utterance is growing already: `sync` creates this one
            for start in range(0, len(pcm), _SLICE_BYTES):
                audio = pybase64.b64encode_as_string(pcm[start : start + _SLICE_BYTES])
                self._send({"type": "input_audio_buffer.append", "audio": audio})
        self._growing = None
        self._committing.append(item_id)
        self._written.expect(item_id)
        self.mirror.note_speech(item_id)
        self._send({"type": "input_audio_buffer.commit", "event_id": item_id})

    def note_turn(self, item_id: str, upstream_id: str) -> None:
        """The upstream found a turn and will commit it by itself."""
        self.mirror.note_speech(item_id, upstream_id)
        self._written.name(item_id, upstream_id)

    def cut(self, item: Item) -> None:
        """Cut what the upstream spoke; an item that it does not know is told whole when it is next asked."""
        for event in self.mirror.cut(item):
            self._send(event)

    def seed(self, items: Sequence[Item], *, is_replay: bool = False) -> None:
        """Make the upstream's conversation these items; `is_replay`: which another line has been told before."""
        for event in self.mirror.sync(items, is_replay=is_replay):
            self._send(event)

    async def make_room(self, request: ResponseRequest, timeout_s: float) -> None:
        """Return when the conversation is idle, so that this may be asked. Raises: EngineError."""
        self._asking += 1
        try:
            await self._answers.give_way(request)
            while (going_on := self._answers.going_on(request)) is None:
                await self.wait_idle(timeout_s)
                if not self._answers.has_gone_on:
                    break
            self._going_on = going_on
        except EngineUnavailable as error:
            self.lose(error)  # whatever is the matter with it, another line will do better
            raise
        finally:
            self._asking -= 1

    def ask(self, request: ResponseRequest) -> Answering:
        """Ask for an answer; for one of the conversation `make_room` has returned."""
        if request.in_conversation and self._going_on is not None:
            answering, self._going_on = self._going_on, None
            return answering
        answering = self._answers.expect(request)
        configured = self.settings or EngineSettings()
        if not request.in_conversation:
            context = self.mirror.context(request.items)
        elif request.say is not None:
            self._send(say_exactly(request.response_id, request.say))
            return answering
        else:
            self.seed(request.items)
            context = None
        beside = not request.in_conversation
        create = response_create(
            request.response_id, request.settings, configured, context, beside=beside, hosted=self.options.tools
        )
        self._send(create)
        return answering

    def leave(self, request: ResponseRequest, answering: Answering) -> None:
        """Nobody waits for that answer any more: stop it, if it is not over."""
        self._answers.cancel(request.response_id)
        self._answers.leave(answering)

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> bool:
        """Pass on the client's word on a call of a hosted tool; False when nobody asked for it on this line."""
        item = self._answers.hosted.approve(call_id, approve=approve, reason=reason)
        if item is not None:
            self._send(item_create(item, None))
        return item is not None

    async def wait_idle(self, timeout_s: float) -> None:
        """Return when no answer of the conversation is under way. Raises: EngineError."""
        await self._answers.wait_idle(timeout_s)
        if self.error is not None:
            raise self.error

    async def wait_over(self, timeout_s: float) -> None:
        """Return when nobody waits for anything of it. Raises: EngineError."""
        await self.wait_idle(timeout_s)
        await self._written.wait_idle()  # its readers have limits of their own

    def transcript(self, item_id: str, timeout_s: float) -> AsyncGenerator[TranscriptionEvent, None]:
        """Yield an item's words as the upstream writes them down. Raises: EngineError."""
        return self._written.words(item_id, timeout_s)

    # --- In -------------------------------------------------------------------------------------------------------

    def receive(self, event: Event) -> None:
        """Take the next event. What cannot be read costs the answer it belongs to; what is unknown is passed over."""
        kind = event.get("type")
        if not isinstance(kind, str):
            self.lose(EngineUnavailable("The upstream sent something that is no event."))
            return
        if kind.startswith("response."):
            self._answers.receive(kind, event)
        elif kind in _TURN_EVENTS:
            at_ms, item_id = event.get(_TURN_EVENTS[kind]), event.get("item_id")
            if isinstance(at_ms, int | float) and isinstance(item_id, str):
                self.on_turn(kind.endswith("started"), int(at_ms * CORE_RATE_HZ / 1000), item_id)
        elif kind.startswith(TRANSCRIPTION):
            self._written.receive(kind, event)
        elif kind == "input_audio_buffer.committed":
            self._receive_committed(event)
        elif kind == "rate_limits.updated":
            self._receive_limits(event)
        elif kind == "session.created":
            expires_s = (event.get("session") or {}).get("expires_at")
            self.expires_s = float(expires_s) if isinstance(expires_s, int | float) and expires_s > 0 else None
            self.created.set()
        elif kind == "error":
            self._receive_error(event)
        else:
            self._answers.hosted.receive(kind, event, None)

    def lose(self, error: EngineError) -> None:
        """The connection is no more: everything that waits fails. The first reason counts."""
        if self.lost.is_set():
            return
        self.error = error
        self.lost.set()
        self.created.set()
        self._answers.lose(error)
        self._written.lose(error)

    def _receive_committed(self, event: Event) -> None:
        item_id = event.get("item_id")
        if self._committing and isinstance(item_id, str):
            ours = self._committing.popleft()
            self.mirror.note_speech(ours, item_id)
            self._written.name(ours, item_id)

    def _receive_limits(self, event: Event) -> None:
        try:
            limits = tuple(
                RateLimitLeft(each["name"], int(each["limit"]), int(each["remaining"]), float(each["reset_seconds"]))
                for each in event["rate_limits"]
                if each["name"] in ("requests", "tokens")
            )
        except (KeyError, TypeError, ValueError):
            return
        self.on_notice(RateLimitsReported(limits))

    def _receive_error(self, event: Event) -> None:
        said = event.get("error")
        error: dict[str, Any] = said if isinstance(said, dict) else {}
        code, message, cause = error.get("code"), error.get("message"), error.get("event_id")
        _log.warning("upstream error", code=code, message=str(message)[:200], cause=cause)
        if isinstance(cause, str) and self._answers.refuse(cause, code, message):
            return
        if isinstance(cause, str) and cause in self._committing:
            self._committing.remove(cause)
            self.mirror.forget(cause)
            self._written.refuse(cause)
        elif cause == _SETTINGS and failure(code, message).code != EngineRefused.code:
            words = f"The upstream does not take the session's settings: {str(message)[:200]}"
            self.on_notice(EngineComplaint(code if isinstance(code, str) else None, words))
        elif code == "session_expired":
            self.lose(EngineUnavailable("The upstream's session is over."))
        elif isinstance(refused := failure(code, message), EngineRefused):
            self.lose(refused)
