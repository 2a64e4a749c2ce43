"""Environment overrides: `VOICE__SERVER__PORT=9000` sets `server.port`; lists and objects are written as JSON.

Read here and not by pydantic-settings, because an error has to name its variable, an unknown section has to be
an error, and the names of agents and engines have to match whatever their case and hyphens.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voice.errors import ConfigError

PREFIX = "VOICE__"
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Override:
    """One variable and what it sets."""

    variable: str
    path: tuple[str, ...]
    value: Any


def read_overrides(environ: Mapping[str, str], tree: Mapping[str, Any]) -> tuple[list[Override], list[ConfigError]]:
    """Return what the environment sets, deepest last, and what of it cannot be read.

    `tree` is the file's content, for the spelling of names.
    """
    overrides, problems = [], []
    for variable in sorted(environ):
        if variable.upper().startswith(PREFIX):
            path = _spelled(variable[len(PREFIX) :].split(SEPARATOR), tree)
            try:
                overrides.append(Override(variable, path, _value(variable, environ[variable])))
            except ConfigError as error:
                problems.append(error)
    return sorted(overrides, key=lambda override: len(override.path)), problems


def merge(tree: dict[str, Any], overrides: list[Override]) -> dict[str, Any]:
    """Return the tree with the overrides in it; the tree itself is not changed."""
    for override in overrides:
        tree = _set(tree, override.path, override.value)
    return tree


def _set(tree: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    branch = dict(tree) if isinstance(tree, dict) else {}
    key, rest = path[0], path[1:]
    branch[key] = _set(branch.get(key), rest, value) if rest else value
    return branch


def _spelled(parts: list[str], tree: Any) -> tuple[str, ...]:
    path = []
    for part in parts:
        names = tree if isinstance(tree, Mapping) else {}
        name = next((name for name in names if _plain_name(str(name)) == _plain_name(part)), part.lower())
        tree = names.get(name)
        path.append(name)
    return tuple(path)


def _plain_name(name: str) -> str:
    return name.lower().replace("-", "_")


def _value(variable: str, text: str) -> Any:
    if text == "null":
        return None
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"not valid JSON: {error}", path=variable) from error
