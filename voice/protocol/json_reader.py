"""Reads JSON, and as much of it as can be checked while other calls wait.

Checking costs microseconds a value, and more for one that is wrong. Without a bound, one event of 24 MB with nothing in
it but names that nobody knows held every call of the process for four seconds.
"""

from typing import Any, Final

import msgspec

MAX_VALUES: Final = 20_000
"""In one event or body: half of it is a hundred tools with a hundred values of schema each. 30 ms at the worst."""

_SHORT: Final = 2 * MAX_VALUES
"""What is no longer than this cannot hold so many: the shortest value is `1,`."""

_MAX_COMMAS: Final = 10 * MAX_VALUES
"""Of all the text, its prose too: more is not even parsed. No model reads so much prose, and base64 has none."""

_decoder: Final = msgspec.json.Decoder()


class UnreadableJson(Exception):
    """What is to follow "it is": not valid, or too large."""


def read_json(text: str | bytes) -> Any:
    """Return the value. Raises: UnreadableJson."""
    if len(text) > _MAX_COMMAS and _commas(text) > _MAX_COMMAS:
        raise _too_large()
    try:
        value = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise UnreadableJson(f"not valid JSON: {error}") from None
    except RecursionError:
        raise UnreadableJson("not valid JSON: it is nested too deep") from None
    if len(text) > _SHORT and isinstance(value, dict | list) and _has_too_many(value):
        raise _too_large()
    return value


def _commas(text: str | bytes) -> int:
    return text.count(",") if isinstance(text, str) else text.count(b",")


def _has_too_many(value: dict[str, Any] | list[Any]) -> bool:
    count, level = 0, [value]
    while level:
        below: list[dict[str, Any] | list[Any]] = []
        for node in level:
            children = node.values() if isinstance(node, dict) else node
            count += len(children)
            if count > MAX_VALUES:
                return True
            below += [child for child in children if isinstance(child, dict | list)]
        level = below
    return False


def _too_large() -> UnreadableJson:
    return UnreadableJson(f"too large: it holds more than {MAX_VALUES} values")
