"""Turns what pydantic found wrong into the contract's words: code, message, path (contract 4.15).

Pydantic names the branch of a union inside the path of an error. Here every union is told apart by `one_of`, whose
branches carry a label that no JSON path contains, so that the label can be cut out again: `session.tools[0].name`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, Discriminator, Tag, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

_LABEL: Final = "\0"
_REFUSED: Final = "refused"
_NO_BRANCH: Final = "no_branch"

TEXT: Final = "<text>"
NUMBER: Final = "<number>"
ARRAY: Final = "<array>"
OBJECT: Final = "<object>"
"""Branches of a union by JSON type; a branch by the object's `type` is named by that type."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an event."""

    message: str
    code: str
    param: str | None


def tag(branch: str) -> Tag:
    """Mark a branch of a union that `one_of` tells apart."""
    return Tag(_LABEL + branch)


def one_of(*branches: str) -> Discriminator:
    """Tell a union apart by JSON type (`TEXT`, `NUMBER`, `ARRAY`, `OBJECT`) and objects by their `type`."""

    def pick(value: object) -> str | None:
        branch = _branch_of(value, typed=OBJECT not in branches)
        return _LABEL + branch if branch in branches else None

    return Discriminator(
        pick,
        # In the type, not in the context: a context is a dict and makes the annotation unhashable.
        custom_error_type=f"{_NO_BRANCH} {' '.join(branches)}",
        custom_error_message="no branch of the union",
    )


def _branch_of(value: object, *, typed: bool) -> str | None:
    if isinstance(value, str):
        return TEXT
    if isinstance(value, int) and not isinstance(value, bool):
        return NUMBER
    if isinstance(value, list):
        return ARRAY
    if not isinstance(value, dict | BaseModel):
        return None
    if not typed:
        return OBJECT
    name = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return name if isinstance(name, str) else None


class refuse:
    """Makes the errors that our own validators raise. `at` is a path below the value under validation."""

    @staticmethod
    def because(message: str, code: str = "invalid_value", at: str = "") -> PydanticCustomError:
        """Return an error with that message. `{param}` in it stands for the full path."""
        return PydanticCustomError(_REFUSED, "refused", {"message": message, "code": code, "at": at})

    @staticmethod
    def value(value: str, supported: Sequence[str], at: str = "") -> PydanticCustomError:
        """Return the error for a value outside its set."""
        return refuse.because(unsupported(value, supported), at=at)

    @staticmethod
    def missing(at: str) -> PydanticCustomError:
        """Return the error for a field that must be there."""
        return refuse.because("Missing required parameter: '{param}'.", "missing_required_parameter", at)

    @staticmethod
    def unknown(at: str) -> PydanticCustomError:
        """Return the error for a field that must not be there."""
        return refuse.because("Unknown parameter: '{param}'.", "unknown_parameter", at)


def unsupported(value: str, supported: Sequence[str]) -> str:
    """Word the refusal of a value outside its set, as the real service does."""
    return f"Invalid value: '{_shortened(value)}'. Supported values are: {listed(supported)}."


def listed(values: Sequence[str]) -> str:
    """Return `'a'`, `'a' and 'b'` or `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def explain(error: ValidationError) -> Problem:
    """Word the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    param = join(first["loc"])
    kind, ctx = first["type"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return Problem(f"Unknown parameter: '{param}'.", "unknown_parameter", param)
    if kind == "missing":
        return Problem(f"Missing required parameter: '{param}'.", "missing_required_parameter", param)
    if kind == _REFUSED:
        below = ctx["at"]
        param = param + below if below.startswith("[") or not param else f"{param}.{below}".rstrip(".")
        return Problem(ctx["message"].replace("{param}", param), ctx["code"], param)
    if kind.startswith(_NO_BRANCH):
        return _no_branch(param, first["input"], kind.split(" ")[1:])
    if kind == "literal_error":
        return _literal(param, first["input"], ctx["expected"])
    bound = _bound(param, first, ctx)
    if bound is not None:
        return bound
    expected = _EXPECTED.get(kind)
    if expected is not None:
        return mistyped(param, expected, first["input"])
    return Problem(f"Invalid value for '{param}': {first['msg']}.", "invalid_value", param)


def join(location: Iterable[str | int]) -> str:
    """Return a pydantic location as a path: `session.tools[0].name`."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith(_LABEL):
            path += f".{_shortened(step)}" if path else _shortened(step)
    return path


def mistyped(param: str, expected: str, value: object) -> Problem:
    """Word a wrong JSON type."""
    message = f"Invalid type for '{param}': expected {expected}, but got {_described(value)} instead."
    return Problem(message, "invalid_type", param)


_EXPECTED: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_sub_type": "a string",
}

_SHAPES: Final = {TEXT: "a string", NUMBER: "an integer", ARRAY: "an array", OBJECT: "an object"}


def _described(value: object) -> str:
    if value is None:
        return "null"
    for kinds, words in (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a decimal"),
        (str, "a string"),
        (list, "an array"),
    ):
        if isinstance(value, kinds):
            return words
    return "an object"


def _shortened(text: str) -> str:
    """Keep a client's own text from filling the answer."""
    return text if len(text) <= 128 else text[:125] + "..."


def _number(value: float) -> str:
    """Show a number; one of thousands of digits would fill the answer, and Python refuses to print it."""
    return str(value) if abs(value) < 10**18 else "a number of more than 18 digits"


def _literal(param: str, value: object, expected: str) -> Problem:
    # Pydantic's words are "'a', 'b' or 'c'", or a bare number.
    supported = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    if isinstance(value, str):
        return Problem(unsupported(value, supported), "invalid_value", param)
    if isinstance(value, int) and not isinstance(value, bool) and supported[0].isdecimal():
        message = f"Invalid value: {_number(value)}. Supported values are: {', '.join(supported)}."
        return Problem(message, "invalid_value", param)
    return mistyped(param, "an integer" if supported[0].isdecimal() else f"one of {listed(supported)}", value)


def _no_branch(param: str, value: object, branches: Sequence[str]) -> Problem:
    types = [branch for branch in branches if branch not in _SHAPES]
    if isinstance(value, dict) and types:
        here = f"{param}.type" if param else "type"
        if "type" not in value:
            return Problem(f"Missing required parameter: '{here}'.", "missing_required_parameter", here)
        if not isinstance(value["type"], str):
            return mistyped(here, "a string", value["type"])
        return Problem(unsupported(value["type"], types), "invalid_value", here)
    shapes = [_SHAPES[branch] for branch in branches if branch in _SHAPES] + (["an object"] if types else [])
    return mistyped(param, " or ".join(dict.fromkeys(shapes)), value)


def _bound(param: str, error: ErrorDetails, ctx: dict[str, Any]) -> Problem | None:
    value = error["input"]
    match error["type"]:
        case "greater_than_equal":
            kind = "integer" if isinstance(value, int) and isinstance(ctx["ge"], int) else "decimal"
            what, words, limit = f"{kind}_below_min_value", f"{kind} below minimum value", f"a value >= {ctx['ge']}"
            value = _number(value)
        case "less_than_equal":
            kind = "integer" if isinstance(value, int) and isinstance(ctx["le"], int) else "decimal"
            what, words, limit = f"{kind}_above_max_value", f"{kind} above maximum value", f"a value <= {ctx['le']}"
            value = _number(value)
        case "string_too_long":
            limit = f"a string with maximum length {ctx['max_length']}"
            what, words, value = "string_above_max_length", "string too long", f"a string with length {len(value)}"
        case "string_too_short":
            limit = f"a string with minimum length {ctx['min_length']}"
            what, words, value = "string_below_min_length", "string too short", "an empty string"
        case "too_short":
            limit = f"an array with minimum length {ctx['min_length']}"
            what, words, value = "array_below_min_length", "array too short", f"an array with length {len(value)}"
        case "too_long":
            limit = f"an array with maximum length {ctx['max_length']}"
            what, words, value = "array_above_max_length", "array too long", f"an array with length {len(value)}"
        case "string_pattern_mismatch":
            message = f"Invalid '{param}': string does not match pattern. Expected '{ctx['pattern']}'."
            return Problem(message, "invalid_value", param)
        case _:
            return None
    message = f"Invalid '{param}': {words}. Expected {limit}, but got {value} instead."
    return Problem(message, what, param)
