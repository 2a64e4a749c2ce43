"""What is asked outside any session: a file to be written down, a text to be spoken, a chat to be answered.

Each request borrows an engine of its own, by the same names that sessions use, and gives it back at its end; so
whatever an engine can do in a call, it does here, on the same model host.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from voice.agent import Agent
from voice.audio.frames import CORE_RATE_HZ, HEARING_RATE_HZ, SAMPLE_BYTES
from voice.audio.passages import find_passages
from voice.audio.resample import Resampler
from voice.audio.vad import VoiceActivityDetector
from voice.engines.port import (
    AudioDelta,
    Engine,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    SessionRef,
    TranscriptDone,
    TranscriptionRequest,
)
from voice.errors import CapacityError, EngineUnavailable
from voice.ids import Ids
from voice.places import AgentRuntime
from voice.room import Room

MAX_REQUESTS: Final = 8
"""At a time; one more waits up to `WAIT_S` and is then refused."""
WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Segment:
    """A passage of a recording and its words."""

    start_s: float
    end_s: float
    text: str


class SingleRequests:
    """Serves them, a bounded number at a time: sessions have callers who wait, and share the models with these."""

    def __init__(
        self,
        runtime: Callable[[str | None], AgentRuntime],
        open_detector: Callable[[], VoiceActivityDetector[Any]],
        names: Mapping[str, str] | None = None,
        *,
        voices: Sequence[str] = (),
        max_requests: int = MAX_REQUESTS,
    ) -> None:
        """`runtime` finds who answers to a model name (raises ContractError); `names` are more names for those.

        `open_detector` gives a detector for one thread: the sessions' own belongs to the event loop. `voices` may be
        asked for beside the names of the original's.
        """
        self._runtime = runtime
        self._open_detector = open_detector
        self._names = dict(names or {})
        self.voices = tuple(voices)
        self._max_requests = max_requests
        self._taken = 0
        self._places = asyncio.Semaphore(max_requests)

    @property
    def names(self) -> list[str]:
        """The model names beside those of the sessions."""
        return list(self._names)

    def room(self) -> Room:
        """Return how many more would be answered now, without a wait."""
        return Room.of(self._max_requests, self._taken)

    def resolve(self, model: str | None) -> Agent:
        """Return who answers. Raises: ContractError `model_not_found`."""
        return self._find(model).agent

    async def transcribe(
        self, model: str | None, pcm: bytes, *, language: str | None = None, prompt: str | None = None
    ) -> AsyncGenerator[Segment, None]:
        """Write 24 kHz PCM down, passage by passage. Use it under `aclosing`. Raises: ContractError, EngineError."""
        async with self._engine(model, EngineSettings()) as (engine, ids):
            passages = await asyncio.to_thread(self._passages, pcm)
            for start_s, end_s in passages:
                start, stop = (int(second * CORE_RATE_HZ) * SAMPLE_BYTES for second in (start_s, end_s))
                request = TranscriptionRequest(ids.mint("item"), pcm[start:stop], language, prompt)
                text = ""
                async with aclosing(engine.transcribe(request)) as events:
                    async for event in events:
                        if isinstance(event, TranscriptDone):
                            text = event.transcript.strip()
                engine.drop(request.item_id)
                if text:
                    yield Segment(start_s, end_s, text)

    async def speak(self, model: str | None, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Say a text: runs of 24 kHz PCM. Use it under `aclosing`. Raises: ContractError, EngineError."""
        settings = EngineSettings(voice=voice, speed=speed)
        async with self._engine(model, settings) as (engine, ids):
            request = ResponseRequest(ids.mint("resp"), (), settings, in_conversation=False, say=text)
            async with aclosing(engine.respond(request)) as events:
                async for event in events:
                    if isinstance(event, AudioDelta):
                        yield event.frame.pcm

    async def respond(self, model: str | None, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer a conversation that is given whole. Use it under `aclosing`. Raises: ContractError, EngineError."""
        async with self._engine(model, request.settings) as (engine, _), aclosing(engine.respond(request)) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _engine(self, model: str | None, settings: EngineSettings) -> AsyncIterator[tuple[Engine, Ids]]:
        runtime = self._find(model)
        problem = runtime.problem()
        if problem is not None:
            raise EngineUnavailable(problem)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise CapacityError("Too many requests are being answered; try again in a moment.", 2.0) from None
        self._taken += 1
        try:
            ids = Ids()
            engine = runtime.make_engine(SessionRef(f"req_{ids.stem}"))
            try:
                await engine.open(settings)
                yield engine, ids
            finally:
                await engine.aclose()
        finally:
            self._taken -= 1
            self._places.release()

    def _find(self, model: str | None) -> AgentRuntime:
        return self._runtime(self._names.get(model, model) if model is not None else None)

    def _passages(self, pcm: bytes) -> list[tuple[float, float]]:
        resampler = Resampler(CORE_RATE_HZ, HEARING_RATE_HZ)
        return find_passages(resampler.process(pcm) + resampler.flush(), self._open_detector())
