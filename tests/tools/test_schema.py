"""What a function's signature, docstring and types become, and what is refused."""

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, Field

from tools import ToolContext, ToolDefinitionError, tool
from tools.errors import ArgumentsInvalid

CONTEXT = ToolContext(session_id="sess_1", agent="receptionist", said="a table for two")


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Topping(BaseModel):
    title: str
    grams: int = 10


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


@dataclass
class Address:
    street: str


def test_types_become_json_schema() -> None:
    @tool
    def order(dish: str, count: int, price: float, vegan: bool, extras: list[str]) -> None:
        """Order a dish."""

    assert order.parameters.schema == {
        "type": "object",
        "properties": {
            "dish": {"type": "string"},
            "count": {"type": "integer"},
            "price": {"type": "number"},
            "vegan": {"type": "boolean"},
            "extras": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["dish", "count", "price", "vegan", "extras"],
        "additionalProperties": False,
    }


def test_literal_enum_and_constraints_reach_the_schema() -> None:
    @tool
    def order(day: Literal["today", "tomorrow"], size: Size, count: Annotated[int, Field(ge=1, le=8)] = 2) -> None: ...

    properties = order.parameters.schema["properties"]
    assert properties["day"] == {"type": "string", "enum": ["today", "tomorrow"]}
    assert properties["size"] == {"type": "string", "enum": ["small", "large"]}
    assert properties["count"] == {"type": "integer", "minimum": 1, "maximum": 8, "default": 2}
    assert order.parameters.schema["required"] == ["day", "size"]


def test_an_optional_argument_is_left_out_rather_than_null() -> None:
    @tool
    def order(note: str | None = None, table: int | None = 3) -> None: ...

    properties = order.parameters.schema["properties"]
    assert properties["note"] == {"type": "string"}
    assert properties["table"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert order.parameters.read('{"note": null}') == {"note": None, "table": 3}


def test_nested_models_stand_in_place_without_references() -> None:
    @tool
    def order(topping: Topping, address: Address) -> None: ...

    properties = order.parameters.schema["properties"]
    assert set(properties["topping"]["properties"]) == {"title", "grams"}
    assert properties["address"]["properties"] == {"street": {"type": "string"}}
    assert "$defs" not in order.parameters.schema
    values = order.parameters.read('{"topping": {"title": "egg"}, "address": {"street": "Hill"}}')
    assert values == {"topping": Topping(title="egg"), "address": Address("Hill")}


def test_a_type_that_contains_itself_keeps_its_reference() -> None:
    @tool
    def plant(tree: Tree) -> None: ...

    jsonschema.Draft202012Validator.check_schema(plant.parameters.schema)
    jsonschema.validate({"tree": {"name": "a", "children": [{"name": "b"}]}}, plant.parameters.schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"tree": {"name": "a", "children": [{"name": 1}]}}, plant.parameters.schema)


def test_google_docstring_describes_tool_and_arguments() -> None:
    @tool
    def book(name: str, day: str) -> str:
        """Book a table
        for a guest.

        Only for the evening.

        Args:
            name (str): The guest's name,
                as it is spelt: in full.
            day: When.

        Returns:
            name: nothing of this is an argument.
        """
        return name + day

    assert book.description == "Book a table for a guest.\n\nOnly for the evening."
    properties = book.parameters.schema["properties"]
    assert properties["name"]["description"] == "The guest's name, as it is spelt: in full."
    assert properties["day"]["description"] == "When."


def test_rest_docstring_describes_arguments() -> None:
    @tool
    def book(name: str, day: str) -> str:
        """Book a table.

        :param name: The guest's name,
            in full.
        :param str day: When.
        :returns: A sentence.
        """
        return name + day

    assert book.description == "Book a table."
    properties = book.parameters.schema["properties"]
    assert properties["name"]["description"] == "The guest's name, in full."
    assert properties["day"]["description"] == "When."


def test_a_field_description_wins_over_the_docstring() -> None:
    @tool
    def book(name: Annotated[str, Field(description="Of the field.")]) -> None:
        """Book.

        Args:
            name: Of the docstring.
        """

    assert book.parameters.schema["properties"]["name"]["description"] == "Of the field."


def test_without_a_docstring_the_name_describes() -> None:
    @tool
    def open_door() -> None: ...

    assert open_door.description == "open door"
    assert open_door.parameters.schema == {"type": "object", "properties": {}, "additionalProperties": False}


def test_the_context_is_injected_and_not_in_the_schema() -> None:
    @tool
    def who(
        city: str, context: ToolContext, again: Annotated[ToolContext, "too"], maybe: ToolContext | None
    ) -> None: ...

    assert list(who.parameters.schema["properties"]) == ["city"]
    values = who.read_arguments('{"city": "Rome"}', CONTEXT)
    assert values == {"city": "Rome", "context": CONTEXT, "again": CONTEXT, "maybe": CONTEXT}


def test_arguments_may_have_the_names_of_pydantic_attributes() -> None:
    @tool
    def order(schema: str, json: int, model_name: str, copy: bool, _private: int = 1) -> None: ...

    values = order.parameters.read('{"schema": "a", "json": 1, "model_name": "m", "copy": true}')
    assert values == {"schema": "a", "json": 1, "model_name": "m", "copy": True, "_private": 1}


def test_a_default_that_json_cannot_say_still_reaches_the_function() -> None:
    marker = date(2026, 1, 1)

    @tool
    def order(day: date = marker, kind: Annotated[Any, Field(description="x")] = ValueError) -> None: ...

    assert order.parameters.read("{}") == {"day": marker, "kind": ValueError}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"day": "Friday", "people": "many"}', "'people': input should be a valid integer"),
        ('{"people": 2}', "'day' is missing"),
        ('{"day": "Friday", "people": 2, "time": 7}', "there is no 'time' (only day, people, extra)"),
        ('{"day": "Friday", "people": 0}', "'people': input should be greater than or equal to 1"),
        ('{"day": "Friday"', "the arguments are not valid JSON"),
        ('["Friday", 2]', "the arguments are not a JSON object"),
        ("", "'day' is missing; 'people' is missing"),
        ('{"day": "Friday", "people": 1, "extra": {"title": 3}}', "'extra.title': input should be a valid string"),
        ('{"day": "' + "x" * 70_000 + '"}', "longer than 65536 bytes"),
    ],
)
def test_wrong_arguments_are_told_in_words_a_model_can_use(arguments: str, words: str) -> None:
    @tool
    def book(day: str, people: Annotated[int, Field(ge=1)], extra: Topping | None = None) -> None: ...

    with pytest.raises(ArgumentsInvalid) as caught:
        book.parameters.read(arguments)
    assert words in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_many_faults_are_counted_not_listed() -> None:
    @tool
    def book(a: int, b: int, c: int, d: int, e: int, f: int, g: int) -> None: ...

    with pytest.raises(ArgumentsInvalid, match="and 2 more"):
        book.parameters.read("{}")


def test_a_number_written_as_text_is_accepted() -> None:
    @tool
    def book(people: int) -> None: ...

    assert book.parameters.read('{"people": "4"}') == {"people": 4}


class Opaque:
    pass


def untyped(day) -> None: ...
def starred(*days: str) -> None: ...
def double_starred(**days: str) -> None: ...
def positional(day: str, /) -> None: ...
def opaque(day: Opaque) -> None: ...
def unresolved(day: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def field_default(day: str = Field(description="x")) -> None: ...


@pytest.mark.parametrize("function", [untyped, starred, double_starred, positional, opaque, unresolved, field_default])
def test_a_signature_that_cannot_come_from_json_is_refused_by_name(function: Any) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        tool(function)
    assert caught.value.function == function.__name__
    assert caught.value.parameter in ("day", "days")
    assert str(caught.value).startswith(f"Tool {function.__name__}(), parameter 'day")


def test_a_method_is_refused_with_the_way_out() -> None:
    with pytest.raises(ToolDefinitionError, match="bound method"):

        class Holder:
            @tool
            def book(self, day: str) -> None: ...
