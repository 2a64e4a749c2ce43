"""The media process's end of the model host: asks it, and hands its answers to whoever waits for them.

    async with ModelHost(HostSettings()) as host:
        text = await host.transcribe(session, pcm_16k)
        async for piece in host.generate(session, prompt, max_tokens=200): ...
        async for pcm_24k in host.speak(session, "Hello.", voice="heart", speed=1.0): ...

Cancelling a call, or closing an iterator, cancels the work in the host: within one token for a generation, one batch
for a prompt, one sentence for speech.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from voice.errors import EngineError, EngineOverloaded
from voice.models.keeper import HostKeeper
from voice.models.settings import HostSettings
from voice.models.wire import (
    Answer,
    Cancel,
    Done,
    Failed,
    Generate,
    Loaded,
    Piece,
    Prefill,
    Release,
    Request,
    Sound,
    Speak,
    Transcribe,
)


@dataclass(frozen=True, slots=True)
class GenerationDone:
    """The last thing a generation yields."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    cached_tokens: int
    """Of the prompt, those that were in the session's cache slot already."""
    output_tokens: int


class ModelHost:
    """The embedded models, shared by all sessions of this process. One event loop."""

    def __init__(self, settings: HostSettings | None = None, *, on_death: Callable[[], None] | None = None) -> None:
        """`on_death` is called on the event loop each time the host process dies unbidden, or hangs and is ended."""
        self._answers: dict[int, asyncio.Queue[Answer | EngineError]] = {}
        self._ids = itertools.count(1)
        self._keeper = HostKeeper(settings or HostSettings(), self._receive, self._fail_all, on_death)

    @property
    def ready(self) -> bool:
        """Whether a request would be served now."""
        return self._keeper.ready

    @property
    def pid(self) -> int | None:
        """The host's process id; None while there is none."""
        return self._keeper.pid

    @property
    def loaded(self) -> Loaded | None:
        """How long the models took to load, and the host's memory then."""
        return self._keeper.loaded

    @property
    def deaths(self) -> int:
        """How often the host process has died unbidden."""
        return self._keeper.deaths

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Start the host; returns when every model is loaded.

        Raises: ModelMissing, ModelDamaged, EngineUnavailable. Then nothing is left running.
        """
        await self._keeper.start()

    async def keep_prompts(self) -> None:
        """Let the prefixes computed so far outlive the service, so that its next start need not compute them.

        To be called before the first caller: prefixes of sessions hold what clients wrote.
        """
        await self._keeper.keep_prompts()

    async def aclose(self) -> None:
        """End the host and wait for its end. Requests under way raise EngineUnavailable. Safe to call twice."""
        await self._keeper.aclose()

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        """Write down 16 kHz PCM.

        A partial gives way to everything that a caller waits for, and returns "" when a newer request of its session
        has overtaken it. Raises: EngineUnavailable, EngineOverloaded, EngineError.
        """
        async with contextlib.aclosing(self._ask(Transcribe(next(self._ids), session, pcm, partial))) as answers:
            async for answer in answers:
                if isinstance(answer, Done):
                    return answer.text
        return ""

    async def prefill(self, session: str, prompt: str) -> None:
        """Work a prompt into the session's cache slot, when nothing more urgent is to do.

        Returns when it is there, or when a newer request of the session has made it pointless. Raises: EngineError.
        """
        async with contextlib.aclosing(self._ask(Prefill(next(self._ids), session, prompt))) as answers:
            async for _ in answers:
                pass

    async def generate(
        self,
        session: str,
        prompt: str,
        *,
        max_tokens: int,
        grammar: str | None = None,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
    ) -> AsyncGenerator[str | GenerationDone, None]:
        """Continue a prompt: yields text as it is made and ends with GenerationDone. Use it under `aclosing`.

        `grammar` is GBNF; text that would complete a string of `stop` is not yielded.
        Raises: EngineUnavailable, EngineOverloaded, EngineError (a prompt beyond the slot, a bad grammar).
        """
        request = Generate(next(self._ids), session, prompt, max_tokens, grammar, tuple(stop), temperature)
        async with contextlib.aclosing(self._ask(request)) as answers:
            async for answer in answers:
                if isinstance(answer, Piece):
                    yield answer.text
                elif isinstance(answer, Done):
                    yield GenerationDone(
                        "length" if answer.reason == "length" else "stop",
                        answer.prompt_tokens,
                        answer.cached_tokens,
                        answer.output_tokens,
                    )

    async def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Say a text: yields 24 kHz PCM in runs of at most 250 ms. Use it under `aclosing`.

        A voice that is not on this machine is replaced by the one of the settings. Raises: as `generate`.
        """
        async with contextlib.aclosing(self._ask(Speak(next(self._ids), session, text, voice, speed))) as answers:
            async for answer in answers:
                if isinstance(answer, Sound):
                    yield answer.pcm

    def release(self, session: str) -> None:
        """The session has ended: its cache slot may go to another."""
        self._keeper.send(Release(session))

    async def _ask(self, request: Request) -> AsyncGenerator[Answer, None]:
        """Send a request and yield its answers up to Done; leaving early cancels it in the host."""
        process = await self._keeper.running()
        answers: asyncio.Queue[Answer | EngineError] = asyncio.Queue()  # bounded by what one request can yield
        self._answers[request.id] = answers
        finished = False
        process.send(request)
        try:
            while not finished:
                answer = await answers.get()
                finished = isinstance(answer, Done | Failed | EngineError)
                if isinstance(answer, EngineError):
                    raise answer
                if isinstance(answer, Failed):
                    raise _error(answer)
                yield answer
        finally:
            del self._answers[request.id]
            if not finished:
                process.send(Cancel(request.id))

    def _receive(self, message: Answer) -> None:
        """Hand an answer to whoever asked; it may have been cancelled meanwhile."""
        if (answers := self._answers.get(message.id)) is not None:
            answers.put_nowait(message)

    def _fail_all(self, error: EngineError) -> int:
        """The host is gone: tell whoever waits for an answer of it, and return how many they are."""
        for answers in self._answers.values():
            answers.put_nowait(error)
        return len(self._answers)


def _error(failed: Failed) -> EngineError:
    if failed.overloaded:
        return EngineOverloaded(failed.message, failed.retry_after_s)
    return EngineError(failed.message)
