"""Decides, before the model is asked, what it may do with a turn: talk, call one of some tools, or ask for what is missing.

| the caller's last words …                                             | the model may                    |
|-----------------------------------------------------------------------|----------------------------------|
| ask for a tool, or answer for one asked for, and every value was said | talk or call it                  |
| the same, but a value is missing                                      | nothing: the question is ready   |
| anything else (small talk, questions, opinions)                       | talk                             |
| none since the last call (its output is in)                           | talk, or a call with other values |

The words that count are those since the last call: a request is carried out once. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voice.engines.candidates import Candidates, candidates_of, content_stems, stem
from voice.engines.port import EngineSettings
from voice.engines.prompt import words_of
from voice.engines.said import STOPWORDS, Said
from voice.engines.tool_grammar import Grammar, build_grammar
from voice.session.items import Item, Message, ToolCall
from voice.tooling import ToolSpec

_VAGUE_VERBS = frozenset(
    "get set find check look show list search fetch do run use call make add update todays".split()
)
"""First words of tool names that do not tell one request from another."""

_OPINION = re.compile(
    r"^(?:(?:i|we)(?: really| do| just)? (?:like|love|hate|enjoy|prefer|think|feel)\b"
    r"|do you (?:like|love|enjoy|prefer|think|believe)\b)"
)
_YES = frozenset("yes yeah yep sure ok okay correct right exactly absolutely".split())


@dataclass(frozen=True, slots=True)
class Route:
    """What the model may do with a turn."""

    grammar: Grammar
    offered: tuple[ToolSpec, ...]
    said: Said
    """What arguments may be made from."""
    used: frozenset[str] = frozenset()
    """Values (JSON texts) of calls that were made from the same words."""
    question: str = ""
    """Not empty: ask this, word for word, instead of thinking."""


def route(
    settings: EngineSettings, items: Sequence[Item], transcripts: Mapping[str, str], *, asks: bool = True
) -> Route:
    """Return what may be done. `asks`: a missing value is asked for without the model."""
    if not settings.tools or settings.tool_choice == "none":
        return Route(build_grammar((), "none", Said.parse("")), (), Said.parse(""))
    since, last, used = _words(items, transcripts)
    said, fresh = Said.parse(since), Said.parse(last)
    choice = settings.tool_choice
    if used is not None:
        said = fresh
        offered = [tool for tool in settings.tools if _has_unused(tool, said, used)]
        # What was demanded has been done: an answer is due now.
        choice = "auto"
    elif choice != "auto":
        offered = [tool for tool in settings.tools if choice in ("required", tool.name)]
    else:
        offered = [tool for tool in settings.tools if _concerns(tool, said, fresh, last)]
    used = used or frozenset()
    grammar = build_grammar(offered, "required" if choice != "auto" else "auto", said, used)
    question = ""
    if asks and not grammar.tools and offered and not used:
        question = question_for(_likeliest(offered, said), said)
    return Route(grammar, tuple(tool for tool in offered if tool.name in grammar.tools), said, used, question)


def question_for(tool: ToolSpec, said: Said) -> str:
    """Return the question for the required values that were not said, "" when there are none."""
    missing = [
        _spoken_name(name, tool.parameters["properties"].get(name, {}))
        for name, field in candidates_of(tool, said).items()
        if field.required and field.is_empty
    ]
    if not missing:
        return ""
    listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    return f"Could you tell me {listed}, please?"


def _words(items: Sequence[Item], transcripts: Mapping[str, str]) -> tuple[str, str, frozenset[str] | None]:
    """Return the user's words since the last call, their last ones, and the values used if a call has just been made."""
    turns: list[str] = []
    used: set[str] = set()
    just_called = False
    for item in items:
        if isinstance(item, ToolCall):
            just_called = True
            used |= _values(item.arguments)
        elif isinstance(item, Message) and item.role == "user":
            if just_called:
                turns, used, just_called = [], set(), False
            turns.append(words_of(item, transcripts))
    last = turns[-1] if turns else ""
    if just_called:
        return last, last, frozenset(used)
    return ". ".join(text.rstrip(".") if text.endswith(".") else text for text in turns[-6:]), last, None


def _values(arguments: str) -> set[str]:
    try:
        loaded = json.loads(arguments)
    except ValueError:
        return set()
    return {json.dumps(value, ensure_ascii=False) for value in loaded.values()} if isinstance(loaded, dict) else set()


def _concerns(tool: ToolSpec, said: Said, fresh: Said, last: str) -> bool:
    """Tell whether the caller's last words have to do with a tool."""
    if not fresh.words or all(_OPINION.match(sentence.lower()) for sentence in _sentences(last)):
        return False
    if tool.parameters.get("x-said") is False:
        return True
    fields = candidates_of(tool, fresh)
    gives = [field for field in fields.values() if field.is_grounded and not field.is_empty]
    if not any(field.is_grounded and field.required for field in candidates_of(tool, said).values()):
        # Nothing to check a call against but the tool's own words.
        return bool(gives) or bool(content_stems(last) & content_stems(f"{tool.name} {tool.description}"))
    if _asks_for(tool, fresh):
        return True
    if gives and not last.rstrip().endswith("?"):
        return True
    if gives and all(not field.is_empty for field in fields.values() if field.required):
        return True
    return len(fresh.words) <= 4 and any(key in _YES for key in fresh.keys)


def _asks_for(tool: ToolSpec, said: Said) -> bool:
    """Tell whether the verb of the tool's name was said, or another word of it together with a value for it."""
    stems = {stem(key) for key in said.keys}
    name = [word for word in re.findall(r"[a-z]+", _snake(tool.name)) if word not in STOPWORDS]
    verb = name[0] if name else ""
    return verb not in _VAGUE_VERBS and stem(verb) in stems


def _has_unused(tool: ToolSpec, said: Said, used: frozenset[str]) -> bool:
    """Tell whether the same words hold another set of values for a tool ("the weather in Paris and in Oslo")."""
    fields = [field for field in candidates_of(tool, said, used).values() if field.required and field.is_grounded]
    return bool(fields) and all(not field.is_empty for field in fields)


def _likeliest(tools: Sequence[ToolSpec], said: Said) -> ToolSpec:
    def score(tool: ToolSpec) -> tuple[bool, int]:
        fields: dict[str, Candidates] = candidates_of(tool, said)
        return _asks_for(tool, said), sum(not field.is_empty for field in fields.values())

    return max(tools, key=score)


def _spoken_name(name: str, schema: object) -> str:
    described = schema.get("description") if isinstance(schema, dict) else None
    text = str(described or name.replace("_", " ")).split(".")[0].split(",")[0].split("(")[0].strip()
    text = text[:1].lower() + text[1:]
    return text if text.split(" ")[0] in ("the", "a", "an", "your", "how", "which", "what", "when") else f"the {text}"


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.split(r"[.!?]+", text) if sentence.strip()]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
