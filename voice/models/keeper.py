"""Keeps a host process running: starts it, loads it, and starts it again when it dies or hangs.

start ──► loading ──► ready ──► died, or hung and ended ──► a pause (`_BACKOFF_S`) ──► loading ──► …
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from voice.errors import EngineError, EngineUnavailable
from voice.models.manifest import find
from voice.models.prefixes import copy_prefixes
from voice.models.process import HostProcess
from voice.models.settings import HostSettings
from voice.models.watchdog import Watchdog
from voice.models.wire import Answer, Beat, Failed, FromHost, Load, Loaded, ToHost

log = structlog.get_logger(__name__)

_RESTART_WAIT_S = 10.0
"""How long a new request waits for a host that is being started again."""
_BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
_HEALTHY_S = 30.0
"""A host that lived this long starts again without a pause."""
_GONE = "The embedded models' process has ended; it is being started again."


class HostKeeper:
    """One host process at a time. Its task ends with `aclose`."""

    def __init__(
        self,
        settings: HostSettings,
        receive: Callable[[Answer], None],
        fail_all: Callable[[EngineError], int],
        on_death: Callable[[], None] | None = None,
    ) -> None:
        """`receive` gets every answer of the host, on the event loop.

        `fail_all` is told when a host is gone with everything that was asked of it, and returns how much that was;
        `on_death` only when it went unbidden.
        """
        self._settings = settings
        self._receive = receive
        self._fail_all = fail_all
        self._on_death = on_death
        self._process: HostProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._watchdog = Watchdog(settings.silent_s, settings.stuck_s)
        self._folder = ""
        self.loaded: Loaded | None = None
        """How long the models took to load, and the host's memory then."""
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

    async def start(self) -> None:
        """Start the host; returns when every model is loaded.

        Raises: ModelMissing, ModelDamaged, EngineUnavailable. Then nothing is left running.
        """
        load = await asyncio.to_thread(_find_models, self._settings)
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
        """Copy the prefixes computed so far to where the next start finds them."""
        store = self._settings.prompt_store
        if store and self._folder:
            await asyncio.to_thread(copy_prefixes, Path(self._folder), Path(store))

    async def aclose(self) -> None:
        """End the host and wait for its end. Safe to call twice."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        await self._end_process()
        if self._folder:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = ""

    def send(self, message: ToHost) -> None:
        """Tell a host that is ready; what another was told is gone with it."""
        if self._process is not None and self.ready:
            self._process.send(message)

    async def running(self) -> HostProcess:
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
            else:
                self._receive(message)

        self._process = await HostProcess.start(receive, nice=self._settings.nice)
        self._process.send(load)
        self.loaded = await self._until_loaded(self._process, loading)
        self._watchdog.begin(time.monotonic())
        self._ready.set()
        log.info("models loaded", pid=self.pid, took_s=round(time.monotonic() - started, 2), **self.loaded.seconds)

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
                log.error("model host died", code=code, deaths=self.deaths, requests=await self._end_process())
                if self._on_death is not None:
                    self._on_death()
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1
            try:
                await self._spawn(load)
            except (EngineError, OSError) as error:
                log.error("model host does not start", error=str(error), attempt=failures)
                await self._end_process()

    async def _end_process(self) -> int:
        """End the process, if there is one; return how many requests are lost with it."""
        self._ready.clear()
        process, self._process = self._process, None
        lost = self._fail_all(EngineUnavailable(_GONE))
        if process is not None:
            await process.end()
        return lost


def _find_models(settings: HostSettings) -> Load:
    """Raises: ModelMissing, ModelDamaged."""
    if settings.scripted is not None:
        return Load(settings)
    lanes = settings.lanes
    if "text-to-speech" in lanes:
        find("hibari")
    return Load(
        settings,
        speech_to_text=str(find(settings.speech_to_text)) if "speech-to-text" in lanes else "",
        language_model=str(find(settings.language_model)) if "language-model" in lanes else "",
    )
