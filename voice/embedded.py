"""The embedded models as the service sees them: not there yet, missing, there, or being started again."""

import asyncio
import itertools
from collections.abc import Sequence

import structlog

from voice.errors import EngineError, EngineUnavailable, ModelError
from voice.models.client import ModelHost
from voice.models.settings import HostSettings

_log = structlog.get_logger(__name__)

LOOK_AGAIN_S = (2.0, 5.0, 10.0, 30.0)
"""When missing files are looked for again: after `voice models fetch` the service need not be restarted."""


class EmbeddedModels:
    """Loads the model host in the background and says meanwhile, in one sentence, why nothing can be asked of it."""

    def __init__(self, settings: HostSettings) -> None:
        """Nothing is started before `load`."""
        self._settings = settings
        self.prompts: Sequence[str] = ()
        """What sessions begin with; set before `load`, so that nobody who calls waits for it."""
        self._host: ModelHost | None = None
        self._obstacle: str | None = "The models are still being loaded."

    @property
    def obstacle(self) -> str | None:
        """Why a session cannot be served now, or None."""
        if self._host is not None and not self._host.ready:
            return "The models are being started again."
        return self._obstacle

    def require(self) -> ModelHost:
        """Return the host. Raises: EngineUnavailable before it has been loaded."""
        if self._host is None:
            raise EngineUnavailable(self._obstacle or "The models are not loaded.")
        return self._host  # one that is being started again keeps its callers waiting by itself

    async def load(self) -> None:
        """Return once the models are loaded. Missing files are named in the log once and waited for."""
        for attempt in itertools.count():
            host = ModelHost(self._settings)
            try:
                await self._start(host)
            except ModelError as error:
                self._note(f"{error} Type: {error.command}")
            except EngineError as error:
                self._note(error.message)
            except OSError as error:  # no room for the prompts' folder, no process to be had
                self._note(f"The models cannot be started: {error.strerror or error}.")
            else:
                self._host, self._obstacle = host, None
                return
            await asyncio.sleep(LOOK_AGAIN_S[min(attempt, len(LOOK_AGAIN_S) - 1)])

    async def aclose(self) -> None:
        """End the host process."""
        if self._host is not None:
            await self._host.aclose()

    async def _start(self, host: ModelHost) -> None:
        """Start a host, and leave none behind when that fails or is given up."""
        try:
            await host.start()
            await self._warm(host)
        except BaseException:
            await host.aclose()
            raise

    async def _warm(self, host: ModelHost) -> None:
        """Have the agents' prompts in the cache, from the last run's where they are the same (7 s each else).

        What fails here costs the first caller time, and nobody the service.
        """
        try:
            for prompt in dict.fromkeys(self.prompts):
                await host.prefill("warm-up", prompt)
            if self.prompts:
                host.release("warm-up")
                await host.keep_prompts()
        except (EngineError, OSError) as error:
            _log.warning("prompts_not_warmed", reason=str(error))

    def _note(self, obstacle: str) -> None:
        if obstacle != self._obstacle:
            _log.error("models_unavailable", reason=obstacle)
        self._obstacle = obstacle
