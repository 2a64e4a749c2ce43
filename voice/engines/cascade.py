"""An engine of three models: speech-to-text, a language model, text-to-speech, each working while the next waits.

    caller   ──speech──────────────────┐ pause
    hears      partial · partial · partial│final
    thinks        prefill of stable words │ first clause │ second clause …
    speaks                                               │ first clause │ second clause …

What a caller waits for after the pause is one short transcript, one token behind a prompt that is in the cache
already, a clause of a few words, and its first 250 ms of sound.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import structlog

from voice.audio.frames import HEARING_RATE_HZ, AudioFrame
from voice.engines.model_port import Finished, Models
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.prompt import STOP, TURN_END, USER_HEAD, build_prompt, prefix, words_of
from voice.engines.routing import TALK, Route, route
from voice.engines.speech import Speaker
from voice.engines.stable_prefix import stable_prefix
from voice.engines.thinking import Call, Clause, think
from voice.engines.tool_check import RefusedCall, check_call
from voice.engines.utterance import Hearing, Utterance
from voice.errors import EngineError
from voice.ids import Ids
from voice.session.items import AudioPart, Message

log = structlog.get_logger(__name__)

_CONFIGURE_DEBOUNCE_S = 0.02

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CascadeOptions:
    """How a cascade works; the operator's part of it stands in config.yaml."""

    temperature: float = 0.0
    max_output_tokens: int = 256
    """The longest answer, where the session does not set its own."""
    partial_every_ms: int = 500
    """New speech after which the words so far are looked at again."""
    history_chars: int = 8000
    """Past it the oldest turns are left out of the prompt; about four characters are a token."""
    asks_for_missing: bool = True
    """A tool's missing value is asked for by a ready question: at once, and right where a small model would guess."""
    unheard_reply: str = "Sorry, I didn't catch that."
    """Said when there were no words in what was heard; empty: the model answers."""


class CascadeEngine:
    """One session's view of the models."""

    def __init__(self, models: Models, session_id: str, options: CascadeOptions | None = None) -> None:
        """`models` is shared by all sessions; `session_id` names this one's cache slot."""
        self._models = models
        self._session_id = session_id
        self._options = options or CascadeOptions()
        self._settings = EngineSettings()
        self._hearing = Hearing(models, session_id)
        self._ids = Ids()
        self._background: asyncio.Task[None] | None = None
        """Prefill or listening: one thing at a time, and never while a response is being made."""
        self._responding = 0
        self._context: str | None = None
        self._is_cached = True
        """The prompt up to the caller's next turn, where it is known."""
        self._partial = ("", "", 0)
        """Item, its words so far, and how many samples they cover."""

    @property
    def capabilities(self) -> Capabilities:
        """It reads what it hears."""
        return Capabilities()

    async def open(self, settings: EngineSettings) -> None:
        """Begin to work the prompt's prefix into the cache."""
        self.configure(settings)

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings. The prefix is prefilled once they have not changed for 20 ms."""
        changed = prefix(settings) != prefix(self._settings) or self._context is None
        self._settings = settings
        if changed and not self._responding:
            self._context = prefix(settings)
            self._start(partial(self._prefill, self._context))

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Take more of an utterance; look at its words from time to time."""
        utterance = self._hearing.hear(item_id, frame)
        if self._responding or (self._background is not None and not self._background.done()):
            return
        known = self._partial[2] if self._partial[0] == item_id else 0
        if utterance.samples - known >= HEARING_RATE_HZ * self._options.partial_every_ms // 1000:
            self._start(partial(self._listen, utterance))

    def drop(self, item_id: str) -> None:
        """Forget an utterance's sound."""
        self._hearing.drop(item_id)

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer. Nothing but the cache and the transcript is touched, so a speculation may be thrown away."""
        self._responding += 1
        self._stop_background()
        try:
            async with aclosing(self._respond(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._responding -= 1
            if not self._responding and not self._is_cached and self._context is not None:
                self._is_cached = True
                self._start(partial(self._prefill, self._context))
            if not request.in_conversation:
                self._models.release(self._slot(request))

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Write an item down; a response to the same item has most often done it already."""
        transcript = await self._hearing.final(request.item_id, request.pcm)
        if transcript:
            yield TranscriptDelta(transcript)
        yield TranscriptDone(transcript)

    async def aclose(self) -> None:
        """Stop what runs and free the cache slot."""
        task = self._background
        self._stop_background()
        if task is not None:
            await asyncio.wait({task})
        self._hearing.close()
        self._models.release(self._session_id)

    # --- Answering ------------------------------------------------------------------------------------------------

    async def _respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        if request.say is not None:
            async for event in self._say(request, request.say):
                yield event
            return
        transcripts = await self._transcripts(request)
        ready, plan = self._plan(request, transcripts)
        prompt = build_prompt(
            request.settings, request.items, transcripts=transcripts, limit_chars=self._options.history_chars
        )
        if request.in_conversation:
            self._context = None
        if ready:
            async for event in self._say(request, ready):
                yield event
            self._note_context(request, prompt, ready, is_cached=False)
            return
        async with aclosing(self._think(request, prompt, plan)) as events:
            async for event in events:
                yield event

    def _plan(self, request: ResponseRequest, transcripts: Mapping[str, str]) -> tuple[str, Route]:
        """Return an answer that needs no thought, or what the model may do."""
        plan = route(request.settings, request.items, transcripts, asks=self._options.asks_for_missing)
        last = request.items[-1] if request.items else None
        if isinstance(last, Message) and last.role == "user" and not words_of(last, transcripts):
            return self._options.unheard_reply, plan
        return plan.question, plan

    async def _transcripts(self, request: ResponseRequest) -> dict[str, str]:
        """Return the words of the user items that have none of their own."""
        found: dict[str, str] = {}
        for item in request.items:
            if not isinstance(item, Message) or item.role != "user" or item.text:
                continue
            pcm = b"".join(part.pcm for part in item.parts if isinstance(part, AudioPart))
            known = self._hearing.transcript(item.id)
            if pcm and (known is None or item is request.items[-1]):
                known = await self._hearing.final(item.id, pcm)
            if known:
                found[item.id] = known
        return found

    async def _think(self, request: ResponseRequest, prompt: str, plan: Route) -> AsyncGenerator[ResponseEvent, None]:
        """Answer with the model: in words, or by a call that passes its check; if it does not, in words after all."""
        settings = request.settings
        if (whole := plan.determined_call("")) and (events := self._call(whole, plan)):
            for event in events:
                yield event
            yield EngineDone()
            self._note_context(request, prompt, whole, is_cached=False)
            return
        speaker = Speaker(self._models, self._session_id, settings)
        early, words_before = settings.output_modality == "audio", False
        call = None
        pieces = self._generate(request, prompt, plan)
        async with aclosing(think(pieces, early=early, determined=plan.determined_call)) as thoughts:
            async for thought in thoughts:
                if isinstance(thought, Clause):
                    async for event in self._utter(speaker, settings, thought.text, words_before=words_before):
                        yield event
                    words_before = True
                elif isinstance(thought, Call):
                    call = thought.text
                else:
                    reached_limit, written = thought.reached_limit, thought.text
        events = self._call(call, plan) if call is not None and not reached_limit else []
        if call is not None and not events and not reached_limit:
            async with aclosing(self._think(request, prompt, TALK)) as talk:
                async for event in talk:
                    yield event
            return
        self._note_context(request, prompt, written)
        for event in events:
            yield event
        yield EngineDone("max_output_tokens" if reached_limit else "completed")

    def _generate(self, request: ResponseRequest, prompt: str, plan: Route) -> AsyncGenerator[str | Finished, None]:
        own_limit = self._options.max_output_tokens
        return self._models.generate(
            self._slot(request),
            prompt,
            max_tokens=min(own_limit, request.settings.max_output_tokens or own_limit),
            grammar=plan.grammar.gbnf,
            stop=STOP,
            temperature=self._options.temperature,
        )

    async def _utter(
        self, speaker: Speaker, settings: EngineSettings, clause: str, *, words_before: bool
    ) -> AsyncGenerator[ResponseEvent, None]:
        yield TextDelta(f" {clause}" if words_before else clause)
        if settings.output_modality == "audio":
            async with aclosing(speaker.speak(clause)) as frames:
                async for frame in frames:
                    yield AudioDelta(frame)

    async def _say(self, request: ResponseRequest, words: str) -> AsyncGenerator[ResponseEvent, None]:
        """Speak words that are given."""
        speaker = Speaker(self._models, self._session_id, request.settings)
        async with aclosing(self._utter(speaker, request.settings, words, words_before=False)) as events:
            async for event in events:
                yield event
        yield EngineDone()

    def _call(self, text: str, plan: Route) -> list[ResponseEvent]:
        """Return the events of a call, none if it may not be made."""
        try:
            call = check_call(text, plan.offers)
        except RefusedCall as error:
            log.info("tool call refused", session=self._session_id, why=str(error))
            return []
        call_id = self._ids.mint("call")
        return [
            ToolCallStarted(call_id, call.name),
            ToolCallDelta(call_id, call.arguments),
            ToolCallDone(call_id, call.name, call.arguments),
        ]

    def _slot(self, request: ResponseRequest) -> str:
        """An answer beside the conversation must not push the conversation out of its cache."""
        return self._session_id if request.in_conversation else f"{self._session_id}/{request.response_id}"

    def _note_context(self, request: ResponseRequest, prompt: str, written: str, *, is_cached: bool = True) -> None:
        """Remember what the next prompt will begin with; what the model has not seen yet is worked in meanwhile."""
        if request.in_conversation:
            self._context = prompt + written + TURN_END
            self._is_cached = is_cached

    # --- Meanwhile ------------------------------------------------------------------------------------------------

    async def _listen(self, utterance: Utterance) -> None:
        """Look at the words so far, and prefill those that are likely to stay."""
        samples = utterance.samples
        text = await self._hearing.partial(utterance)
        item_id, before, _ = self._partial
        stable = stable_prefix(before, text) if item_id == utterance.item_id else ""
        self._partial = (utterance.item_id, text or before, samples)
        if stable and self._context is not None:
            await self._models.prefill(self._session_id, self._context + USER_HEAD + stable)

    async def _prefill(self, prompt: str) -> None:
        await asyncio.sleep(_CONFIGURE_DEBOUNCE_S)
        await self._models.prefill(self._session_id, prompt)

    def _start(self, work: Work) -> None:
        self._stop_background()
        self._background = asyncio.create_task(_quietly(work, self._session_id), name=f"cascade {self._session_id}")

    def _stop_background(self) -> None:
        if self._background is not None:
            self._background.cancel()
            self._background = None


async def _quietly(work: Work, session_id: str) -> None:
    """Work ahead is only a matter of speed: what the models cannot do now, the response itself will meet."""
    try:
        await work()
    except EngineError as error:
        log.debug("work ahead was not done", session=session_id, why=error.message)
