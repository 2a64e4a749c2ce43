"""Cuts a stream of generated text into clauses that are spoken one by one.

The first clause decides how long the caller waits, so it ends as early as is natural: at the first comma, or after a
few words before a word that opens a new phrase. Later clauses are spoken while earlier ones play, so they may be long
enough to sound well: whole sentences, or a long sentence's parts.

    "Yes, we are open on Sunday from 12:00 to 22:00. Dr. Lee says hi."
     └──┘ └──────────────────────────────────────┘  └──────────────┘
"""

import re

_OPENERS = frozenset(
    {"and", "but", "or", "so", "because", "which", "that", "who", "where", "when", "while", "if", "for", "with"}
    | {"from", "at", "in", "on", "by", "about", "before", "after", "until", "between", "behind", "under", "near"}
)
"""Words before which a speaker may draw breath."""

_CLINGING = frozenset(
    {"a", "an", "the", "of", "to", "my", "your", "our", "their", "his", "her", "is", "are", "not", "very"}
)
"""Words after which nobody pauses."""

_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "st", "no", "vs", "etc", "e.g", "i.e", "a.m", "p.m", "approx", "jr", "sr", "inc"}
    | {"ltd", "co", "ave", "rd", "jan", "feb", "mar", "apr", "aug", "sept", "sep", "oct", "nov", "dec", "u.s", "u.k"}
)

FIRST_WORDS = 3
"""From this many words on, the first clause ends before a word that opens a phrase."""
FIRST_LIMIT_WORDS = 6
"""The first clause ends after so many at the latest, unless its last word clings to the next."""
LATER_WORDS = 6
"""A later clause ends at a comma from this many words on."""
LATER_LIMIT_WORDS = 22

CLOSING_MARKS = "\"'\u201d\u2019)"
"""What may stand behind the punctuation that ends a clause."""

_WORD = re.compile(r"\S+")


class ClauseCutter:
    """Takes text as it is generated, gives whole clauses; joined by spaces they are the text."""

    def __init__(self, *, early: bool = True) -> None:
        """`early`: the first clause is to come out as soon as it can."""
        self._pending = ""
        self._is_first = early

    def feed(self, text: str) -> list[str]:
        """Take the next text; return the clauses it completes."""
        self._pending += text
        clauses = []
        while (end := self._end()) is not None:
            clause, self._pending = self._pending[:end].strip(), self._pending[end:]
            if clause:
                clauses.append(clause)
                self._is_first = False
        return clauses

    def flush(self) -> list[str]:
        """Return what is left as the last clause."""
        rest, self._pending = self._pending.strip(), ""
        self._is_first = False
        return [rest] if rest else []

    def _end(self) -> int | None:
        """Return where the first clause of what is pending ends, None while that is open."""
        text = self._pending
        words = list(_WORD.finditer(text))
        for count, word in enumerate(words, start=1):
            is_last = count == len(words)
            is_whole = not is_last or word.end() < len(text)
            if self._ends_after(word.group(), count, is_whole=is_whole):
                return word.end()
            if is_last or not is_whole:
                return None
            following = words[count]
            # The word behind must be whole: "on" may become "one".
            if count + 1 < len(words) or following.end() < len(text):
                if self._breaks_before(word.group(), following.group(), count):
                    return word.end()
            else:
                return None
        return None

    def _ends_after(self, word: str, count: int, *, is_whole: bool) -> bool:
        core = word.rstrip(CLOSING_MARKS)
        mark = core[-1:]
        if mark in ("!", "?", "…"):
            return is_whole or core == word
        if mark == ".":
            return is_whole and ends_sentence(core)
        if mark in (",", ";", ":", "\u2013", "\u2014") and len(core) > 1 and not core[-2].isdigit():
            return count >= (1 if self._is_first else LATER_WORDS)
        if mark in (",", ";") and is_whole and len(core) > 1:
            return count >= (2 if self._is_first else LATER_WORDS)
        return False

    def _breaks_before(self, word: str, following: str, count: int) -> bool:
        opens = following.lower().strip(",.!?") in _OPENERS
        clings = word.lower() in _CLINGING or word.lower() in _OPENERS or word[-1:].isdigit()
        if self._is_first:
            # "the 12 | o'clock table": a number belongs to what follows.
            return not clings and ((opens and count >= FIRST_WORDS) or count >= FIRST_LIMIT_WORDS)
        return not clings and opens and count >= LATER_LIMIT_WORDS


def ends_sentence(word: str) -> bool:
    """Tell whether the full stop of `word` ends a sentence rather than an abbreviation, an initial or a list number."""
    core = word.rstrip(".").lower().lstrip("(\"'\u201c\u2018")
    if core in _ABBREVIATIONS:
        return False
    if len(core) == 1 and core.isalpha() and core != "i":
        return False
    return not re.fullmatch(r"\d{1,2}", core) or len(word) - len(word.rstrip(".")) > 1
