"""Where sessions get their engines: one source for each entry under `engines:` that somebody answers with."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from hashlib import sha256

import structlog

from voice.config import Config
from voice.config_engines import CascadeConfig, RemoteServer, ReplaceableConfig, ScriptedConfig, UpstreamConfig
from voice.embedded import EmbeddedModels
from voice.engines.breaker import Breaker
from voice.engines.cascade import CascadeEngine, CascadeOptions
from voice.engines.port import Engine, SessionRef
from voice.engines.remote_cascade import RemoteCascadeEngine
from voice.engines.resilient import Patience, ResilientEngine
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.engines.scripted_translator import ScriptedTranslator
from voice.engines.standby import Standby
from voice.engines.succession import Incident
from voice.engines.translator import Translator
from voice.engines.upstream import UpstreamEngine
from voice.prices import CostBook
from voice.remote.api import Api, Pool, Server
from voice.remote.listening import RemoteListening
from voice.remote.mixed import MixedModels
from voice.remote.options import LanguageOptions, ListeningOptions, SpeakingOptions
from voice.remote.retry import RetryPolicy
from voice.remote.speaking import RemoteSpeaking
from voice.remote.thinking import RemoteThinking
from voice.upstream.options import UpstreamOptions
from voice.upstream.translator import UpstreamTranslator
from voice.upstream.trial import find_obstacle, shown_address

_log = structlog.get_logger(__name__)

_SERVER_FIELDS = set(RemoteServer.model_fields) - {"model"}


@dataclass(frozen=True, slots=True)
class EngineSource:
    """What makes the engines of one entry."""

    make: Callable[[SessionRef], Engine]
    """Raises: EngineUnavailable."""
    problem: Callable[[], str | None] = lambda: None
    """Why it would raise now."""
    make_translator: Callable[[SessionRef], Translator] | None = None
    """None: this engine does not translate."""
    detects_turns: bool = False
    """It finds the caller's turns itself."""


class EngineSources:
    """Builds them from the configuration."""

    def __init__(
        self,
        config: Config,
        scripts: Mapping[str, Script],
        models: EmbeddedModels | None,
        pool: Pool,
        costs: CostBook,
        note: Callable[[str, Incident], None] = lambda _engine, _what: None,
    ) -> None:
        """`models` is None where no engine in use needs them; `pool` holds the connections to servers.

        `costs` has the meters of the sessions; `note` is told what goes wrong with engines, by their names.
        """
        self._costs = costs
        self._config = config
        self._scripts = scripts
        self._models = models
        self._pool = pool
        self._note = note
        self._breakers: dict[str, Breaker] = {}

    def source(self, name: str) -> EngineSource:
        """Return the source of an entry. An upstream comes with those it falls back to."""
        config = self._config.engines[name]
        if isinstance(config, UpstreamConfig):
            return EngineSource(
                self._resilient(name, config),
                make_translator=self._translator(config),
                detects_turns=config.turns == "upstream",
            )
        if isinstance(config, CascadeConfig) and config.is_replaceable:
            return EngineSource(self._resilient(name, config), self._cascade(config).problem)
        return self._plain(name)

    def _plain(self, name: str) -> EngineSource:
        config = self._config.engines[name]
        if isinstance(config, UpstreamConfig):
            raise TypeError("an upstream is made for a session")
        if isinstance(config, ScriptedConfig):
            script = self._scripts.get(name, Script())
            spoken = script.translation
            return EngineSource(
                lambda _: ScriptedEngine(script),
                make_translator=(lambda _: ScriptedTranslator(spoken)) if spoken is not None else None,
            )
        return self._cascade(config)

    def _resilient(self, name: str, config: ReplaceableConfig) -> Callable[[SessionRef], Engine]:
        patience = Patience(
            words_after_s=config.words_after_s,
            words=config.words,
            give_up_s=config.give_up_s,
            apology=config.apology,
            retries=RetryPolicy(attempts=config.attempts, base_s=0.2, longest_s=1.0),
        )
        others = [(each, self._maker(each)) for each in (name, *config.fallback)]

        def make(session: SessionRef) -> Engine:
            standbys = [
                Standby(
                    each,
                    partial(maker, session),
                    self._breakers.setdefault(each, Breaker()),
                    speaks_alone=not isinstance(self._config.engines[each], UpstreamConfig),
                )
                for each, maker in others
            ]
            return ResilientEngine(standbys, patience, note=self._note)

        return make

    def _translator(self, config: UpstreamConfig) -> Callable[[SessionRef], Translator]:
        options, costs = upstream_options(config), self._costs

        def make(session: SessionRef) -> Translator:
            return UpstreamTranslator(
                options,
                safety_identifier=_identifier(config, session),
                on_heard=lambda heard_s: costs.meter(session.id).add_listening(config.translation_model, heard_s),
            )

        return make

    def _maker(self, name: str) -> Callable[[SessionRef], Engine]:
        config = self._config.engines[name]
        if not isinstance(config, UpstreamConfig):
            return self._plain(name).make
        options, note, costs = upstream_options(config), self._note, self._costs
        model = config.model or name

        def make(session: SessionRef) -> Engine:
            return UpstreamEngine(
                options,
                safety_identifier=_identifier(config, session),
                on_rotated=lambda why: note(name, why),
                on_usage=lambda usage: costs.meter(session.id).add_tokens(model, usage),
                on_heard=lambda heard_by, seconds: costs.meter(session.id).add_listening(heard_by, seconds),
            )

        return make

    def _cascade(self, config: CascadeConfig) -> EngineSource:
        options = CascadeOptions(**config.model_dump(include={field.name for field in fields(CascadeOptions)}))
        models, embedded = self._mixed(config), self._models if config.lanes else None

        def problem() -> str | None:
            return embedded.obstacle if embedded is not None else None

        llm = config.llm
        if llm is None:
            slot_tokens = self._config.models.context_tokens
            return EngineSource(
                lambda session: CascadeEngine(models(), session.id, options, slot_tokens=slot_tokens), problem
            )
        language = LanguageOptions(**llm.model_dump(exclude=_SERVER_FIELDS))
        api, costs = self._api(llm), self._costs

        def make(session: SessionRef) -> Engine:
            thinking = RemoteThinking(api, language, costs.meter(session.id))
            return RemoteCascadeEngine(
                models(), thinking, session.id, options, sees_images=llm.sees_images, speculates=config.speculates
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


async def try_upstreams(config: Config) -> None:
    """Try every upstream that somebody answers with, and log those with which no session can be had."""
    async with asyncio.TaskGroup() as trials:
        for name, engine in upstreams_used(config):
            trials.create_task(_try(name, engine), name=f"try {name}")


def upstreams_used(config: Config) -> Iterator[tuple[str, UpstreamConfig]]:
    """Yield the upstreams that agents and aliases name, and that those fall back to."""
    for name in config.engines_used:
        engine = config.engines.get(name)
        if isinstance(engine, UpstreamConfig):
            yield name, engine


async def _try(name: str, engine: UpstreamConfig) -> None:
    try:
        obstacle = await find_obstacle(upstream_options(engine))
    except Exception:  # noqa: BLE001 - the boundary of a task
        _log.exception("an upstream could not be tried out", engine=name)
        return
    if obstacle is not None:
        _log.warning(
            "an upstream serves no session",
            engine=name,
            address=shown_address(engine.url),
            cause=obstacle,
            meanwhile=f"{' or '.join(engine.fallback)} answers" if engine.fallback else "callers hear an apology",
        )


def _identifier(config: UpstreamConfig, session: SessionRef) -> str | None:
    """Return whom the upstream is told that it serves: whom the client named, or nobody but this session."""
    if not config.safety_identifier:
        return None
    return session.safety_identifier or sha256(session.id.encode()).hexdigest()[:32]


def upstream_options(config: UpstreamConfig) -> UpstreamOptions:
    """Return an entry of the configuration as the engine takes it."""
    return UpstreamOptions(
        url=config.url,
        model=config.model,
        key=config.key.get_secret_value() if config.key is not None else None,
        key_header=config.key_header,
        headers=config.all_headers,
        query=config.query,
        turns=config.turns,
        voice=config.voice,
        transcription_model=config.transcription_model,
        translation_model=config.translation_model,
        tools=config.tools,
        session=config.session,
        connect_s=config.connect_s,
        answer_s=config.answer_s,
        next_s=config.next_s,
        tool_s=config.tool_s,
        session_max_s=config.session_max_minutes * 60,
        rotate_before_s=config.rotate_before_s,
    )
