"""Reads a time of day as people say it: "half past seven", "7:30 pm", "nineteen thirty", "eight o'clock"."""

import re
from datetime import time

# fmt: off
_COUNTED = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]
# fmt: on
_NUMBERS = {word: value for value, word in enumerate(_COUNTED)} | {
    "noon": 12,
    "midday": 12,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "quarter": 15,
    "half": 30,
    "oh": 0,
}
_NOISE = re.compile(r"\b(at|around|about|o'?\s?clock|sharp|in the|hours?|a|minutes)\b|[,]")


def read_times(words: str) -> list[time]:
    """Return every time of day that the words may mean: "seven" is 7:00 and 19:00. Empty if they are no time."""
    text = words.lower().replace("p.m.", "pm").replace("a.m.", "am").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    half = (
        "pm"
        if re.search(r"pm\b|evening|tonight|night|afternoon", text)
        else "am"
        if re.search(r"am\b|morning", text)
        else None
    )
    text = re.sub(r"(pm|am)\b|evening|tonight|night|afternoon|morning", " ", _NOISE.sub(" ", text))
    minutes = _minutes_of_day(re.sub(r"(\d)[:.h](\d)", r"\1 \2", text).replace("-", " ").split())
    if minutes is None:
        return []
    hour, minute = divmod(minutes, 60)
    if hour > 12 or hour == 0:
        return [time(hour, minute)]
    readings = {"am": [hour % 12], "pm": [hour % 12 + 12], None: [hour, (hour + 12) % 24]}[half]
    # Twelve is noon: nobody books a table for midnight.
    return [time(12, minute)] if hour == 12 and half != "am" else [time(reading, minute) for reading in readings]


def _minutes_of_day(words: list[str]) -> int | None:
    numbers: list[int] = []
    sign = 0
    for word in words:
        if word in ("past", "after", "to", "before") and numbers and not sign:
            sign = 1 if word in ("past", "after") else -1
        elif word.isdecimal() and len(word) <= 2:
            numbers.append(int(word))
        elif word.isdecimal() and len(word) == 4:
            numbers += [int(word[:2]), int(word[2:])]
        elif word in _NUMBERS:
            numbers.append(_NUMBERS[word])
        else:
            return None
    if sign:
        split = words.index(next(word for word in words if word in ("past", "after", "to", "before")))
        minute, hour = _sum(numbers[:split]), _sum(numbers[split:])
        if minute is None or hour is None:
            return None
        total = hour * 60 + sign * minute
    elif not numbers:
        return None
    else:
        rest = _sum(numbers[1:]) if numbers[1:] else 0
        hour = numbers[0]
        if hour == 20 and numbers[1:2] and 0 < numbers[1] < 4:  # "twenty one thirty"
            hour, rest = 20 + numbers[1], _sum(numbers[2:]) if numbers[2:] else 0
        if rest is None or rest > 59:
            return None
        total = hour * 60 + rest
    return total if 0 <= total < 24 * 60 else None


def _sum(numbers: list[int]) -> int | None:
    """Return "twenty five" as 25; None for what is no number of minutes."""
    return sum(numbers) if numbers and len(numbers) <= 2 and sum(numbers) < 60 else None
