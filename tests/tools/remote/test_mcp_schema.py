"""What is checked against a schema of a stranger, and that no schema can hold the process up."""

import time

import pytest

from tools.errors import ArgumentsInvalid
from tools.mcp_schema import read_arguments, schema_fault, value_fault

ADDRESS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Bonn", "Köln"]},
        "floor": {"type": ["integer", "null"]},
        "lines": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"city": "Bonn", "floor": 2, "lines": ["a"]}, None),
        ({"city": "Bonn", "floor": None}, None),
        ({"city": "Bonn", "floor": 2.0}, None),
        ({}, "'city' is missing"),
        ({"city": "Ulm"}, "'city' is none of"),
        ({"city": "Bonn", "floor": 1.5}, "'floor' is not of type"),
        ({"city": "Bonn", "floor": True}, "'floor' is not of type"),
        ({"city": "Bonn", "lines": ["a", 1]}, "'lines[1]' is not of type string"),
        ({"city": "Bonn", "street": "x"}, "there is no 'street'"),
        ([], "the value is not of type object"),
    ],
)
def test_a_value_is_held_against_its_schema(value, fault):
    found = value_fault(value, ADDRESS)
    assert found == fault if fault is None else found is not None and found.startswith(fault)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "(x+x+)+y"}}},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 3}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
        {"type": 5, "required": "a", "properties": [], "enum": {}, "items": 1},
        {"type": ["nonsense", {}], "required": [1, {}]},
        {"properties": {"a": True}, "additionalProperties": {"$ref": "#"}},
    ],
)
def test_no_schema_takes_long_or_raises(schema):
    started_s = time.perf_counter()
    assert value_fault({"a": "x" * 5000}, schema) is None
    assert time.perf_counter() - started_s < 0.05


def test_what_is_nested_without_end_is_refused_and_not_followed():
    schema: dict[str, object] = {"type": "array"}
    schema["items"] = schema
    value: list[object] = []
    for _ in range(200):
        value = [value]
    fault = value_fault(value, schema)
    assert fault is not None
    assert fault.endswith("nested too deep")


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ({"type": "object"}, None),
        ({}, "its parameters are not an object"),
        ({"type": "array"}, "its parameters are not an object"),
        ({"type": "object", "properties": []}, "its schema is malformed"),
        ({"type": "object", "required": "a"}, "its schema is malformed"),
        ({"type": "object", "description": "x" * 200}, "its schema is longer than 100 bytes"),
    ],
)
def test_a_schema_must_be_of_use(schema, fault):
    assert schema_fault(schema, 100) == fault


@pytest.mark.parametrize("text", ["{", "[]", "1", '{"city": NaN}', '{"city":"Bonn"', "null"])
def test_arguments_that_are_no_json_object_are_refused(text):
    with pytest.raises(ArgumentsInvalid):
        read_arguments(text, ADDRESS)


def test_no_arguments_are_an_empty_object():
    assert read_arguments(" ", {"type": "object"}) == {}
