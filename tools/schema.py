"""Makes the JSON Schema of a function's arguments, and reads arguments by it."""

import inspect
import types
import typing
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, SchemaError

from tools.errors import ArgumentsInvalid, ToolDefinitionError
from voice.tooling import ToolContext

MAX_ARGUMENT_BYTES = 64 * 1024
"""More JSON text than this is refused unread: no model writes it in earnest, and parsing it would hold the loop."""

_MAX_FAULTS_NAMED = 5


class _Arguments(BaseModel):
    """Base of the models made here. Fields have names of our own and the parameter's name as alias, so that a
    parameter may be called `schema`, `json` or `model_name` without clashing with pydantic's own attributes."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes."""

    schema: dict[str, Any]
    """JSON Schema of an object: no titles, no references unless a type contains itself."""
    context_names: tuple[str, ...]
    """Parameters typed `ToolContext`: injected, not in the schema."""
    model: type[BaseModel]
    fields: dict[str, str]
    """Field of the model to parameter of the function."""

    def read(self, arguments: str) -> dict[str, Any]:
        """Return the keyword arguments that the JSON text stands for, with the defaults of those left out.

        Raises: ArgumentsInvalid, in words that a model can mend its call by.
        """
        if len(arguments) > MAX_ARGUMENT_BYTES:
            raise ArgumentsInvalid(f"the arguments are longer than {MAX_ARGUMENT_BYTES} bytes")
        try:
            # Models write nothing at all when there is nothing to say.
            values = self.model.model_validate_json(arguments if arguments.strip() else "{}")
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=True, include_input=False)
            raise ArgumentsInvalid("; ".join(self._words(faults))) from None
        return {parameter: getattr(values, field) for field, parameter in self.fields.items()}

    def _words(self, faults: list[ErrorDetails]) -> Iterator[str]:
        for fault in faults[:_MAX_FAULTS_NAMED]:
            place = ".".join(str(part) for part in fault["loc"])
            if not place:
                yield (
                    "the arguments are not a JSON object"
                    if fault["type"] != "json_invalid"
                    else "the arguments are " + (f"not valid JSON ({fault['msg'].removeprefix('Invalid JSON: ')})")
                )
            elif fault["type"] == "missing":
                yield f"'{place}' is missing"
            elif fault["type"] == "extra_forbidden":
                yield f"there is no '{place}' (only {', '.join(self.fields.values()) or 'a call without arguments'})"
            else:
                yield f"'{place}': {fault['msg'][:1].lower()}{fault['msg'][1:]}"
        if len(faults) > _MAX_FAULTS_NAMED:
            yield f"and {len(faults) - _MAX_FAULTS_NAMED} more"


def read_signature(function: Callable[..., Any], *, name: str, descriptions: dict[str, str]) -> Parameters:
    """Read a function's signature; `descriptions` (of the docstring) fill in where a `Field` gives none.

    Raises: ToolDefinitionError, naming the parameter that cannot come from JSON.
    """
    definitions: dict[str, Any] = {}
    fields: dict[str, str] = {}
    context_names: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        annotation = _annotation(function, parameter, name)
        if _takes_context(annotation):
            context_names.append(parameter.name)
            continue
        _check_type(annotation, parameter.name, name)
        field = f"argument_{len(fields)}"
        fields[field] = parameter.name
        definitions[field] = (annotation, _field(parameter, annotation, name, descriptions.get(parameter.name)))
    model = create_model(f"{name}_arguments", __base__=_Arguments, __doc__=None, **definitions)
    return Parameters(_object_schema(model, fields), tuple(context_names), model, fields)


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter, name: str) -> Any:
    """Return the parameter's type with strings resolved, or refuse the parameter."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ToolDefinitionError(
            "*args and **kwargs have no schema; name each argument.", function=name, parameter=parameter.name
        )
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise ToolDefinitionError(
            "arguments are passed by name, so it may not be positional-only.", function=name, parameter=parameter.name
        )
    if parameter.annotation is parameter.empty:
        hint = "; decorate a function, or make a tool of the bound method" if parameter.name in ("self", "cls") else ""
        raise ToolDefinitionError(f"it has no type{hint}.", function=name, parameter=parameter.name)
    # One by one, so that the parameter at fault is known and a return type is never looked at.
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=namespace, include_extras=True)[parameter.name]
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise ToolDefinitionError(
            f"its type {parameter.annotation!r} cannot be resolved ({error}).", function=name, parameter=parameter.name
        ) from error


def _takes_context(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    return annotation is ToolContext or ToolContext in typing.get_args(annotation)


def _check_type(annotation: Any, parameter: str, name: str) -> None:
    try:
        TypeAdapter(annotation).json_schema()
    except (PydanticUserError, SchemaError, TypeError) as error:
        words = str(error).splitlines()[0].rstrip(".")
        raise ToolDefinitionError(
            f"its type {annotation!r} cannot be read from JSON ({words}).", function=name, parameter=parameter
        ) from error


def _field(parameter: inspect.Parameter, annotation: Any, name: str, described: str | None) -> Any:
    if isinstance(parameter.default, FieldInfo):
        # As a default it would also be what the plain function gets when it is called without that argument.
        raise ToolDefinitionError(
            "write Annotated[type, Field(...)], not '= Field(...)'.", function=name, parameter=parameter.name
        )
    metadata = typing.get_args(annotation)[1:] if typing.get_origin(annotation) is typing.Annotated else ()
    given = [part for part in metadata if isinstance(part, FieldInfo)]
    options: dict[str, Any] = {"alias": parameter.name}
    if described and not any(part.description for part in given):
        options["description"] = described
    if parameter.default is not parameter.empty:
        options["default"] = parameter.default
    return Field(**options)


def _object_schema(model: type[BaseModel], fields: dict[str, str]) -> dict[str, Any]:
    with warnings.catch_warnings():
        # A default that JSON cannot express is left out of the schema; the function still gets it.
        warnings.simplefilter("ignore")
        raw = model.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = raw.pop("$defs", {})
    schema: dict[str, Any] = _simplify(raw, definitions)
    schema.setdefault("properties", {})
    for parameter in fields.values():
        schema["properties"][parameter] = _without_null(schema["properties"][parameter])
    kept = {
        name: _simplify(node, definitions) for name, node in definitions.items() if _contains_itself(name, definitions)
    }
    if kept:
        schema["$defs"] = kept
    return schema


def _simplify(node: Any, definitions: dict[str, Any]) -> Any:
    """Drop titles and put referenced types in place: fewer tokens in every prompt, and a grammar without references."""
    if isinstance(node, list):
        return [_simplify(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    name = node.get("$ref", "").removeprefix("#/$defs/")
    if name and not _contains_itself(name, definitions):
        target = _simplify(definitions[name], definitions)
        return target | {key: value for key, value in node.items() if key != "$ref"}
    simple: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs") and isinstance(value, dict):
            simple[key] = {name: _simplify(part, definitions) for name, part in value.items()}
        elif key in ("enum", "const", "default", "examples"):
            simple[key] = value
        elif key not in ("title", "discriminator"):
            simple[key] = _simplify(value, definitions)
    return simple


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for part in node for name in _references(part)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].removeprefix("#/$defs/")} if isinstance(node.get("$ref"), str) else set()
    return own | {name for part in node.values() for name in _references(part)}


def _contains_itself(name: str, definitions: dict[str, Any]) -> bool:
    reached: set[str] = set()
    ahead = _references(definitions[name])
    while ahead:
        reached |= ahead
        ahead = {further for step in ahead for further in _references(definitions[step])} - reached
    return name in reached


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Say `T | None = None` as an optional T: to leave it out says the same, and is easier for a small model."""
    branches = node.get("anyOf")
    if not isinstance(branches, list) or "default" not in node or node["default"] is not None:
        return node
    others = [branch for branch in branches if branch != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return (others[0] if len(others) == 1 else {"anyOf": others}) | rest
