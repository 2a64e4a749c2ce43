"""Turns what a model writes into what can be said: no markdown, no lists, no code, no pictographs.

A voice that reads "asterisk asterisk" is worse than one that leaves something out. What passes here is what is spoken,
and so it is also what the conversation keeps.
"""

import re
import unicodedata
from collections.abc import Sequence

from voice.session.items import Item, ToolCall, ToolOutput

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"^\s*#{1,6}\s*")
_EMPHASIS = re.compile(r"\*\*|__|~~|\*|`+|(?<!\w)_|_(?!\w)")
_TAG = re.compile(r"</?[a-zA-Z_|][^>]*>")
_TABLE_RULE = re.compile(r"^[\s|:-]*$")
_SENTENCE = re.compile(r"[^\W_][^\n{}<>|]* [^\n{}<>|]{1,300}[.!?]")


class SpokenFilter:
    """Takes text as it is generated and gives what may be spoken of it, line by line inside and word by word outside.

    Text is held back only while it cannot be decided: inside a fence, after an opening bracket, in an unfinished
    marker at the end.
    """

    def __init__(self) -> None:
        self._held = ""
        self._in_fence = False
        self._at_line_start = True

    def feed(self, text: str) -> str:
        """Take the next text; return what of it can be spoken now."""
        self._held += text
        out = []
        while "\n" in self._held:
            line, self._held = self._held.split("\n", 1)
            out.append(self._line(line, complete=True))
        out.append(self._partial_line())
        return "".join(out)

    def flush(self) -> str:
        """Return the rest."""
        line, self._held = self._held, ""
        return "" if self._in_fence else self._line(line, complete=False)

    def _partial_line(self) -> str:
        """Give the beginning of a line that has no end yet, up to the last place that is safe to judge."""
        if self._in_fence or (self._at_line_start and not _is_plain_start(self._held)):
            return ""
        cut = len(self._held)
        for opener in "[<`*_~":
            at = self._held.rfind(opener)
            if at >= 0 and not _is_closed(self._held, at):
                cut = min(cut, at)
        ready, self._held = self._held[:cut], self._held[cut:]
        if ready:
            self._at_line_start = False
        return clean(ready)

    def _line(self, line: str, *, complete: bool) -> str:
        starts, self._at_line_start = self._at_line_start, complete
        if starts and line.strip().startswith("```"):
            self._in_fence = not self._in_fence and not line.strip().endswith("```", 3)
            return ""
        if self._in_fence or (starts and _TABLE_RULE.match(line)):
            return " " if line.strip() == "" and not self._in_fence else ""
        if starts:
            item = _BULLET.match(line) is not None or _HEADING.match(line) is not None
            text = clean(_BULLET.sub("", _HEADING.sub("", line))).strip()
            # A list item or a heading is a sentence to the ear.
            line = f"{text}." if item and text and text[-1] not in ".!?,:;" else text
        else:
            line = clean(line)
        return f"{line} " if complete else line


def clean(text: str) -> str:
    """Return text without inline markup and pictographs; what a link shows stays, where it leads does not."""
    text = _LINK.sub(r"\1", text)
    text = _TAG.sub("", text)
    text = _EMPHASIS.sub("", text).replace("|", " ")
    return "".join(char for char in text if unicodedata.category(char) not in ("So", "Cs", "Co") and char != "\ufe0f")


def readable_result(items: Sequence[Item]) -> str:
    """Return what a tool has just returned, if it is a sentence that can be read out as it is; else ""."""
    last = items[-1] if items else None
    result = last.output if isinstance(last, ToolCall | ToolOutput) else None
    return result if result is not None and _SENTENCE.fullmatch(result) else ""


def _is_plain_start(line: str) -> bool:
    """Tell whether a line that has begun is neither a list item, a heading, a fence nor a table."""
    stripped = line.lstrip()
    if not stripped:
        return False
    if stripped[0].isdigit():
        return re.match(r"\d{1,2}([.)]?$|[.)]\s)", stripped) is None
    return stripped[0] not in "-*+•#`|"


def _is_closed(text: str, at: int) -> bool:
    """Tell whether the markup that opens at an index is complete in the text."""
    opener, rest = text[at], text[at + 1 :]
    if opener == "[":
        return re.match(r"[^\]]*\]\([^)]*\)|[^\]]*\][^(]", rest) is not None
    if opener == "<":
        return ">" in rest or (bool(rest) and not (rest[0].isalpha() or rest[0] in "/|"))
    return bool(rest)
