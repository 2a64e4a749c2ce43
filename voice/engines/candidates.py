"""Finds, for every parameter of a tool, the values that the caller's words allow.

| schema                                   | candidates                                                             |
|------------------------------------------|------------------------------------------------------------------------|
| `integer`, `number`                      | numbers that were said, within `minimum`/`maximum`                     |
| `string`, `format: time`                 | times of day that were said (HH:MM), `formatMinimum` to `formatMaximum`  |
| `enum`, `const`                          | values of which a word was said ("desserts" for `dessert`)              |
| `string` about a name, city, person, …   | runs of words that look like a name                                    |
| `string` about a number or code          | digits that were said, one by one or together                          |
| any other `string`                       | runs of words that were said                                           |
| `boolean`, `array`, `object`             | free                                                                   |

`x-said: false` on a parameter opts out: the model may write whatever the schema's type allows. Pure.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from voice.engines.said import NUMBER_WORDS, STOPWORDS, WEEKDAYS, Number, Said
from voice.tooling import ToolSpec

_NAME_WORDS = "name city town person caller customer guest who whom contact street place location artist author"
NAME_WORDS = frozenset(_NAME_WORDS.split())


_UNIT_WORDS = "second minute hour day night week month year degree percent dollar euro pound mile meter"
_UNITS = frozenset(_UNIT_WORDS.split())
"""Stems of units: a parameter named after one takes numbers of that unit only."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of what was said, of which any run of words may be the value."""

    words: tuple[str, ...]
    may_start: tuple[bool, ...]
    may_end: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a parameter may be."""

    required: bool
    values: tuple[str, ...] = ()
    """JSON texts."""
    phrases: tuple[Phrase, ...] = ()
    is_telling: bool = False
    """What was said is one of an enumeration or a time of day: nobody says that by chance."""
    free_rule: str = ""
    """Name of the grammar rule for a value that is not tied to what was said."""

    @property
    def is_empty(self) -> bool:
        """Nothing was said that could be the value."""
        return not (self.values or self.phrases or self.free_rule)

    @property
    def only_value(self) -> str | None:
        """The one value (JSON text) that is possible, None where there is a choice.

        Of a name that is several words all are taken.
        """
        if self.free_rule or len(self.values) + len(self.phrases) != 1:
            return None
        if self.values:
            return self.values[0]
        phrase = self.phrases[0]
        is_name = all(phrase.may_start) and all(phrase.may_end)
        return json.dumps(" ".join(phrase.words), ensure_ascii=False) if is_name else None

    @property
    def is_grounded(self) -> bool:
        """The value comes from what was said."""
        return not self.free_rule


def candidates_of(tool: ToolSpec, said: Said, used: frozenset[str] = frozenset()) -> dict[str, Candidates]:
    """Return the candidates of each parameter, in the order of the schema, without the values (JSON) in `used`."""
    schema = resolve(tool.parameters, tool.parameters)
    required = frozenset(schema.get("required", ()))
    resolved = {name: resolve(sub, tool.parameters) for name, sub in schema.get("properties", {}).items()}
    vocabulary = _vocabulary(tool, resolved)
    found = {
        name: _candidates(name, sub, said, vocabulary, required=name in required, siblings=resolved)
        for name, sub in resolved.items()
    }
    return {name: _without(field, used) for name, field in found.items()} if used else found


def _without(field: Candidates, used: frozenset[str]) -> Candidates:
    spent = {word for value in used for word in value.strip('"').split()}
    phrases = [
        Phrase(
            phrase.words,
            tuple(may and word not in spent for word, may in zip(phrase.words, phrase.may_start, strict=True)),
            tuple(may and word not in spent for word, may in zip(phrase.words, phrase.may_end, strict=True)),
        )
        for phrase in field.phrases
    ]
    return replace(
        field,
        values=tuple(value for value in field.values if value not in used),
        phrases=tuple(phrase for phrase in phrases if any(phrase.may_start)),
    )


def resolve(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """Follow `$ref`, take the one branch of `anyOf`/`oneOf` that is not null, merge a single `allOf`.

    A client may send any JSON for a schema: a keyword of a shape that JSON Schema does not know is as good as absent.
    """
    found = _object(schema)
    for _ in range(8):
        if "$ref" in found:
            node: Any = root
            for step in str(found["$ref"]).lstrip("#/").split("/"):
                node = _object(node).get(step)
            found = {**_object(node), **{key: value for key, value in found.items() if key != "$ref"}}
            continue
        for key in ("anyOf", "oneOf", "allOf"):
            branches = [_object(branch) for branch in _list(found.get(key)) if _object(branch).get("type") != "null"]
            if len(branches) == 1:
                found = {**branches[0], **{name: value for name, value in found.items() if name != key}}
                break
        else:
            break
    sound = {key: value for key, value in found.items() if _is_shaped(value, _SHAPES.get(key))}
    if "required" in sound:
        sound["required"] = [name for name in _list(sound["required"]) if isinstance(name, str)]
    return sound


_SHAPES: dict[str, tuple[type, ...]] = {
    "properties": (dict,),
    "enum": (list,),
    "minimum": (int, float),
    "maximum": (int, float),
}


def _is_shaped(value: Any, kinds: tuple[type, ...] | None) -> bool:
    """Tell whether a keyword's value is of a kind that it may be."""
    if kinds is None:
        return True
    return isinstance(value, kinds) and not isinstance(value, bool)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def type_of(schema: dict[str, Any]) -> str:
    """Return the one JSON type of a schema, "" when there is none or several."""
    kind = schema.get("type", "")
    if isinstance(kind, list):
        kinds = [entry for entry in kind if entry != "null"]
        kind = kinds[0] if len(kinds) == 1 else ""
    return str(kind)


def is_time(schema: dict[str, Any]) -> bool:
    """Tell whether a string parameter is a time of day."""
    return schema.get("format") == "time" or "HH:MM" in str(schema.get("description", "")).upper()


def _candidates(
    name: str,
    schema: dict[str, Any],
    said: Said,
    vocabulary: frozenset[str],
    *,
    required: bool,
    siblings: dict[str, Any],
) -> Candidates:
    kind = type_of(schema)
    values: Sequence[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    tied = schema.get("x-said", True)
    if values is not None:
        chosen = [value for value in values if not tied or _enum_was_said(value, said)]
        texts = tuple(json.dumps(value, ensure_ascii=False) for value in chosen)
        return Candidates(required, values=texts, is_telling=tied)
    if not tied:
        return Candidates(required, free_rule=kind if kind in ("string", "integer", "number", "boolean") else "value")
    if kind in ("integer", "number"):
        return Candidates(required, values=_numbers(name, schema, kind, said, siblings))
    if kind == "string" and is_time(schema):
        return Candidates(required, values=_times(schema, said), is_telling=True)
    if kind == "string":
        if _is_number_text(schema):
            return Candidates(required, values=_digits(said))
        return Candidates(required, phrases=_phrases(name, schema, said, vocabulary))
    return Candidates(required, free_rule=kind if kind in ("boolean", "array", "object") else "value")


def _enum_was_said(value: Any, said: Said) -> bool:
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int | float):
        return any(number.value == value for number in said.numbers)
    words = re.findall(r"[^\W_]+", str(value).lower())
    stems = {stem(key) for key in said.keys}
    return any(stem(word) in stems for word in words if word not in STOPWORDS or len(words) == 1)


def content_stems(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that mean something."""
    words = re.findall(r"[^\W_]+", text.lower())
    return frozenset(stem(word) for word in words if word not in STOPWORDS and len(word) > 1)


def stem(word: str) -> str:
    """Cut the commonest English endings off."""
    word = word.lower().removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        return word[:-2]
    for ending in ("s", "ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)]
    return word


def _numbers(name: str, schema: dict[str, Any], kind: str, said: Said, siblings: dict[str, Any]) -> tuple[str, ...]:
    wants_time = any(type_of(sibling) == "string" and is_time(sibling) for sibling in siblings.values())
    unit = stem(name.rsplit("_", 1)[-1].lower())
    unit = unit if unit in _UNITS else ""
    found = []
    for number in said.numbers:
        if wants_time and number.is_time:
            continue
        if kind == "integer" and number.value != int(number.value):
            continue
        if unit and not _has_unit(said, number, unit):
            continue
        if not schema.get("minimum", float("-inf")) <= number.value <= schema.get("maximum", float("inf")):
            continue
        found.append(json.dumps(int(number.value) if number.value == int(number.value) else number.value))
    return tuple(dict.fromkeys(reversed(found)))


def _has_unit(said: Said, number: Number, unit: str) -> bool:
    """Tell whether a number is of a unit: "ten minutes", "a 10-minute timer", or a bare answer of up to three words."""
    following = [stem(word.key) for word in said.words[number.stop : number.stop + 2]]
    if unit in following:
        return True
    start, stop = number.start, number.stop
    while start > 0 and not (said.words[start].starts_sentence or said.words[start - 1].ends_clause):
        start -= 1
    while stop < len(said.words) and not said.words[stop - 1].ends_clause:
        stop += 1
    return stop - start <= 3 and not any(stem(word.key) in _UNITS for word in said.words[start:stop])


def _times(schema: dict[str, Any], said: Said) -> tuple[str, ...]:
    low, high = str(schema.get("formatMinimum", "00:00"))[:5], str(schema.get("formatMaximum", "23:59"))[:5]
    texts = [f"{time.minutes // 60:02}:{time.minutes % 60:02}" for time in said.times]
    return tuple(dict.fromkeys(json.dumps(text) for text in texts if low <= text <= high))


def _is_number_text(schema: dict[str, Any]) -> bool:
    """Tell whether a string parameter is a number to be dialled or looked up: an order, a phone, a room."""
    about = f"{schema.get('description', '')} {schema.get('pattern', '')}".lower()
    return re.search(r"\b(?:numbers?|digits?|codes?|phone)\b|\\d", about) is not None


def _digits(said: Said) -> tuple[str, ...]:
    """Return the digits that were said one by one or together, and words with a digit in them ("A17")."""
    mixed = [word.text for word in said.words if any(char.isdigit() for char in word.text)]
    return tuple(dict.fromkeys(json.dumps(text) for text in [*said.spelled_digits(), *mixed]))


def _vocabulary(tool: ToolSpec, parameters: dict[str, dict[str, Any]]) -> frozenset[str]:
    """Return the words that ask for the tool rather than fill it."""
    texts = [tool.name, *parameters]
    for schema in parameters.values():
        texts += [str(value) for value in schema.get("enum") or ()]
    words = {word for text in texts for word in re.findall(r"[^\W_]+", text.lower())}
    return frozenset(stem(word) for word in words | set(re.findall(r"[^\W_]+", tool.description.lower())))


def _phrases(name: str, schema: dict[str, Any], said: Said, vocabulary: frozenset[str]) -> tuple[Phrase, ...]:
    if not said.words:
        return ()
    about = set(re.findall(r"[a-z]+", f"{name} {schema.get('description', '')}".lower().replace("_", " ")))
    named = bool(about & NAME_WORDS)
    fits = [
        word.key not in STOPWORDS
        and stem(word.key) not in vocabulary
        and word.key not in NUMBER_WORDS
        and word.key not in WEEKDAYS
        and not word.key[0].isdigit()
        for word in said.words
    ]
    if named:
        fits = [ok and proper for ok, proper in zip(fits, _proper(said, fits), strict=True)]
    return tuple(_stretches(said, fits, named=named))


def _proper(said: Said, fits: Sequence[bool]) -> list[bool]:
    """Tell which words look like (part of) a name: a capital that is not the sentence's, or a bare answer.

    Typed without any capital, a word counts after "in", "for", "under", "from" or "is".
    """
    words = said.words
    if not any(word.text[0].isupper() for word in words):
        leads = ("in", "for", "under", "from", "is", "name", "of", "by")
        led = [index > 0 and words[index - 1].key in leads for index in range(len(words))]
        return [led[index] or (index > 0 and led[index - 1] and fits[index - 1]) for index in range(len(words))]
    proper = [word.text[0].isupper() and not word.starts_sentence for word in words]
    for index, word in enumerate(words):
        if word.starts_sentence and word.text[0].isupper():
            alone = index + 1 == len(words) or word.ends_clause or words[index + 1].starts_sentence
            proper[index] = alone or (proper[index + 1] and fits[index + 1])
    return proper


def _stretches(said: Said, fits: Sequence[bool], *, named: bool) -> list[Phrase]:
    """Cut what was said at clause ends; inside, a name is a run of fitting words, a free text may hold any."""
    phrases: list[Phrase] = []
    run: list[int] = []
    for index, word in enumerate(said.words):
        if fits[index] or not named:
            run.append(index)
        if (run and not (fits[index] or not named)) or (word.ends_clause and named) or index + 1 == len(said.words):
            if any(fits[position] for position in run):
                ends = tuple(fits[position] for position in run)
                phrases.append(Phrase(tuple(said.words[position].text for position in run), ends, ends))
            run = []
    return phrases
