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
from functools import partial

import structlog

from voice.audio.frames import HEARING_RATE_HZ, AudioFrame
from voice.engines.answer import Answer, Slot
from voice.engines.cascade_options import CascadeOptions
from voice.engines.model_port import Models
from voice.engines.port import (
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.prompt import TURN_END, USER_HEAD, build_prompt, prefix, words_of
from voice.engines.routing import Route, route
from voice.engines.speakable import readable_result
from voice.engines.stable_prefix import stable_prefix
from voice.engines.utterance import Hearing, Utterance
from voice.errors import EngineError
from voice.ids import Ids
from voice.session.items import Message

__all__ = ["CascadeEngine", "CascadeOptions"]

log = structlog.get_logger(__name__)

DEFAULT_SLOT_TOKENS = 4096
"""Of `models.context_tokens` in config.yaml."""

_SURE_SHARE = 0.9

_CONFIGURE_DEBOUNCE_S = 0.02

Work = Callable[[], Awaitable[None]]


class CascadeEngine:
    """One session's view of the models."""

    def __init__(
        self,
        models: Models,
        session_id: str,
        options: CascadeOptions | None = None,
        *,
        slot_tokens: int = DEFAULT_SLOT_TOKENS,
    ) -> None:
        """`models` is shared by all sessions; `session_id` names this one's cache slot, which takes `slot_tokens`."""
        self._models = models
        self._session_id = session_id
        self._options = options or CascadeOptions()
        self._settings = EngineSettings()
        tokens = _input_tokens(slot_tokens, self._options)
        self._capabilities = Capabilities(follows_speech=True, context_tokens=tokens)
        self._hearing = Hearing(models, session_id)
        self._ids = Ids()
        self._background: asyncio.Task[None] | None = None
        """Prefill or listening: one thing at a time, and never while a response is being made."""
        self._responding = 0
        self._context: str | None = None
        """The prompt up to the caller's next turn, where it is known."""
        self._is_cached = True
        self._is_closed = False
        self._partial = ("", "", 0)
        """Item, its words so far, and how many samples they cover."""
        self._agreed = ("", "")
        """Item, and its words that were the same in two looks."""
        self._looked = asyncio.Event()

    @property
    def capabilities(self) -> Capabilities:
        """It reads what it hears."""
        return self._capabilities

    async def open(self, settings: EngineSettings) -> None:
        """Begin to work the prompt's prefix into the cache."""
        self.configure(settings)

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings. A prefix worth it is prefilled once they have not changed for 20 ms."""
        changed = prefix(settings) != prefix(self._settings) or self._context is None
        self._settings = settings
        if changed and not self._responding:
            self._context = prefix(settings)
            if settings.instructions or settings.tools:
                self._start(partial(self._prefill, self._context))

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Take more of an utterance; look at its words from time to time."""
        utterance = self._hearing.hear(item_id, frame)
        if self._responding or (self._background is not None and not self._background.done()):
            return
        if self._partial[0] != item_id:
            self._partial = (item_id, "", 0)
            if self._context is not None:
                self._start(partial(self._models.prefill, self._session_id, self._context + USER_HEAD))
            return
        known = self._partial[2]
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
        if request.is_growing:
            async with aclosing(self._follow(request.item_id)) as deltas:
                async for delta in deltas:
                    yield delta
        transcript = await self._hearing.final(request.item_id, request.pcm)
        if transcript:
            yield TranscriptDelta(transcript)
        yield TranscriptDone(transcript)

    async def aclose(self) -> None:
        """Stop what runs and free the cache slot."""
        self._is_closed = True
        task = self._background
        self._stop_background()
        if task is not None:
            await asyncio.wait({task})
        self._hearing.close()
        self._models.release(self._session_id)

    # --- Answering ------------------------------------------------------------------------------------------------

    async def _respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        slot = Slot(self._session_id, self._slot(request))
        answer = Answer(self._models, slot, request.settings, self._options, lambda: self._ids.mint("call"))
        if request.say is not None:
            # Not thought of, and yet part of every prompt from here on: a long greeting takes the model a second.
            prompt = build_prompt(request.settings, request.items, limit_chars=self._options.history_chars)
            events = answer.say(request.say)
        else:
            transcripts = await self._hearing.transcripts(request.items)
            ready, plan = self._plan(request, transcripts)
            prompt = build_prompt(
                request.settings, request.items, transcripts=transcripts, limit_chars=self._options.history_chars
            )
            if request.in_conversation:
                self._context = None
            otherwise = readable_result(request.items) or self._options.confused_reply
            events = answer.say(ready) if ready else answer.think(prompt, plan, otherwise=otherwise)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, EngineDone) and request.in_conversation:
                    # What the next prompt begins with; what the model has not seen of it is worked in meanwhile.
                    self._context, self._is_cached = prompt + answer.written + TURN_END, answer.is_cached
                yield event

    def _plan(self, request: ResponseRequest, transcripts: Mapping[str, str]) -> tuple[str, Route]:
        """Return an answer that needs no thought, or what the model may do."""
        plan = route(request.settings, request.items, transcripts, asks=self._options.asks_for_missing)
        last = request.items[-1] if request.items else None
        if isinstance(last, Message) and last.role == "user" and not words_of(last, transcripts):
            return self._options.silence_reply if last.is_silence else self._options.unheard_reply, plan
        return plan.question, plan

    def _slot(self, request: ResponseRequest) -> str:
        """An answer beside the conversation must not push the conversation out of its cache."""
        return self._session_id if request.in_conversation else f"{self._session_id}/{request.response_id}"

    async def _follow(self, item_id: str) -> AsyncGenerator[TranscriptDelta, None]:
        given = ""
        while True:
            await self._looked.wait()
            self._looked.clear()
            of_item, agreed = self._agreed
            if of_item == item_id and agreed != given and agreed.startswith(given):
                yield TranscriptDelta(agreed[len(given) :])
                given = agreed

    # --- Meanwhile ------------------------------------------------------------------------------------------------

    async def _listen(self, utterance: Utterance) -> None:
        """Look at the words so far, and prefill those that are likely to stay."""
        samples = utterance.samples
        text = await self._hearing.partial(utterance)
        before = self._partial[1]
        self._partial = (utterance.item_id, text or before, samples)
        # Of the first look, all but the last two words: they were said a while ago.
        agreed = stable_prefix(before, text)
        self._agreed = (utterance.item_id, agreed)
        self._looked.set()
        stable = agreed if before else " ".join(text.split()[:-2])
        if stable and self._context is not None:
            await self._models.prefill(self._session_id, self._context + USER_HEAD + stable)

    async def _prefill(self, prompt: str) -> None:
        await asyncio.sleep(_CONFIGURE_DEBOUNCE_S)
        await self._models.prefill(self._session_id, prompt)

    def _start(self, work: Work) -> None:
        self._stop_background()
        if self._is_closed:  # a response that is closed late must not begin anything
            return
        self._background = asyncio.create_task(_quietly(work, self._session_id), name=f"cascade {self._session_id}")

    def _stop_background(self) -> None:
        if self._background is not None:
            self._background.cancel()
            self._background = None


def _input_tokens(slot_tokens: int, options: CascadeOptions) -> int:
    """Return what is left for a prompt: beside the answer, and less what an estimate by characters may be off by."""
    return int(max(0, slot_tokens - options.max_output_tokens) * _SURE_SHARE)


async def _quietly(work: Work, session_id: str) -> None:
    """Work ahead is only a matter of speed: what the models cannot do now, the response itself will meet."""
    try:
        await work()
    except EngineError as error:
        log.debug("work ahead was not done", session=session_id, why=error.message)
