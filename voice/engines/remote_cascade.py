"""A cascade whose language model is asked over HTTP; hearing and speaking are embedded or remote, in any mix.

    caller   ──speech──────────┐ pause
    hears                      │ transcript
    thinks (remote)            │ ─ words … words … words
    speaks                          │ first clause │ second clause …

Nothing is prefilled and nothing is guessed ahead: a remote prompt cache is kept warm by prompts that only grow.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from voice.audio.frames import AudioFrame
from voice.engines.ahead import ahead
from voice.engines.cascade_options import CascadeOptions
from voice.engines.clauses import ClauseCutter
from voice.engines.model_port import Models
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.prompt import words_of
from voice.engines.speakable import SpokenFilter
from voice.engines.speech import Speaker
from voice.engines.utterance import Hearing
from voice.session.items import ImagePart, Message


class Thinking(Protocol):
    """A language model that is given a conversation; `voice.remote.thinking.RemoteThinking` is one."""

    def respond(self, request: ResponseRequest, transcripts: Mapping[str, str]) -> AsyncGenerator[ResponseEvent, None]:
        """Yield words, tool calls, usage and the end. Raises: EngineError."""
        ...


@dataclass(frozen=True, slots=True)
class _Clause:
    """The next words to be spoken."""

    text: str


class RemoteCascadeEngine:
    """One session's view of it."""

    def __init__(
        self,
        models: Models,
        thinking: Thinking,
        session_id: str,
        options: CascadeOptions | None = None,
        *,
        sees_images: bool = False,
        speculates: bool = False,
    ) -> None:
        """`models` hears and speaks. `speculates`: ask before the turn is decided; what is dropped has cost money."""
        self._models = models
        self._thinking = thinking
        self._session_id = session_id
        self._options = options or CascadeOptions()
        self._hearing = Hearing(models, session_id)
        self._capabilities = Capabilities(takes_images=sees_images, speculates=speculates)

    @property
    def capabilities(self) -> Capabilities:
        """It reads what it hears."""
        return self._capabilities

    async def open(self, settings: EngineSettings) -> None:
        """Nothing has to be loaded."""

    def configure(self, settings: EngineSettings) -> None:
        """Every request carries its settings."""

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Take more of an utterance."""
        self._hearing.hear(item_id, frame)

    def drop(self, item_id: str) -> None:
        """Forget an utterance's sound."""
        self._hearing.drop(item_id)

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Write an item down; a response to the same item has most often done it already."""
        transcript = await self._hearing.final(request.item_id, request.pcm)
        if transcript:
            yield TranscriptDelta(transcript)
        yield TranscriptDone(transcript)

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer."""
        speaker = Speaker(self._models, self._session_id, request.settings)
        words = request.say
        transcripts: dict[str, str] = {}
        if words is None:
            transcripts = await self._hearing.transcripts(request.items)
            words = self._unheard(request, transcripts)
        if words:
            async with aclosing(_utter(speaker, words, request, is_first=True)) as events:
                async for event in events:
                    yield event
            yield EngineDone()
            return
        async with aclosing(self._think(request, transcripts, speaker)) as events:
            async for event in events:
                yield event

    async def aclose(self) -> None:
        """Forget what was heard."""
        self._hearing.close()
        self._models.release(self._session_id)

    async def _think(
        self, request: ResponseRequest, transcripts: Mapping[str, str], speaker: Speaker
    ) -> AsyncGenerator[ResponseEvent, None]:
        """Speak the clauses as they come; pass calls and usage on."""
        is_first = True
        early = request.settings.output_modality == "audio"
        thoughts = _clauses(self._thinking.respond(request, transcripts), early=early)
        async with aclosing(ahead(thoughts)) as thoughts_ahead:
            async for thought in thoughts_ahead:
                if not isinstance(thought, _Clause):
                    yield thought
                    continue
                async with aclosing(_utter(speaker, thought.text, request, is_first=is_first)) as events:
                    async for event in events:
                        yield event
                is_first = False

    def _unheard(self, request: ResponseRequest, transcripts: Mapping[str, str]) -> str:
        """Return what is said to a turn without words; a picture may stand without any."""
        last = request.items[-1] if request.items else None
        if not isinstance(last, Message) or last.role != "user" or words_of(last, transcripts):
            return ""
        is_shown = self._capabilities.takes_images and any(isinstance(part, ImagePart) for part in last.parts)
        if is_shown:
            return ""
        return self._options.silence_reply if last.is_silence else self._options.unheard_reply


async def _utter(
    speaker: Speaker, clause: str, request: ResponseRequest, *, is_first: bool
) -> AsyncGenerator[ResponseEvent, None]:
    yield TextDelta(clause if is_first else f" {clause}")
    if request.settings.output_modality == "audio":
        async with aclosing(speaker.speak(clause)) as frames:
            async for frame in frames:
                yield AudioDelta(frame)


async def _clauses(
    events: AsyncGenerator[ResponseEvent, None], *, early: bool
) -> AsyncGenerator[ResponseEvent | _Clause, None]:
    """Turn words into clauses that can be spoken; everything else stays where it was."""
    spoken, cutter = SpokenFilter(), ClauseCutter(early=early)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                for clause in cutter.feed(spoken.feed(event.text)):
                    yield _Clause(clause)
                continue
            # What was said before a call belongs before it (contract §8 row 8).
            for clause in [*cutter.feed(spoken.flush()), *cutter.flush()]:
                yield _Clause(clause)
            yield event
