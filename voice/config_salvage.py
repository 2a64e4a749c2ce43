"""Leaves out of a configuration what is wrong in it, so that the rest can be looked at as well."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from voice.config import Config
from voice.config_types import Surroundings
from voice.config_yaml import Loc

_ROUNDS = 20
"""What is left out can make its section incomplete, which is left out in the next round."""

_STAND_INS: dict[str, Any] = {"agents": {}, "engines": {"type": "scripted"}, "aliases": "scripted"}
"""What keeps the name of something that is left out, so that nobody who refers to it is told that it is not there."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What is right."""

    config: Config
    damaged: frozenset[str]
    """The sections from which something was taken: how their values fit together says nothing any more."""


def salvage(tree: dict[str, Any], surroundings: Surroundings) -> Salvaged | None:
    """Return what is left of a tree without its mistakes; None where nothing sensible is. The tree stays as it is."""
    rest = deepcopy(tree)
    damaged: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            return Salvaged(Config.model_validate(rest, context=surroundings), frozenset(damaged))
        except ValidationError as error:
            taken = {_path_to_take(rest, detail) for detail in error.errors(include_url=False)}
        if any(len(path) < 2 and (not path or path[0] in _STAND_INS) for path in taken):
            return None  # whose names are gone as well
        for path in taken:
            _take(rest, path)
        damaged |= {str(path[0]) for path in taken}
    return None


def _path_to_take(tree: dict[str, Any], detail: ErrorDetails) -> Sequence[Any]:
    """Return the keys that lead to the mistake; a list with one goes as a whole, so that no index changes."""
    path: list[Any] = []
    node: Any = tree
    loc: Loc = detail["loc"]
    for part in loc:
        if not isinstance(node, dict):
            break
        key = next((key for key in node if key == part or str(key) == part), None)
        if key is not None:  # else it is a union's tag, or a key that is missing
            path.append(key)
            node = node[key]
    return tuple(path)


def _take(tree: dict[str, Any], path: Sequence[Any]) -> None:
    node: Any = tree
    for key in path[:-1]:
        node = node.get(key)
        if not isinstance(node, dict):
            return  # another mistake took its section
    if len(path) == 2 and path[0] in _STAND_INS and isinstance(path[1], str):
        node[path[1]] = deepcopy(_STAND_INS[path[0]])
    else:
        node.pop(path[-1], None)
