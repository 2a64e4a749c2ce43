"""A realtime client that calls with recordings: microphone, loudspeaker and a log of everything that came.

It does what a good client of the contract does: keeps its own playing clock, and on a barge-in stops playing,
drops the rest of the cancelled response and tells the service what was heard (contract 4.7).
"""

import asyncio
import base64
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from voice.audio.frames import CORE_RATE_HZ
from voice.talk.errors import ServiceSilent
from voice.talk.line import Dial, Line, LineClosed, dial_websocket, websocket_url
from voice.talk.microphone import Microphone, Utterance, WireFormat
from voice.talk.player import Player
from voice.talk.recording import Recording
from voice.talk.turns import Event, Turn, TurnLog

Listener = Callable[[Event, Turn], None]
"""Called with every event of the service and the turn it belongs to, before anyone who waits is woken."""


@dataclass(frozen=True, slots=True)
class CallerOptions:
    """How to call."""

    url: str = "ws://127.0.0.1:8080/v1/realtime"
    """Any of `ws://host:port`, `http://host:port`, with or without the path."""
    model: str | None = None
    key: str | None = None
    wire: WireFormat = "audio/pcm"
    push_to_talk: bool = False
    session: dict[str, Any] = field(default_factory=dict)
    """Sent as `session.update` at once, merged over what the other options ask for."""
    connect_timeout_s: float = 10.0
    dial: Dial = dial_websocket
    """Makes the line."""


class Caller:
    """One conversation. Use as `async with Caller(options) as caller`; leaving hangs up."""

    def __init__(self, options: CallerOptions, listener: Listener | None = None) -> None:
        """Nothing is opened before `async with`."""
        self.options = options
        self.log = TurnLog()
        self.player = Player()
        self.utterances: list[Utterance] = []
        self.events: list[tuple[float, Event]] = []
        """Everything received with its moment on the monotonic clock; audio without its payload."""
        self.error_events: list[Event] = []
        self.closed: str | None = None
        """Why the connection ended, once it has."""
        self.started_s = 0.0
        self.microphone = Microphone(self._append, options.wire, muted=options.push_to_talk)
        self._listener = listener
        self._silenced: set[str] = set()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_leaving = False
        self._playing: set[str] = set()  # responses that the service plays, where it does
        self._line: Line

    async def __aenter__(self) -> Self:
        """Connect and wait for `session.created`. Raises: ServiceUnreachable, ServiceSilent."""
        options = self.options
        self._line = await options.dial(options.url, options.model, options.key, options.connect_timeout_s)
        self.started_s = time.monotonic()
        self._tasks.append(asyncio.create_task(self._listen(), name="listen"))
        try:
            await self.wait_for(lambda: bool(self.events), 10.0, "session.created")
            await self._configure()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self._tasks.append(asyncio.create_task(self._speak(), name="microphone"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up. The line is read to its end meanwhile: one that is not read does not see that it was closed."""
        self._is_leaving = True
        listening, *others = self._tasks
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._line.aclose()
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        self._tasks.clear()

    @property
    def session(self) -> Event:
        """The effective session, as the service last described it."""
        for _, event in reversed(self.events):
            if event["type"] in ("session.created", "session.updated"):
                found: Event = event["session"]
                return found
        return {}

    def sample_at(self, moment_s: float) -> int:
        """Return a moment of the monotonic clock on the player's clock."""
        return round((moment_s - self.started_s) * CORE_RATE_HZ)

    def say(self, recording: Recording) -> Turn:
        """Begin to send a recording and open its turn."""
        utterance = self.microphone.say(recording)
        self.utterances.append(utterance)
        return self.log.begin(recording.name, utterance.speech_start_s, utterance.speech_end_s)

    async def ask(self, recording: Recording, timeout_s: float = 60.0) -> Turn:
        """Say a recording and wait for the whole answer (not for its playing). Raises: ServiceSilent."""
        turn = self.say(recording)
        if self.options.push_to_talk:
            await self.utterances[-1].spoken.wait()
            await self.send({"type": "input_audio_buffer.commit"})
            await self.send({"type": "response.create"})
        await self.wait_for(
            lambda: turn.answered, recording.duration_ms / 1000 + timeout_s, f"the answer to {recording.name}"
        )
        return turn

    async def played_out(self) -> None:
        """Return when everything received so far has been heard."""
        if self._playing:
            await self.wait_for(lambda: not self._playing, 120.0, "the end of its audio")
        while (left_s := self.unplayed_s) > 0:  # noqa: ASYNC110 - time passes, and a barge-in may shorten it
            await asyncio.sleep(left_s)

    @property
    def unplayed_s(self) -> float:
        """How long what was received so far still plays; at most 0 when the loudspeaker is silent."""
        return self.started_s + self.player.end_sample / CORE_RATE_HZ - time.monotonic()

    async def send(self, event: Event) -> None:
        """Send a client event. Raises: ServiceSilent when the service has hung up."""
        try:
            await self._line.send(event)
        except LineClosed:
            raise ServiceSilent(f"the service hung up: {self.closed or 'connection closed'}") from None

    async def wait_for(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Return once `condition` holds, looked at after each event. Raises: ServiceSilent, naming `what`."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    if self.closed is not None:
                        raise ServiceSilent(f"the service hung up before {what}: {self.closed}")
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise ServiceSilent(f"the service did not send {what} within {timeout_s:.0f} s") from None

    async def _configure(self) -> None:
        update: Event = dict(self.options.session)
        heard: Event = {}
        if not (self.session.get("audio", {}).get("input", {}).get("transcription")):
            heard["transcription"] = {"model": "gpt-4o-mini-transcribe"}
        if self.options.wire != "audio/pcm":
            heard["format"] = {"type": self.options.wire}
        if self.options.push_to_talk:
            heard["turn_detection"] = None
        asked_audio = update.get("audio", {})
        heard |= asked_audio.get("input", {})
        if heard:
            update["audio"] = {**asked_audio, "input": heard}
        if update:
            await self.send({"type": "session.update", "session": {"type": "realtime", **update}})
            await self.wait_for(lambda: self._configured, 10.0, "session.updated")

    @property
    def _configured(self) -> bool:
        return bool(self.error_events) or any(event["type"] == "session.updated" for _, event in self.events)

    async def _speak(self) -> None:
        with suppress(LineClosed):  # the listener notes why
            await self.microphone.run()

    async def _append(self, audio: bytes) -> None:
        await self._line.append(audio)

    async def _listen(self) -> None:
        try:
            async for event in self._line.events():
                if self._is_leaving:
                    continue  # nobody waits for it
                await self._receive(event, time.monotonic())
        except LineClosed as error:
            self.closed = str(error)
        finally:
            self.closed = self.closed or "closed"
            self._changed.set()

    async def _receive(self, event: Event, at_s: float) -> None:
        kind = event["type"]
        if kind == "response.output_audio.delta":
            pcm = base64.b64decode(event.pop("delta"))
            if event["response_id"] not in self._silenced:
                self.player.receive(event["item_id"], event["content_index"], pcm, self.sample_at(at_s))
        elif kind == "error":
            self.error_events.append(event)
        elif kind == "output_audio_buffer.started":
            self._playing.add(event["response_id"])
        elif kind in ("output_audio_buffer.stopped", "output_audio_buffer.cleared"):
            self._playing.discard(event["response_id"])
        self.events.append((at_s, event))
        turn = self.log.receive(event, at_s)
        if kind == "input_audio_buffer.speech_started":
            await self._barge_in(at_s)
        if self._listener is not None:
            self._listener(event, turn)
        self._changed.set()

    async def _barge_in(self, at_s: float) -> None:
        """Stop playing and tell the service what was heard; what still arrives of these responses is not played."""
        for turn in (self.log.greeting, *self.log.turns):
            self._silenced |= turn.open_responses
        for cut in self.player.flush(self.sample_at(at_s)):
            self.log.turn_of({"item_id": cut.item_id}).interrupted = True
            if self._line.server_plays:
                continue  # it knows itself
            await self.send(
                {
                    "type": "conversation.item.truncate",
                    "item_id": cut.item_id,
                    "content_index": cut.content_index,
                    "audio_end_ms": cut.played_ms,
                }
            )

    def caller_track(self) -> bytes:
        """Return all that was said as one 24 kHz track from the start of the conversation, silence between."""
        track = bytearray()
        for utterance in self.utterances:
            start = max(0, self.sample_at(utterance.start_s)) * 2
            track = track[:start]  # a recording begun over another breaks it off
            track.extend(bytes(start - len(track)))
            track.extend(utterance.recording.pcm)
        return bytes(track)


__all__ = ["Caller", "CallerOptions", "Listener", "websocket_url"]
