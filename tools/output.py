"""Turns what a tool returned into the words that a model reads."""

from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from tools.errors import ToolsError


class OutputUnserialisable(ToolsError):
    """A tool returned what cannot be written as JSON."""


def render(value: Any, max_bytes: int) -> str:
    """Return a string as it is, None as `done`, and anything else as JSON (models, dataclasses, dicts, dates …).

    At most `max_bytes` of UTF-8, the note about what was cut included. Raises: OutputUnserialisable.
    """
    if value is None:
        return "done"
    if isinstance(value, str):
        # A lone surrogate would break the encoding of the event that carries it.
        return cut(value.encode("utf-8", "replace"), max_bytes)
    try:
        encoded = to_json(value, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise OutputUnserialisable(f"it returned a {type(value).__name__} that cannot be written as JSON") from error
    return cut(encoded, max_bytes)


def cut(text: bytes, max_bytes: int) -> str:
    """Return UTF-8 text, cut at a whole character and with a note, so that a model knows that there was more."""
    if len(text) <= max_bytes:
        return text.decode()
    note = f"\n[The output was cut here: it has {len(text)} bytes, and a tool may return {max_bytes}.]"
    return text[: max_bytes - len(note)].decode("utf-8", "ignore") + note
