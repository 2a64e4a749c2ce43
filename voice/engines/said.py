"""What a caller's words contain: the numbers, times of day and phrases that a tool's argument may be made from.

A small language model fills a form with what looks likely. A voice agent must fill it with what was said. So every
argument is chosen from the candidates found here, and an argument without a candidate is one the caller never gave.
English; pure.

    "a table for four on Friday at half past seven"   numbers 4 · times 07:30, 19:30 · words a, table, for, …
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINAL_WORDS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)

SMALL = {word: value for value, word in enumerate(_UNIT_WORDS.split())} | {"oh": 0}
TENS = {word: 20 + 10 * index for index, word in enumerate(_TEN_WORDS.split())}
ORDINALS = {word: value for value, word in enumerate(_ORDINAL_WORDS.split())} | {"thirtieth": 30}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_COLLECTIVES = {"couple": 2, "pair": 2, "dozen": 12}
NUMBER_WORDS = frozenset(SMALL) - {"oh"} | frozenset(TENS) | frozenset(_SCALES) | frozenset(_COLLECTIVES)

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_STOPWORDS = """
a an the and or but so then to of for on at in by with from as is are am was be been being it its it's this that these
those there here i i'm i'd i'll i've me my mine we we'd we're us our you you're your he she they them his her their do
does did don't can could can't would wouldn't will won't shall should may might must have has had let let's please
thanks thank hello hi hey ok okay yes no yeah yep sure well oh um uh er just like want need get give make take know tell
say said go going what what's which who who's whom when where where's why how if not name name's called under about some
any all also too very really now right today tonight tomorrow o'clock pm am p.m a.m evening morning good goodbye bye
great fine nice sorry lot cool perfect afternoon night half quarter past people persons person guests one's up out us
"""
STOPWORDS = frozenset(_STOPWORDS.split())
"""Words that alone are no answer to any question a tool may ask."""

_CLOCK_WORDS = frozenset({"half", "quarter", "past", "to", *SMALL, *TENS})
_HYPHENED = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019.-][^\W\d_]+)*|\d+\w+", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was transcribed."""

    text: str
    """With its capitals, without punctuation."""
    starts_sentence: bool
    """Its capital may be the sentence's, not its own."""
    ends_clause: bool
    """Punctuation follows it."""

    @property
    def key(self) -> str:
        """What it is compared by."""
        return self.text.lower().replace("\u2019", "'")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was said, with the words that said it."""

    value: float
    start: int
    """Index of its first word."""
    stop: int
    """Index after its last word."""
    is_time: bool = False
    """It is (part of) a time of day: "at seven", "7:30", "half past seven"."""


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A time of day that was said."""

    minutes: int
    """Since midnight."""
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Said:
    """The caller's words and what is in them."""

    words: tuple[Word, ...]
    numbers: tuple[Number, ...]
    times: tuple[ClockTime, ...]
    """Both halves of the day where the caller did not say which, the likelier one for an appointment first."""

    @classmethod
    def parse(cls, text: str) -> "Said":
        """Read a transcript."""
        words = tuple(_words(text))
        keys = [word.key for word in words]
        times = tuple(_times(keys))
        taken = {index for time in times for index in range(time.start, time.stop)}
        numbers = tuple(
            Number(value, start, stop, is_time=any(index in taken for index in range(start, stop)))
            for value, start, stop in find_numbers(keys)
        )
        return cls(words, numbers, times)

    @property
    def keys(self) -> list[str]:
        """The words as they are compared."""
        return [word.key for word in self.words]

    def contains(self, phrase: str) -> bool:
        """Tell whether the words of `phrase` occur one after the other; capitals and punctuation do not count."""
        wanted = [word.key for word in _words(phrase)]
        keys = self.keys
        return bool(wanted) and any(
            keys[start : start + len(wanted)] == wanted for start in range(len(keys) - len(wanted) + 1)
        )

    def spelled_digits(self) -> list[str]:
        """Return the runs of digits said one by one ("four two seven") or written together, as digit strings."""
        runs: list[str] = []
        run = ""
        for key in [*self.keys, ""]:
            digits = key if key.isdigit() else str(SMALL[key]) if SMALL.get(key, 10) < 10 else ""
            if digits:
                run += digits
            elif run:
                runs.append(run)
                run = ""
        return runs


def _words(text: str) -> Iterator[Word]:
    last_stop = 0
    starts = True
    text = _HYPHENED.sub(_apart, text)
    matches = list(_TOKEN.finditer(text))
    for index, match in enumerate(matches):
        between = text[last_stop : match.start()]
        starts = index == 0 or any(mark in between for mark in ".!?")
        after = text[match.end() : matches[index + 1].start() if index + 1 < len(matches) else None]
        last_stop = match.end()
        yield Word(match.group(), starts, any(mark in after for mark in ".,;:!?"))


def _apart(match: re.Match[str]) -> str:
    """Write "half-past-seven" and "seven-thirty" as separate words; "twenty-one" and "check-in" stay one."""
    parts = match.group().lower().split("-")
    is_number = len(parts) == 2 and parts[0] in TENS and 0 < SMALL.get(parts[1], 10) < 10
    return match.group().replace("-", " ") if _CLOCK_WORDS.issuperset(parts) and not is_number else match.group()


def find_numbers(keys: Sequence[str]) -> Iterator[tuple[float, int, int]]:
    """Yield (value, start, stop) of each number in a list of lower-case words, longest reading first."""
    index = 0
    while index < len(keys):
        value, stop = _number_at(keys, index)
        if stop == index:
            index += 1
            continue
        yield value, index, stop
        index = stop


def _number_at(keys: Sequence[str], start: int) -> tuple[float, int]:
    key = keys[start]
    if key[0].isdigit():
        return _written(key, start)
    if key in ORDINALS:
        return float(ORDINALS[key]), start + 1
    if key in _COLLECTIVES:
        return float(_COLLECTIVES[key]), start + 1
    total, current, index = 0, 0, start
    while index < len(keys):
        step = _spoken_step(keys, index, current)
        if step is None:
            break
        current, closes, used = step
        index += used
        if closes:
            total, current = total + current, 0
    if index == start:
        return 0.0, start
    if index + 1 < len(keys) and keys[index] == "point" and SMALL.get(keys[index + 1], 10) < 10:
        return float(f"{total + current}.{SMALL[keys[index + 1]]}"), index + 2
    return float(total + current), index


def _written(key: str, start: int) -> tuple[float, int]:
    plain = re.match(r"^\d{1,3}(?:,\d{3})+$|^\d+(?:\.\d+)?", key)
    if plain is None or ":" in key:
        return 0.0, start
    return float(plain.group().replace(",", "")), start + 1


def _spoken_step(keys: Sequence[str], index: int, current: int) -> tuple[int, bool, int] | None:
    """Return (new current, whether a thousand is complete, words used), or None where the number ends."""
    key = keys[index]
    if "-" in key:
        parts = key.split("-")
        if len(parts) == 2 and parts[0] in TENS and parts[1] in SMALL and current % 100 == 0:
            return current + TENS[parts[0]] + SMALL[parts[1]], False, 1
        return None
    if key in SMALL and key != "oh":
        fits = current % 100 == 0 if SMALL[key] >= 10 else current % 10 == 0 and (current % 100 != 10 or current == 0)
        return (current + SMALL[key], False, 1) if fits else None
    if key in TENS:
        return (current + TENS[key], False, 1) if current % 100 == 0 else None
    if key == "hundred" and 0 < current < 100:
        return current * 100, False, 1
    if key in ("thousand", "million") and current:
        return current * _SCALES[key], True, 1
    if key == "and" and current and current % 100 == 0 and index + 1 < len(keys):
        following = keys[index + 1]
        return (current, False, 1) if following in SMALL or following in TENS else None
    return None


# --- Times of day ------------------------------------------------------------------------------------------------

_PM = frozenset({"pm", "p.m", "evening", "afternoon", "tonight", "night"})
_AM = frozenset({"am", "a.m", "morning"})
_TIME_LEADS = frozenset({"at", "around", "by", "until", "till", "before", "after", "from", "about"})


def _times(keys: Sequence[str]) -> Iterator[ClockTime]:
    index = 0
    while index < len(keys):
        read = _time_at(keys, index)
        if read is None:
            index += 1
            continue
        hour, minute, stop = read
        for minutes in _readings(hour, minute, keys[stop : stop + 3]):
            yield ClockTime(minutes, index, stop)
        index = stop


def _readings(hour: int, minute: int, following: Sequence[str]) -> list[int]:
    """Return what a clock's hour may mean, the likelier first: most appointments lie between 8:00 and 20:00."""
    if hour > 12 or hour == 0:
        return [hour % 24 * 60 + minute]
    half = _half_of_day(following)
    morning, evening = hour % 12 * 60 + minute, hour % 12 * 60 + minute + 720
    if half:
        return [evening if half == "pm" else morning]
    return [morning, evening] if 8 <= hour <= 11 else [evening, morning]


def _half_of_day(following: Sequence[str]) -> str | None:
    for position, key in enumerate(following):
        if key in _PM:
            return "pm"
        if key in _AM:
            return "am"
        if key not in ("in", "the", "at", "o'clock", "this", "on") or position == 2:
            return None
    return None


_NOON = 36
"""Twelve on the clock of a day later: unlike "twelve" it has no second reading."""


def _time_at(keys: Sequence[str], index: int) -> tuple[int, int, int] | None:
    """Return (hour, minute, index after) of the time that begins at a word, or None."""
    key = keys[index]
    if key in ("noon", "midday"):
        return _NOON, 0, index + 1
    if key == "midnight":
        return 0, 0, index + 1
    return _relative_time(keys, index) or _written_time(keys, index) or _spoken_time(keys, index)


def _relative_time(keys: Sequence[str], index: int) -> tuple[int, int, int] | None:
    """Read "half past seven", "quarter to eight", "twenty past six"."""
    minute = {"half": 30, "quarter": 15}.get(keys[index])
    stop = index + 1
    if minute is None:
        value, stop = _number_at(keys, index)
        minute = int(value)
    if stop == index or stop + 1 >= len(keys) or keys[stop] not in ("past", "to", "after") or minute > 59:
        return None
    hour = _hour_word(keys[stop + 1])
    if hour is None or not minute:
        return None
    return (hour, minute, stop + 2) if keys[stop] != "to" else ((hour - 1) or 12, 60 - minute, stop + 2)


def _written_time(keys: Sequence[str], index: int) -> tuple[int, int, int] | None:
    """Read "7:30", "19:00", "7.30" after "at", "7pm"."""
    match = re.fullmatch(r"(\d{1,2})(?:([:.])([0-5]\d))?(am|pm)?", keys[index])
    if match is None or int(match[1]) > 24:
        return None
    led = index > 0 and keys[index - 1] in _TIME_LEADS
    if match[4]:
        hour = int(match[1]) % 12 + (12 if match[4] == "pm" else 0)
        return (hour, int(match[3] or 0), index + 1) if hour else (24, int(match[3] or 0), index + 1)
    if match[2] == ":" or (match[2] == "." and led):
        return int(match[1]), int(match[3]), index + 1
    return None


def _spoken_time(keys: Sequence[str], index: int) -> tuple[int, int, int] | None:
    """Read "seven thirty", "seven o'clock", "eight pm", "at seven", "eight in the evening"."""
    hour = _hour_word(keys[index])
    if hour is None:
        return None
    stop = index + 1
    led = index > 0 and keys[index - 1] in _TIME_LEADS
    if stop < len(keys) and keys[stop] == "o'clock":
        return hour, 0, stop + 1
    minute, after = _number_at(keys, stop) if stop < len(keys) else (0.0, stop)
    if after > stop and minute in (15, 30, 45) and (led or after == len(keys) or _half_of_day(keys[after : after + 3])):
        return hour, int(minute), after
    if _half_of_day(keys[stop : stop + 3]):
        return hour, 0, stop
    if led and not (
        stop < len(keys) and keys[stop] in ("people", "persons", "guests", "minutes", "hours", "days", "of")
    ):
        return hour, 0, stop
    return None


def _hour_word(key: str) -> int | None:
    if key.isdigit() and 0 < int(key) <= 24:
        return int(key)
    value = SMALL.get(key)
    return value if value is not None and 0 < value <= 12 else None
