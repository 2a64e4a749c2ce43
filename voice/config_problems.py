"""Turns what pydantic found wrong into one sentence each, with its place and a suggestion."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from voice.config_environment import Override
from voice.config_types import HIDDEN
from voice.config_yaml import Loc, YamlFile
from voice.errors import ConfigError

_EXPECTED = {
    "finite": "a number is expected",
    "path": "text is expected",
    "int": "a whole number is expected",
    "float": "a number is expected",
    "bool": "true or false is expected",
    "string": "text is expected",
    "model": "a section with keys of its own is expected",
    "dict": "a section with keys of its own is expected",
    "list": "a list is expected",
    "tuple": "a list is expected",
}
"""By the first word of pydantic's error type."""

_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


class Places:
    """Knows where each value of the merged tree came from."""

    def __init__(self, file: YamlFile | None, overrides: Iterable[Override] = ()) -> None:
        """`file` is None when there is no configuration file."""
        self._file = file
        self._overrides = tuple(overrides)

    def error(self, loc: Loc, message: str, *, at_key: bool = False) -> ConfigError:
        """Return an error at that place of the tree; a value of the environment is named by its variable."""
        for override in self._overrides:
            if _leads_to(override.path, loc) or (override.path[: len(loc)] == tuple(loc) and not self._in_file(loc)):
                return ConfigError(message, path=override.variable)
        if self._file is None:
            return ConfigError(message, path=".".join(str(part) for part in loc) or None)
        place = self._file.key_place(loc) if at_key else self._file.value_place(loc)
        line, column = place or (1, 1)
        return ConfigError(message, path=self._file.name, line=line, column=column)

    def _in_file(self, loc: Loc) -> bool:
        return self._file is not None and self._file.has(loc)


def explain(error: ValidationError, places: Places, root: type[BaseModel]) -> Iterator[ConfigError]:
    """Yield one error for each thing that is wrong, in the order of the tree, whose model is `root`."""
    for detail in error.errors(include_url=False):
        loc = detail["loc"]
        key = str(loc[-1]) if loc else "configuration"
        kind = detail["type"]
        if kind == "extra_forbidden":
            yield places.error(loc, f"unknown key '{key}'" + suggest(key, _keys_at(root, loc[:-1])), at_key=True)
        elif kind == "missing":
            yield places.error(loc, f"'{key}' is missing", at_key=True)
        elif kind == "invalid_key" or key == "[key]":
            yield places.error(loc[:-1], f"the name {_shown(detail)} is not text: put it in quotes")
        elif kind.startswith("union_tag"):
            yield places.error((*loc, "type"), _wrong_tag(detail))
        else:
            yield places.error(loc, f"{_named(loc)}: {_in_words(detail)}")


def suggest(word: str, words: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest of `words`, else their list when it is short, else nothing."""
    words = list(words)
    known = f"; known here: {', '.join(words)}" if 0 < len(words) <= 12 else ""
    return _near(word, words) or known


def _near(word: str, words: list[str]) -> str:
    near = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def _keys_at(root: type[BaseModel], loc: Loc) -> list[str]:
    """Return the keys that the section at that path knows."""
    node: Any = root
    for part in loc:
        node = _step(node, part)
    if options := _union(node):
        node = options[0]
    return list(node.model_fields) if _is_section(node) else []


def _step(annotation: Any, part: str | int) -> Any:
    annotation = _bare(annotation)
    if _is_section(annotation):
        field = annotation.model_fields.get(part)
        return field.annotation if field else None
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) in (tuple, list):
        return get_args(annotation)[0]
    if options := _union(annotation):
        for option in options:
            tag = option.model_fields.get("type") if _is_section(option) else None
            if (tag is not None and part in get_args(tag.annotation)) or part == getattr(option, "__name__", None):
                return option
        sections = [option for option in options if _is_section(option)]
        return _step(sections[0], part) if sections else None
    return None


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def _union(annotation: Any) -> list[Any]:
    """Return what a value may be; of a union in a union, as of tagged sections or None, its options."""
    origin = get_origin(annotation)
    if origin is Union or getattr(origin, "__name__", "") == "UnionType":
        options = [_bare(option) for option in get_args(annotation) if option is not type(None)]
        return [inner for option in options for inner in _union(option) or [option]]
    return []


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _leads_to(path: tuple[str, ...], loc: Loc) -> bool:
    rest = list(path)
    for part in loc:  # the tags of unions stand in pydantic's paths, never in ours
        if rest and rest[0] == part:
            rest.pop(0)
    return not rest


def _named(loc: Loc) -> str:
    names = [str(part) for part in loc if isinstance(part, str)]
    return names[-1] if names else "configuration"


def _in_words(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    given = _shown(detail)
    if kind == "config":
        return str(context["reason"])
    if kind == "literal_error":
        options = [option.strip(" '") for option in str(context["expected"]).replace(" or ", ", ").split(",")]
        return f"{given} is not one of {', '.join(options)}{_near(str(detail['input']), options)}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}, not {given}"
    if kind == "string_too_short":
        return "cannot be empty"
    if kind == "string_pattern_mismatch":
        # The fields with a pattern are addresses of servers, and words that must not be blank.
        return f"{given} is not the URL of a server" if "://" in context["pattern"] else "cannot be empty"
    expected = _EXPECTED.get(kind.split("_")[0])
    return f"{expected}, not {given}" if expected else detail["msg"]


def _wrong_tag(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_not_found":
        return "'type' is missing: cascade, scripted or upstream"
    options = [option.strip(" '") for option in str(context.get("expected_tags", "")).split(",")]
    tag = str(context.get("tag", ""))
    return f"type: '{tag}' is not one of {', '.join(options)}{_near(tag, options)}"


def _shown(detail: ErrorDetails) -> str:
    if {"key", "keys", "secret", "credentials", "headers"} & set(detail["loc"]):
        return HIDDEN  # an error text must not give a secret away
    value = detail["input"]
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    return f"'{value}'" if isinstance(value, str) else str(value)
