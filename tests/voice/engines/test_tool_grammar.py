import json

import pytest

from voice.engines.candidates import candidates_of
from voice.engines.said import Said
from voice.engines.tool_grammar import build_grammar, literal
from voice.tooling import ToolSpec

xllamacpp = pytest.importorskip("xllamacpp")

FULL = "Could I book a table for four on Friday at seven? The name is Anna Smith."


def grammar_of(*tools: ToolSpec, said: str = FULL, talks: bool = True) -> str:
    words = Said.parse(said)
    return build_grammar([(tool.name, candidates_of(tool, words)) for tool in tools], talks=talks).gbnf


def test_values_that_were_said_are_the_alternatives(book_table: ToolSpec) -> None:
    gbnf = grammar_of(book_table)
    assert 't0v1 ::= "4"' in gbnf
    assert 't0v3 ::= "\\"19:00\\""' in gbnf
    assert '"Anna" (" " t0v0p0w1)?' in gbnf
    assert "Sunday" not in gbnf


def test_without_a_tool_there_is_prose_alone() -> None:
    grammar = build_grammar((), talks=False)
    assert grammar.talks
    assert grammar.gbnf.startswith("root ::= talk\n")


def test_a_demanded_call_cannot_be_talked_around(book_table: ToolSpec) -> None:
    assert "talk" not in grammar_of(book_table, talks=False)


def test_literals_survive_quotes_and_newlines() -> None:
    assert literal('a "b"\n\\') == '"a \\"b\\"\\n\\\\"'


def test_every_rule_that_is_used_is_defined(book_table: ToolSpec, get_weather: ToolSpec) -> None:
    optional = ToolSpec(
        "note",
        "Take a note.",
        {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "urgent": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "mood": {"anyOf": [{"$ref": "#/$defs/Mood"}, {"type": "null"}]},
                "free": {"type": "string", "x-said": False},
            },
            "$defs": {"Mood": {"enum": ["happy", "sad"]}},
        },
    )
    said = "Please note that I am very happy with the weather in Paris, at Anna's."
    for tools in ((book_table, get_weather), (optional,), (get_weather, optional)):
        _check_defined(grammar_of(*tools, said=said if optional in tools else FULL + " In Paris."))


def _check_defined(gbnf: str) -> None:
    import re

    defined = {line.split(" ::= ")[0] for line in gbnf.splitlines()}
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]', " ", gbnf)
    assert {name for name in re.findall(r"[a-z]\w*", bare)} <= defined
    assert json.dumps(gbnf)
