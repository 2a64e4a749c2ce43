"""The media process's end of the model host: starts it, asks it, and starts it again when it dies or hangs.

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
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import structlog

from voice.errors import EngineError, EngineOverloaded, EngineUnavailable
from voice.models.manifest import find
from voice.models.prefixes import copy_prefixes
from voice.models.process import HostProcess
from voice.models.settings import HostSettings
from voice.models.watchdog import Watchdog
from voice.models.wire import (
    Beat,
    Cancel,
    Done,
    Failed,
    FromHost,
    Generate,
    Load,
    Loaded,
    Piece,
    Prefill,
    Release,
    Request,
    Sound,
    Speak,
    Transcribe,
)

log = structlog.get_logger(__name__)

_RESTART_WAIT_S = 10.0
"""How long a new request waits for a host that is being started again."""
_BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_HEALTHY_S = 30.0
"""A host that lived this long starts again without a pause."""
_GONE = "The embedded models' process has ended; it is being started again."


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
        self._settings = settings or HostSettings()
        self._on_death = on_death
        self._process: HostProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._answers: dict[int, asyncio.Queue[FromHost | EngineError]] = {}
        self._ids = itertools.count(1)
        self._loaded: Loaded | None = None
        self._folder = ""
        self._closed = False
        self._watchdog = Watchdog(self._settings.silent_s, self._settings.stuck_s)
        self.deaths = 0
        """How often the host process has died unbidden."""

    @property
    def ready(self) -> bool:
        """Whether a request would be served now."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The host's process id; None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def loaded(self) -> Loaded | None:
        """How long the models took to load, and the host's memory then."""
        return self._loaded

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
        load = await asyncio.to_thread(self._find_models)
        self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="voice-prompts-")
        if load.settings.prompt_store:
            await asyncio.to_thread(copy_prefixes, Path(load.settings.prompt_store), Path(self._folder))
        load = Load(replace(load.settings, prompt_cache_dir=self._folder), load.speech_to_text, load.language_model)
        try:
            await self._spawn(load)
        except BaseException:
            await self.aclose()
            raise
        self._supervisor = asyncio.create_task(self._supervise(load), name="model-host")

    async def keep_prompts(self) -> None:
        """Let the prefixes computed so far outlive the service, so that its next start need not compute them.

        To be called before the first caller: prefixes of sessions hold what clients wrote.
        """
        store = self._settings.prompt_store
        if store and self._folder:
            await asyncio.to_thread(copy_prefixes, Path(self._folder), Path(store))

    async def aclose(self) -> None:
        """End the host and wait for its end. Requests under way raise EngineUnavailable. Safe to call twice."""
        self._closed = True
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._end_process()
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = ""

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
        if self._process is not None and self.ready:
            self._process.send(Release(session))

    async def _ask(self, request: Request) -> AsyncGenerator[FromHost, None]:
        """Send a request and yield its answers up to Done; leaving early cancels it in the host."""
        process = await self._running()
        answers: asyncio.Queue[FromHost | EngineError] = asyncio.Queue()  # bounded by what one request can yield
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

    async def _running(self) -> HostProcess:
        """Wait for a host that can be asked. Raises: EngineUnavailable."""
        if not self.ready:
            if self._supervisor is None:
                raise EngineUnavailable("The embedded models are not running.")
            try:
                async with asyncio.timeout(_RESTART_WAIT_S):
                    await self._ready.wait()
            except TimeoutError:
                raise EngineUnavailable(_GONE) from None
        if self._process is None:
            raise EngineUnavailable(_GONE)
        return self._process

    def _find_models(self) -> Load:
        if self._settings.scripted is not None:
            return Load(self._settings)
        settings, lanes = self._settings, self._settings.lanes
        if "text-to-speech" in lanes:
            find("hibari")
        return Load(
            settings,
            speech_to_text=str(find(settings.speech_to_text)) if "speech-to-text" in lanes else "",
            language_model=str(find(settings.language_model)) if "language-model" in lanes else "",
        )

    async def _spawn(self, load: Load) -> None:
        """Start a process and wait until it has loaded. Raises: EngineUnavailable."""
        started = time.monotonic()
        loading: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()

        def receive(message: FromHost) -> None:
            if isinstance(message, Beat):
                self._watchdog.note_beat(message.without_progress_s, time.monotonic())
            elif isinstance(message, Loaded):
                if not loading.done():
                    loading.set_result(message)
            elif isinstance(message, Failed) and message.id == 0:
                if not loading.done():
                    loading.set_exception(EngineUnavailable(message.message))
            elif message.id in self._answers:
                self._answers[message.id].put_nowait(message)

        self._process = await HostProcess.start(receive, nice=self._settings.nice)
        self._process.send(load)
        self._loaded = await self._until_loaded(self._process, loading)
        self._watchdog.begin(time.monotonic())
        self._ready.set()
        log.info("models loaded", pid=self.pid, took_s=round(time.monotonic() - started, 2), **self._loaded.seconds)

    async def _until_loaded(self, process: HostProcess, loading: asyncio.Future[Loaded]) -> Loaded:
        def ended(waiting: asyncio.Task[int]) -> None:
            if not loading.done():
                loading.set_exception(EngineUnavailable("The embedded models' process ended while it loaded."))

        waiting = asyncio.create_task(process.wait(), name="model-host-loading")
        waiting.add_done_callback(ended)
        try:
            async with asyncio.timeout(self._settings.load_timeout_s):
                return await loading
        except TimeoutError:
            raise EngineUnavailable("The embedded models took too long to load.") from None
        finally:
            waiting.remove_done_callback(ended)
            waiting.cancel()

    async def _supervise(self, load: Load) -> None:
        """Start the host again whenever it dies."""
        failures = 0
        while True:
            process = self._process
            if process is not None and self.ready:
                began = time.monotonic()
                code = await process.wait_watched(self._watchdog, self._settings.beat_s)
                if time.monotonic() - began > _HEALTHY_S:
                    failures = 0
                self.deaths += 1
                log.error("model host died", code=code, deaths=self.deaths, requests=len(self._answers))
                await self._end_process()
                if self._on_death is not None:
                    self._on_death()
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1
            try:
                await self._spawn(load)
            except (EngineError, OSError) as error:
                log.error("model host does not start", error=str(error), attempt=failures)
                await self._end_process()

    async def _end_process(self) -> None:
        """End the process, if there is one, and whoever waits for its answers."""
        self._ready.clear()
        process, self._process = self._process, None
        for answers in self._answers.values():
            answers.put_nowait(EngineUnavailable(_GONE))
        if process is not None:
            await process.end()


def _error(failed: Failed) -> EngineError:
    if failed.overloaded:
        return EngineOverloaded(failed.message, failed.retry_after_s)
    return EngineError(failed.message)
