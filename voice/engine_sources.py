"""Where sessions get their engines: one source for each entry under `engines:` that somebody answers with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from voice.config import Config
from voice.config_engines import CascadeConfig, RemoteServer, ScriptedConfig
from voice.embedded import EmbeddedModels
from voice.engines.cascade import CascadeEngine, CascadeOptions
from voice.engines.port import Engine
from voice.engines.remote_cascade import RemoteCascadeEngine
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.prices import CostBook
from voice.remote.api import Api, Pool, Server
from voice.remote.listening import RemoteListening
from voice.remote.mixed import MixedModels
from voice.remote.options import LanguageOptions, ListeningOptions, SpeakingOptions
from voice.remote.retry import RetryPolicy
from voice.remote.speaking import RemoteSpeaking
from voice.remote.thinking import RemoteThinking

_SERVER_FIELDS = set(RemoteServer.model_fields) - {"model"}


@dataclass(frozen=True, slots=True)
class EngineSource:
    """What makes the engines of one entry."""

    make: Callable[[str], Engine]
    """Takes the session's id. Raises: EngineUnavailable."""
    problem: Callable[[], str | None] = lambda: None
    """Why it would raise now."""


class EngineSources:
    """Builds them from the configuration."""

    def __init__(
        self, config: Config, scripts: Mapping[str, Script], models: EmbeddedModels | None, pool: Pool, costs: CostBook
    ) -> None:
        """`models` is None where no engine in use needs them; `pool` holds the connections to servers.

        `costs` has the meters of the sessions.
        """
        self._costs = costs
        self._config = config
        self._scripts = scripts
        self._models = models
        self._pool = pool

    def source(self, name: str) -> EngineSource:
        """Return the source of an entry."""
        config = self._config.engines[name]
        if isinstance(config, ScriptedConfig):
            script = self._scripts.get(name)
            return EngineSource(lambda _session_id: ScriptedEngine(script))
        return self._cascade(config)

    def _cascade(self, config: CascadeConfig) -> EngineSource:
        parts = {"type", "llm", "stt", "tts", "speculates"}
        options = CascadeOptions(**config.model_dump(exclude=parts))
        models, embedded = self._mixed(config), self._models if config.lanes else None

        def problem() -> str | None:
            return embedded.obstacle if embedded is not None else None

        llm = config.llm
        if llm is None:
            return EngineSource(lambda session_id: CascadeEngine(models(), session_id, options), problem)
        language = LanguageOptions(**llm.model_dump(exclude=_SERVER_FIELDS))
        api, costs = self._api(llm), self._costs

        def make(session_id: str) -> Engine:
            thinking = RemoteThinking(api, language, costs.meter(session_id))
            return RemoteCascadeEngine(
                models(), thinking, session_id, options, sees_images=llm.sees_images, speculates=config.speculates
            )

        return EngineSource(make, problem)

    def _mixed(self, config: CascadeConfig) -> Callable[[], MixedModels]:
        """Return what gives the models; it raises EngineUnavailable while an embedded one is not there."""
        stt, tts = config.stt, config.tts
        listening = speaking = None
        if stt is not None:
            heard = ListeningOptions(**stt.model_dump(exclude=_SERVER_FIELDS))
            listening = RemoteListening(self._api(stt), heard, self._costs.meter)
        if tts is not None:
            spoken = SpeakingOptions(**tts.model_dump(exclude=_SERVER_FIELDS))
            speaking = RemoteSpeaking(self._api(tts), spoken, self._costs.meter)
        embedded = self._models if config.lanes else None

        def models() -> MixedModels:
            host = embedded.require() if embedded is not None else None
            return MixedModels((lambda: host) if host is not None else None, listening=listening, speaking=speaking)

        return models

    def _api(self, config: RemoteServer) -> Api:
        key = config.key.get_secret_value() if config.key is not None else None
        server = Server(config.url, key, config.all_headers, config.query)
        return Api(self._pool, server, RetryPolicy(attempts=config.attempts))
