"""Checks what MCP servers and models say against JSON Schemas that nobody vouches for.

A whole validator would follow references, combine alternatives and run regular expressions that the server wrote, and
a server that means ill can make each of them take for ever while every session of the process waits. What is checked
here is what calls go wrong by (types, required and unknown names, enumerations), in time that grows with the value
alone; the server checks its arguments anyway.
"""

from typing import Any

from pydantic_core import from_json, to_json

from tools.errors import ArgumentsInvalid

MAX_ARGUMENT_BYTES = 64 * 1024
MAX_DEPTH = 32
"""Of schemas and of values; more is refused."""

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "null": (type(None),),
}


def schema_fault(schema: Any, max_bytes: int) -> str | None:
    """Say why a schema is of no use as a tool's parameters; None when it is."""
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return "its parameters are not an object"
    if not isinstance(schema.get("properties", {}), dict) or not isinstance(schema.get("required", []), list):
        return "its schema is malformed"
    if _is_deeper(schema, MAX_DEPTH):
        return "its schema is nested too deep"
    if len(to_json(schema)) > max_bytes:
        return f"its schema is longer than {max_bytes} bytes"
    return None


def read_arguments(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments that a model wrote. Raises: ArgumentsInvalid, in words that it can mend its call by."""
    if len(text) > MAX_ARGUMENT_BYTES:
        raise ArgumentsInvalid(f"the arguments are longer than {MAX_ARGUMENT_BYTES} bytes")
    try:
        # Models write nothing at all when there is nothing to say.
        values = from_json(text if text.strip() else "{}", allow_inf_nan=False)
    except ValueError:
        raise ArgumentsInvalid("the arguments are not valid JSON") from None
    if not isinstance(values, dict):
        raise ArgumentsInvalid("the arguments are not a JSON object")
    fault = value_fault(values, schema)
    if fault is not None:
        raise ArgumentsInvalid(fault)
    return values


def value_fault(value: Any, schema: Any, path: str = "", depth: int = 0) -> str | None:
    """Say where a value does not fit; None when it does as far as is checked."""
    if not isinstance(schema, dict):
        return None
    if depth > MAX_DEPTH:
        return f"{_named(path)} is nested too deep"
    if not _has_type(value, schema.get("type")):
        return f"{_named(path)} is not of type {schema['type']}"
    allowed = schema.get("enum")
    if isinstance(allowed, list) and value not in allowed:
        return f"{_named(path)} is none of {to_json(allowed).decode()[:200]}"
    if isinstance(value, dict):
        return _object_fault(value, schema, path, depth)
    if isinstance(value, list):
        faults = (value_fault(item, schema.get("items"), f"{path}[{at}]", depth + 1) for at, item in enumerate(value))
        return next((fault for fault in faults if fault), None)
    return None


def _object_fault(value: dict[str, Any], schema: dict[str, Any], path: str, depth: int) -> str | None:
    prefix = f"{path}." if path else ""
    required, properties = schema.get("required"), schema.get("properties")
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str) and name not in value:
            return f"'{prefix}{name}' is missing"
    if not isinstance(properties, dict):
        return None
    for name, item in value.items():
        if name in properties:
            fault = value_fault(item, properties[name], f"{prefix}{name}", depth + 1)
            if fault is not None:
                return fault
        elif schema.get("additionalProperties") is False and "patternProperties" not in schema:
            return f"there is no '{prefix}{name}'"
    return None


def _has_type(value: Any, kind: Any) -> bool:
    kinds = kind if isinstance(kind, list) else [kind]
    return any(_is_of(value, one) for one in kinds) if kinds else True


def _is_of(value: Any, kind: Any) -> bool:
    if kind == "integer":
        return not isinstance(value, bool) and (isinstance(value, int) or (value.__class__ is float and value % 1 == 0))
    types = _TYPES.get(kind) if isinstance(kind, str) else None
    if types is None:
        return True  # no type given, or one that JSON Schema does not know
    return isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))


def _is_deeper(node: Any, depth: int) -> bool:
    level = [node]
    for _ in range(depth):
        level = [
            child
            for one in level
            for child in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
        ]
        if not level:
            return False
    return True


def _named(path: str) -> str:
    return f"'{path}'" if path else "the value"
