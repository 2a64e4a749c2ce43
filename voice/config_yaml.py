"""Reads a YAML file and remembers where everything stood, so that an error can name its line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from voice.errors import ConfigError

Loc = Sequence[str | int]
"""A path into the tree, as pydantic gives it: keys, indices, and the tags of unions."""
Place = tuple[int, int]
"""Line and column, counted from 1."""

_NEEDS = "a configuration is made of sections, as in `server:`"


class _NotingConstructor(RoundTripConstructor):
    """Notes the keys that stand twice instead of giving up at the first; the first value holds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.twice: list[tuple[str, Place]] = []

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        if key not in mapping:
            return True
        self.twice.append((str(key), (key_node.start_mark.line + 1, key_node.start_mark.column + 1)))
        return False


class YamlFile:
    """A parsed file: its plain content, and the place of each key and value."""

    def __init__(self, root: CommentedMap | None, name: str, problems: Sequence[ConfigError] = ()) -> None:
        """`root` is None for an empty file; `name` is what errors call it."""
        self.name = name
        self._root = root if root is not None else CommentedMap()
        self.problems = tuple(problems)
        """What is wrong with the text itself and did not keep it from being read: keys that stand twice."""

    @classmethod
    def read(cls, path: Path, name: str | None = None, *, needs: str = _NEEDS) -> "YamlFile":
        """Parse a file. Raises: ConfigError."""
        name = name or str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ConfigError(f"there is no file {name}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read: {error}", path=name) from error
        return cls.parse(text, name, needs=needs)

    @classmethod
    def parse(cls, text: str, name: str, *, needs: str = _NEEDS) -> "YamlFile":
        """Parse a text. `needs` is said where it has no keys. Raises: ConfigError."""
        yaml = YAML(typ="rt")
        yaml.Constructor = _NotingConstructor
        try:
            root = yaml.load(text)
        except MarkedYAMLError as error:
            raise _at_mark(error, name, f"not valid YAML: {error.problem or error.context}") from error
        except YAMLError as error:
            raise ConfigError(f"not valid YAML: {error}", path=name) from error
        if root is not None and not isinstance(root, CommentedMap):
            raise ConfigError(needs, path=name, line=1, column=1)
        return cls(
            root,
            name,
            [
                ConfigError(f"'{key}' stands here a second time", path=name, line=line, column=column)
                for key, (line, column) in yaml.constructor.twice
            ],
        )

    def plain(self) -> dict[str, Any]:
        """Return the content as dicts, lists and scalars."""
        content: dict[str, Any] = _plain(self._root)
        return content

    def has(self, loc: Loc) -> bool:
        """Say whether the file itself holds something at that path."""
        node: Any = self._root
        for part in loc:
            if not isinstance(node, CommentedMap) or part not in node:
                return False
            node = node[part]
        return True

    def key_place(self, loc: Loc) -> Place | None:
        """Return where the key at the end of `loc` stands, or its nearest parent; None when the file has neither."""
        return self._place(loc, of_key=True)

    def value_place(self, loc: Loc) -> Place | None:
        """Return where the value stands, or the key of its nearest parent."""
        return self._place(loc, of_key=False)

    def _place(self, loc: Loc, *, of_key: bool) -> Place | None:
        node: Any = self._root
        place: Place | None = None
        for part in loc:
            if isinstance(node, CommentedMap) and part in node:
                found, value = _key_and_value(node, part)
            elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
                found = value = tuple(node.lc.item(part)[:2])
            else:
                # A union's tag, or a key that is missing: its parent is the place.
                continue
            place = (found if of_key or isinstance(node[part], CommentedMap) else value) or place
            node = node[part]
        return None if place is None else (place[0] + 1, place[1] + 1)


def _key_and_value(node: CommentedMap, key: str | int) -> tuple[Place | None, Place | None]:
    try:
        return tuple(node.lc.key(key)[:2]), tuple(node.lc.value(key)[:2])
    except (KeyError, TypeError):
        return None, None  # merged in by `<<:`, it stands nowhere in this section


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        # ruamel's scalars are subclasses that carry their spelling.
        if isinstance(node, kind):
            return kind(node)
    return node


def _at_mark(error: MarkedYAMLError, name: str, message: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ConfigError(message, path=name)
    return ConfigError(message, path=name, line=mark.line + 1, column=mark.column + 1)
