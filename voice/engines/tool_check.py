"""Checks a tool call before anybody carries it out: against its JSON Schema, and against what was really said.

The grammar already keeps a model to what is allowed; this holds for whatever wrote the call. A call that fails is not
made: the agent talks instead. Pure.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voice.engines.candidates import resolve, type_of
from voice.engines.routing import Offer

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A call that may be made."""

    name: str
    arguments: str
    """Compact JSON text."""


class RefusedCall(ValueError):
    """A call that may not be made; the text says why, for the log."""


def check_call(text: str, offers: Sequence[Offer]) -> CheckedCall:
    """Read `{"name": …, "arguments": {…}}`. Raises: RefusedCall."""
    try:
        loaded = json.loads(text)
    except ValueError:
        raise RefusedCall("not JSON") from None
    name = loaded.get("name") if isinstance(loaded, dict) else None
    offer = next((offer for offer in offers if offer.tool.name == name), None)
    arguments = loaded.get("arguments") if isinstance(loaded, dict) else None
    if offer is None or not isinstance(arguments, dict):
        raise RefusedCall("no tool that may be called now")
    check_schema(arguments, offer.tool.parameters, offer.tool.parameters, "arguments")
    _check_said(arguments, offer)
    return CheckedCall(offer.tool.name, json.dumps(arguments, ensure_ascii=False))


def check_schema(value: Any, schema: Any, root: dict[str, Any], place: str) -> None:
    """Check types, enumerations, bounds, required and unknown members. Raises: RefusedCall naming the place."""
    rules = resolve(schema, root)
    kind = type_of(rules)
    fits = isinstance(value, _TYPES.get(kind, (object,))) and not (isinstance(value, bool) and kind != "boolean")
    if kind and not fits:
        raise RefusedCall(f"{place} is not of type {kind}")
    if "enum" in rules and value not in rules["enum"]:
        raise RefusedCall(f"{place} is none of the allowed values")
    if "const" in rules and value != rules["const"]:
        raise RefusedCall(f"{place} is not the allowed value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = rules.get("minimum", float("-inf")), rules.get("maximum", float("inf"))
        if not low <= value <= high:
            raise RefusedCall(f"{place} is out of bounds")
    if isinstance(value, list):
        for index, entry in enumerate(value):
            check_schema(entry, rules.get("items", {}), root, f"{place}[{index}]")
    if isinstance(value, dict):
        _check_members(value, rules, root, place)


def _check_members(value: dict[str, Any], rules: dict[str, Any], root: dict[str, Any], place: str) -> None:
    properties = rules.get("properties", {})
    for name in rules.get("required", ()):
        if name not in value:
            raise RefusedCall(f"{place}.{name} is missing")
    for name, member in value.items():
        if name in properties:
            check_schema(member, properties[name], root, f"{place}.{name}")
        elif rules.get("additionalProperties") is False:
            raise RefusedCall(f"{place}.{name} is unknown")


def _check_said(arguments: dict[str, Any], offer: Offer) -> None:
    for name, field in offer.candidates.items():
        if name not in arguments or not field.is_grounded:
            continue
        value = arguments[name]
        text = json.dumps(value, ensure_ascii=False)
        spoken = (
            bool(field.phrases) and isinstance(value, str) and offer.said.contains(value) and text not in offer.used
        )
        if text not in field.values and not spoken:
            raise RefusedCall(f"arguments.{name} was not said")
