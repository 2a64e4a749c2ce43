"""Reads what a docstring says about a function and its arguments (Google and reST)."""

import inspect
import re
from dataclasses import dataclass

_GOOGLE_ARGUMENTS = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_GOOGLE_SECTION = re.compile(r"^(Returns?|Raises|Yields?|Examples?|Notes?|Warnings?|See Also|Todo|Attributes):")
_GOOGLE_ARGUMENT = re.compile(r"^\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)$")
_REST_ARGUMENT = re.compile(r"^:(param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(?P<name>\w+)\s*:\s*(?P<text>.*)$")
_REST_FIELD = re.compile(r"^:\w+[^:]*:")


@dataclass(frozen=True, slots=True)
class Documentation:
    """A docstring taken apart."""

    description: str
    """What stands before the first section; paragraphs are kept, lines within one are joined."""
    arguments: dict[str, str]
    """Argument name to its description, on one line."""


def read_docstring(text: str | None) -> Documentation:
    """Take a docstring apart. What it does not understand is left out, never an error."""
    lines = inspect.cleandoc(text or "").splitlines()
    description: list[str] = []
    arguments: dict[str, list[str]] = {}
    section = "description"
    current: list[str] | None = None
    entry_indent = 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        words = line.strip()
        if rest := _REST_ARGUMENT.match(line):
            section, current = "rest", arguments.setdefault(rest["name"], [rest["text"]])
        elif _GOOGLE_ARGUMENTS.match(line):
            section, current, entry_indent = "google", None, 0
        elif _GOOGLE_SECTION.match(line) or _REST_FIELD.match(line):
            section, current = "other", None
        elif section == "description":
            description.append(words)
        elif section == "google" and words and indent == 0:
            section = "other"
        elif section == "google" and words:
            # The first entry sets the depth; what stands deeper goes on with the entry above it.
            entry_indent = entry_indent or indent
            if indent <= entry_indent and (google := _GOOGLE_ARGUMENT.match(words)):
                current = arguments.setdefault(google["name"], [google["text"]])
            elif current is not None:
                current.append(words)
        elif section == "rest" and current is not None and words and indent:
            current.append(words)
    joined = {name: " ".join(part for part in parts if part) for name, parts in arguments.items()}
    return Documentation(_join_paragraphs(description), {name: words for name, words in joined.items() if words})


def _join_paragraphs(lines: list[str]) -> str:
    paragraphs = "\n".join(lines).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())
