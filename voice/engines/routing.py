"""Decides, before the model is asked, what it may do with a turn: talk, call a tool, or ask for what is missing.

| the caller's last words …                                             | the model may                    |
|-----------------------------------------------------------------------|----------------------------------|
| ask for a tool, or answer for one asked for, and every value was said | talk or call it                  |
| the same, but a value is missing                                      | nothing: the question is ready   |
| ask what a tool looks up, and closed lists leave one value each       | call it                          |
| anything else (small talk, questions, opinions)                       | talk                             |
| none since the last call (its output is in)                           | talk, or a call with other values |

The words that count are those since the last call: a request is carried out once. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from voice.engines.candidates import Candidates, candidates_of, content_stems, stem
from voice.engines.port import EngineSettings
from voice.engines.prompt import call_text, words_of
from voice.engines.said import STOPWORDS, Said
from voice.engines.tool_grammar import Grammar, build_grammar
from voice.session.items import Item, Message, ToolCall
from voice.tooling import ToolSpec

_VAGUE = "get set find check look show list search fetch do run use call make add update todays"
_VAGUE_VERBS = frozenset(_VAGUE.split())
"""First words of tool names that do not tell one request from another."""

_INQUIRIES = frozenset(("ask", "check", "find", "get", "look", "search"))
"""First words of the names of tools that change nothing."""

_MAX_TURNS = 8
"""A request that is older has been forgotten."""

_OPINION = re.compile(
    r"^(?:(?:i|we)(?: really| do| just)? (?:like|love|hate|enjoy|prefer|think|feel)\b"
    r"|do you (?:like|love|enjoy|prefer|think|believe)\b)"
)
_YES = frozenset({"yes", "yeah", "yep", "sure", "ok", "okay", "correct", "right", "exactly", "absolutely"})


@dataclass(frozen=True)
class Offer:
    """A tool that the caller's words concern."""

    tool: ToolSpec
    said: Said
    """The words that its arguments may be made from."""
    used: frozenset[str] = frozenset()
    """Values (JSON texts) of a call that was made from the same words."""

    @cached_property
    def candidates(self) -> dict[str, Candidates]:
        """What its parameters may be: 10 ms of work with many tools, and asked for several times a turn."""
        return candidates_of(self.tool, self.said, self.used)

    @property
    def is_complete(self) -> bool:
        """Every required value was said."""
        return all(not field.is_empty for field in self.candidates.values() if field.required)

    def only_call(self) -> str | None:
        """Return the call in the model's own form, if the words leave no choice."""
        pairs = []
        for name, field in self.candidates.items():
            if field.is_empty and not field.required:
                continue
            if field.only_value is None:
                return None
            pairs.append(f"{json.dumps(name)}: {field.only_value}")
        return call_text(self.tool.name, f"{{{', '.join(pairs)}}}")


@dataclass(frozen=True, slots=True)
class Route:
    """What the model may do with a turn."""

    grammar: Grammar
    offers: tuple[Offer, ...] = ()
    """The tools that may be called."""
    question: str = ""
    """Not empty: ask this, word for word, instead of thinking."""

    hides_tools: bool = False
    """The prompt tells of functions and the caller did not: the answer must not speak of them."""

    def only_talk(self) -> "Route":
        """Return the route of a turn whose call was refused."""
        return Route(_TALK, hides_tools=self.hides_tools)

    def leaks(self, clause: str) -> bool:
        """Tell whether a clause speaks of the machinery."""
        return self.hides_tools and re.search(r"\bfunctions?\b", clause, re.IGNORECASE) is not None

    def determined_call(self, written: str) -> str | None:
        """Return the whole call once what the model has written leaves no choice; it need not write the rest.

        Nothing written yet leaves none where a call is demanded and only one is possible.
        """
        if self.grammar.talks and not written.startswith("{"):
            return None
        fitting = []
        for offer in self.offers:
            head = f'{{"name": {json.dumps(offer.tool.name)}'
            if head.startswith(written) or written.startswith(head):
                fitting.append(offer)
        return fitting[0].only_call() if len(fitting) == 1 else None


_TALK = build_grammar((), talks=True)


def route(
    settings: EngineSettings, items: Sequence[Item], transcripts: Mapping[str, str], *, asks: bool = True
) -> Route:
    """Return what may be done. `asks`: a missing value is asked for without the model."""
    if not settings.tools or settings.tool_choice == "none":
        return Route(_TALK)
    turns, used = _turns(items, transcripts)
    hides = "function" not in " ".join(turns).lower()
    demanded = settings.tool_choice != "auto"
    if used is not None:
        # What was demanded has been done: an answer is due now.
        demanded = False
        offers = [Offer(tool, Said.parse(turns[-1] if turns else ""), used) for tool in settings.tools]
        offers = [offer for offer in offers if offer.is_complete and _is_grounded(offer)]
    elif demanded:
        chosen = [tool for tool in settings.tools if settings.tool_choice in ("required", tool.name)]
        offers = [Offer(tool, Said.parse(_joined(turns))) for tool in chosen]
    else:
        offers = [offer for tool in settings.tools if (offer := _offer(tool, turns)) is not None]
    complete = tuple(offer for offer in offers if offer.is_complete)
    complete = tuple(offer for offer in complete if not any(_outdoes(other, offer) for other in complete))
    if not complete:
        question = question_for(max(offers, key=_likelihood)) if asks and offers else ""
        return Route(_TALK, (), question, hides)
    answered = [offer for offer in complete if asks and _answers_question(offer, turns, items)]
    inquiries = [offer for offer in complete if used is None and _is_inquiry(offer)]
    if (answered or inquiries) and not demanded:
        complete, demanded = tuple(answered or inquiries)[:1], True
    fields = [(offer.tool.name, offer.candidates) for offer in complete]
    return Route(build_grammar(fields, talks=not demanded), complete, hides_tools=hides)


def question_for(offer: Offer) -> str:
    """Return the question for the required values that were not said, "" when there are none."""
    properties = offer.tool.parameters.get("properties", {})
    missing = [
        _spoken_name(name, properties.get(name, {}))
        for name, field in offer.candidates.items()
        if field.required and field.is_empty
    ]
    if not missing:
        return ""
    listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
    return f"Could you tell me {listed}, please?"


def _turns(items: Sequence[Item], transcripts: Mapping[str, str]) -> tuple[list[str], frozenset[str] | None]:
    """Return the user's turns since the last call. Just after a call: the turn it came from, and its values."""
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
    return turns[-_MAX_TURNS:], frozenset(used) if just_called else None


def _joined(turns: Sequence[str]) -> str:
    return " ".join(turn if turn.rstrip().endswith((".", "!", "?")) else f"{turn}." for turn in turns)


def _offer(tool: ToolSpec, turns: Sequence[str]) -> Offer | None:
    """Return the tool if the last turn concerns it, with the words from the first turn on that asked for it."""
    for start, text in enumerate(turns):
        if not _begins(tool, Said.parse(text), text):
            continue
        said = Said.parse(_joined(turns[start:]))
        last = turns[-1]
        if start == len(turns) - 1 or _begins(tool, Said.parse(last), last) or _goes_on(tool, said, last):
            return Offer(tool, said)
    return None


def _begins(tool: ToolSpec, said: Said, text: str) -> bool:
    """Tell whether a turn by itself may ask for a tool."""
    if not said.words or all(_OPINION.match(sentence.lower()) for sentence in _sentences(text)):
        return False
    if tool.parameters.get("x-said") is False:
        return True
    fields = candidates_of(tool, said)
    given = [field for field in fields.values() if field.is_grounded and not field.is_empty]
    is_named = bool(content_stems(text) & content_stems(_snake(tool.name).replace("_", " ")))
    if not any(field.is_grounded and field.required for field in fields.values()):
        # Nothing to check a call against but the tool's own words.
        return bool(given) or bool(content_stems(text) & content_stems(f"{_snake(tool.name)} {tool.description}"))
    if _asks_for(tool, said) or (is_named and given):
        return True
    is_complete = all(not field.is_empty for field in fields.values() if field.required)
    return is_complete and (_is_vague(tool) or any(field.is_telling for field in given))


def _goes_on(tool: ToolSpec, said: Said, last: str) -> bool:
    """Tell whether a turn answers for a tool that was asked for before: it gives a value, or agrees."""
    fresh = Said.parse(last)
    gives = any(field.is_grounded and not field.is_empty for field in candidates_of(tool, fresh).values())
    if gives:
        return not last.rstrip().endswith("?") or Offer(tool, said).is_complete
    return len(fresh.words) <= 4 and any(key in _YES for key in fresh.keys)


def _answers_question(offer: Offer, turns: Sequence[str], items: Sequence[Item]) -> bool:
    """Tell whether the caller was asked for the missing values of this tool, and has just said them."""
    before = Offer(offer.tool, Said.parse(_joined(turns[:-1])))
    asked = [item.text for item in items if isinstance(item, Message) and item.role == "assistant"][-1:]
    earlier = _offer(offer.tool, turns[:-1]) or before
    question = question_for(earlier)
    # Who says the rest without being asked has cut the question short, so that little or nothing of it was heard.
    return bool(asked and question) and question.startswith(asked[0].strip())


def _values(arguments: str) -> set[str]:
    try:
        loaded = json.loads(arguments)
    except ValueError:
        return set()
    return {json.dumps(value, ensure_ascii=False) for value in loaded.values()} if isinstance(loaded, dict) else set()


def _asks_for(tool: ToolSpec, said: Said) -> bool:
    """Tell whether the verb of the tool's name was said."""
    return not _is_vague(tool) and stem(_verb(tool)) in {stem(key) for key in said.keys}


def _is_vague(tool: ToolSpec) -> bool:
    return _verb(tool) in _VAGUE_VERBS


def _verb(tool: ToolSpec) -> str:
    words = [word for word in re.findall(r"[a-z]+", _snake(tool.name)) if word not in STOPWORDS or word in _VAGUE_VERBS]
    return words[0] if words else ""


def _is_grounded(offer: Offer) -> bool:
    """Tell whether there is anything to check a call against."""
    return any(field.required and field.is_grounded for field in offer.candidates.values())


def _outdoes(offer: Offer, other: Offer) -> bool:
    """Tell whether the caller named one tool and gave all it needs, which is more than another needs and was named by.

    "An appointment on Friday at ten for Anna" books one; it does not ask which hours of Friday are free.
    """
    needs, needs_less = ({name for name, field in each.candidates.items() if field.required} for each in (offer, other))
    return needs > needs_less and _is_named(offer) and not _is_named(other)


def _is_inquiry(offer: Offer) -> bool:
    """Tell whether a tool only looks something up, and two or more closed lists left one value each.

    A small model answers "Are there nuts in the tart?" by itself, and wrongly.
    """
    needed = [field for field in offer.candidates.values() if field.required]
    certain = all(field.is_telling and field.only_value is not None for field in needed)
    return certain and len(needed) > 1 and _verb(offer.tool) in _INQUIRIES


def _is_named(offer: Offer) -> bool:
    """Tell whether a word of the tool's name was said."""
    return bool(content_stems(" ".join(offer.said.keys)) & content_stems(_snake(offer.tool.name).replace("_", " ")))


def _likelihood(offer: Offer) -> tuple[bool, int]:
    return _asks_for(offer.tool, offer.said), sum(not field.is_empty for field in offer.candidates.values())


def _spoken_name(name: str, schema: object) -> str:
    described = schema.get("description") if isinstance(schema, dict) else None
    text = str(described or name.replace("_", " ")).split(".")[0].split(",")[0].split("(")[0].strip()
    text = text[:1].lower() + text[1:]
    return text if text.split(" ")[0] in ("the", "a", "an", "your", "how", "which", "what", "when") else f"the {text}"


def _sentences(text: str) -> list[str]:
    return [sentence.strip() for sentence in re.split(r"[.!?]+", text) if sentence.strip()]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
