"""Builds the grammar (GBNF) that lets a language model either talk or call a tool with arguments that were said.

    root ::= talk | "{\\"name\\": \\"" ( tool … )           the model writes the form it was trained to write
    talk ::= plain prose, one paragraph                  no markdown, no list, no code: it will be spoken

Arguments are alternatives, not free text: the numbers, times and phrases of `voice.engines.said` that the parameter's
schema admits. A tool of which a required argument was not said is left out, so the model asks for it instead; with no
tool left there is nothing to route and the grammar is prose alone. Pure.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from voice.engines.candidates import Candidates

TALK_RULES = r"""talk ::= [^{}<>`*#|~\\\[\]_\x00-\x20] plain*
plain ::= [^{}<>`*#|~\\\[\]_\x00-\x1f]
"""

_FREE_RULES = r"""string ::= "\"" char* "\""
char ::= [^"\\\x00-\x1f] | "\\" ["\\/bfnrt]
integer ::= "-"? ("0" | [1-9] [0-9]*)
number ::= integer ("." [0-9]+)?
boolean ::= "true" | "false"
value ::= string | number | boolean | "null" | array | object
array ::= "[" (value (", " value)*)? "]"
object ::= "{" (string ": " value (", " string ": " value)*)? "}"
"""


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar and what it leaves open."""

    gbnf: str
    tools: tuple[str, ...]
    """Tools that may be called; empty: the model can only talk."""
    talks: bool
    """False: a tool has to be called."""


def build_grammar(tools: Sequence[tuple[str, Mapping[str, Candidates]]], *, talks: bool) -> Grammar:
    """Return the grammar for one response. `tools` are names and candidates, every required one of them not empty.

    Without tools the model talks whatever is asked: a made-up booking is worse than a question.
    """
    if not tools:
        return Grammar("root ::= talk\n" + TALK_RULES, (), True)
    rules = [_tool_rules(f"t{index}", name, fields) for index, (name, fields) in enumerate(tools)]
    call = " | ".join(f"t{index}" for index in range(len(tools)))
    root = f'root ::= {"talk | " if talks else ""}"{{\\"name\\": \\"" ({call})\n'
    names = tuple(name for name, _ in tools)
    return Grammar(root + (TALK_RULES if talks else "") + _FREE_RULES + "".join(rules), names, talks)


def _tool_rules(rule: str, tool: str, fields: Mapping[str, Candidates]) -> str:
    rules: list[str] = []
    keys: dict[str, str] = {}
    for index, (name, field) in enumerate(fields.items()):
        if not field.is_empty:
            keys[name] = f"{rule}v{index}"
            rules.append(_value_rules(keys[name], field))
    required = [name for name in keys if fields[name].required]
    optional = [name for name in keys if not fields[name].required]
    head = literal(tool + '", "arguments": {')
    return f'{rule} ::= {head} {_arguments_rule(keys, required, optional)} "}}}}"\n' + "".join(rules)


def _arguments_rule(keys: dict[str, str], required: Sequence[str], optional: Sequence[str]) -> str:
    def pair(name: str) -> str:
        return f"{literal(json.dumps(name) + ': ')} {keys[name]}"

    if required:
        parts = [' ", " '.join(pair(name) for name in required)]
        parts += [f'(", " {pair(name)})?' for name in optional]
        return " ".join(parts)
    tails = []
    for index, name in enumerate(optional):
        rest = " ".join(f'(", " {pair(later)})?' for later in optional[index + 1 :])
        tails.append(f"{pair(name)} {rest}")
    return f"({' | '.join(tails)})?" if tails else '""'


def _value_rules(rule: str, field: Candidates) -> str:
    if field.free_rule:
        return f"{rule} ::= {field.free_rule}\n"
    values = [literal(value) for value in unique(field.values)]
    if not field.phrases:
        return f"{rule} ::= {' | '.join(values)}\n"
    return f"{rule} ::= {' | '.join([*values, f'{rule}p'])}\n" + _phrase_rules(f"{rule}p", field)


def _phrase_rules(rule: str, field: Candidates) -> str:
    """Return rules for every run of words inside each phrase, opening and closing where the field allows.

    A word that may not close and has no word behind it that may is left out: from there no value can be finished.
    """
    rules: list[str] = []
    starts: list[str] = []
    for number, phrase in enumerate(field.phrases):
        last = max(index for index, ends in enumerate(phrase.may_end) if ends)
        for index, word in enumerate(phrase.words[: last + 1]):
            name = f"{rule}{number}w{index}"
            more = f' (" " {rule}{number}w{index + 1})' if index < last else ""
            rules.append(f"{name} ::= {literal(word)}{more}{'?' if more and phrase.may_end[index] else ''}\n")
            if phrase.may_start[index]:
                starts.append(name)
    return f'{rule} ::= "\\"" ({" | ".join(starts)}) "\\""\n' + "".join(rules)


def literal(text: str) -> str:
    """Return a GBNF literal of any text."""
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    )
    return f'"{escaped}"'


def unique(values: Iterable[str]) -> list[str]:
    """Return the values without repetitions, in their order."""
    return list(dict.fromkeys(values))
