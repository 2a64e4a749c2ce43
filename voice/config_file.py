"""Loads the configuration: the file, the environment over it, and the checks that no single field can make."""

import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voice.config import ENGINE_TYPES, Config
from voice.config_engines import ReplaceableConfig, UpstreamConfig
from voice.config_environment import merge, read_overrides
from voice.config_problems import Places, explain, suggest
from voice.config_salvage import Salvaged, salvage
from voice.config_sip import check_callers, check_sip
from voice.config_types import Surroundings
from voice.config_yaml import Loc, YamlFile
from voice.errors import ConfigError, ConfigProblems

DEFAULT_NAME = "config.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it came from."""

    config: Config
    folder: Path
    """Import paths of tools are looked up here first."""
    places: Places
    """For errors that are found later, as in a tool that cannot be imported."""
    path: Path | None = None
    """None: there is no file, the defaults hold."""


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read a configuration. Without `path` it is `config.yaml` of the current folder, or the defaults without one.

    `environ` stands in for the process's environment in tests. Raises: ConfigProblems, ConfigError.
    """
    loaded, problems = examine(path, environ)
    if problems or loaded is None:
        raise ConfigProblems(problems)
    return loaded


def examine(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Loaded | None, list[ConfigError]]:
    """Read a configuration as `load` does, and return what of it is right, and everything that is wrong.

    Raises: ConfigError for a file that cannot be read at all.
    """
    environ = os.environ if environ is None else environ
    if path is None and Path(DEFAULT_NAME).is_file():
        path = Path(DEFAULT_NAME)
    file = YamlFile.read(path) if path else None
    folder = path.resolve().parent if path else Path.cwd()
    tree: dict[str, Any] = file.plain() if file else {}
    # An empty section (`server:` with nothing below) means its defaults.
    tree = _with_engines({key: value for key, value in tree.items() if value is not None})
    overrides, problems = read_overrides(environ, _spelling(tree))
    problems += file.problems if file else ()
    places = Places(file, overrides)
    tree, surroundings = merge(tree, overrides), Surroundings(folder, environ)
    right: Salvaged | None
    try:
        right = Salvaged(Config.model_validate(tree, context=surroundings), frozenset())
    except ValidationError as error:
        problems += explain(error, places, Config)
        right = salvage(tree, surroundings)
    if right is None:
        return None, problems
    config = _with_free_aliases(right.config)
    problems += [places.error(loc, message) for loc, message in _check(config, right.damaged)]
    return Loaded(config, folder, places, path), problems


def _with_free_aliases(config: Config) -> Config:
    """Let an agent take the name that official clients come with, without all aliases being written down."""
    if "aliases" in config.model_fields_set:
        return config
    aliases = {name: engine for name, engine in config.aliases.items() if name not in config.agents}
    return config.model_copy(update={"aliases": aliases})


def _with_engines(tree: dict[str, Any]) -> dict[str, Any]:
    """Add the engines that are always there; one that is called like its type need not repeat it."""
    engines = tree.get("engines", {})
    if not isinstance(engines, dict):
        return tree
    known = {name: {"type": name, **(engines.get(name) or {})} for name in ENGINE_TYPES if _may_fill(engines.get(name))}
    return {**tree, "engines": {**known, **{name: value for name, value in engines.items() if name not in known}}}


def _may_fill(engine: Any) -> bool:
    return engine is None or isinstance(engine, dict)


def _spelling(tree: dict[str, Any]) -> dict[str, Any]:
    return {**{name: {} for name in Config.model_fields}, **tree}


def _check(config: Config, damaged: Container[str]) -> Iterator[tuple[Loc, str]]:
    """Yield what no single field can see: references to nothing, and values that do not fit together.

    Of a damaged section the second is not judged.
    """
    yield from _check_references(config)
    if "server" not in damaged:
        yield from _check_server(config)
    if "sip" not in damaged:
        yield from check_sip(config.sip)


def _check_references(config: Config) -> Iterator[tuple[Loc, str]]:
    for name, agent in config.agents.items():
        if agent.engine not in config.engines:
            yield (
                ("agents", name, "engine"),
                f"there is no engine '{agent.engine}'" + suggest(agent.engine, config.engines),
            )
    for name, engine in config.aliases.items():
        if engine not in config.engines:
            yield ("aliases", name), f"there is no engine '{engine}'" + suggest(engine, config.engines)
        if name in config.agents:
            yield ("aliases", name), f"'{name}' is an agent already"
    yield from _check_fallbacks(config)
    default = config.default_agent
    if default is not None and default not in config.agents and default not in config.aliases:
        yield ("default_agent",), f"there is no agent '{default}'" + suggest(default, [*config.agents, *config.aliases])
    for name, target in config.api.models.items():
        if target not in config.agents and target not in config.aliases:
            hint = suggest(target, [*config.agents, *config.aliases])
            yield ("api", "models", name), f"there is no agent or alias '{target}'" + hint
    yield from check_callers(config.sip, {**config.agents, **config.aliases})


def _check_server(config: Config) -> Iterator[tuple[Loc, str]]:
    ids = [key.id for key in config.server.keys]
    for index, key_id in enumerate(ids):
        if key_id in ids[:index]:
            yield ("server", "keys", index), f"there is a key with the id '{key_id}' already"
    if message := refuse_open_door(config.server.host, config):
        yield ("server", "host"), message


def _check_fallbacks(config: Config) -> Iterator[tuple[Loc, str]]:
    for name, engine in config.engines.items():
        if not isinstance(engine, ReplaceableConfig):
            continue
        for index, other in enumerate(engine.fallback):
            place = ("engines", name, "fallback", index)
            if other not in config.engines:
                yield place, f"there is no engine '{other}'" + suggest(other, config.engines)
            elif other == name:
                yield place, "an engine cannot fall back to itself"


def refuse_open_door(host: str, config: Config) -> str | None:
    """Return why the service must not listen at `host`, or None: without keys only a loopback address will do."""
    server = config.server.model_copy(update={"host": host})
    if server.is_loopback or server.keys:
        return None
    return (
        "without `server.keys` the service listens on this machine only, "
        f"and {host or 'an empty host'} is open to others: set a key, or use 127.0.0.1"
    )


def override(
    loaded: Loaded,
    *,
    host: str | None = None,
    port: int | None = None,
    engine: str | None = None,
    upstream: str | None = None,
) -> Loaded:
    """Return the configuration with what the command line says; `engine` then thinks for every agent and alias.

    `upstream` is the URL of the engine of that name, made or changed. Raises: ConfigError.
    """
    config = loaded.config
    if upstream is not None:
        config = config.model_copy(update={"engines": {**config.engines, "upstream": _upstream(config, upstream)}})
    if engine is not None and engine not in config.engines:
        raise ConfigError("say where it is, as in --upstream ws://127.0.0.1:8081/v1/realtime", path="--engine upstream")
    if host is not None and (message := refuse_open_door(host, config)):
        raise ConfigError(message, path="--host")
    changes = {"host": host, "port": port}
    server = config.server.model_copy(update={key: value for key, value in changes.items() if value is not None})
    config = config.model_copy(update={"server": server})
    if engine is not None:
        agents = {name: agent.model_copy(update={"engine": engine}) for name, agent in config.agents.items()}
        config = config.model_copy(update={"agents": agents, "aliases": dict.fromkeys(config.aliases, engine)})
    return replace(loaded, config=config)


def _upstream(config: Config, url: str) -> UpstreamConfig:
    known = config.engines.get("upstream")
    given = known.model_dump(exclude_unset=True) if isinstance(known, UpstreamConfig) else {"type": "upstream"}
    try:
        return UpstreamConfig.model_validate(given | {"url": url})
    except ValidationError:
        raise ConfigError(f"'{url}' is not the URL of a Realtime server: ws or wss", path="--upstream") from None
