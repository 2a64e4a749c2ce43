"""Puts characters together that a server cut in two.

JSON may hold half of a UTF-16 pair, and servers that count in UTF-16 end a delta in the middle of an emoji. Nothing
that is written as UTF-8 takes such a half.
"""


class Characters:
    """Of one text, delta by delta."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, delta: str) -> str:
        """Return what is whole by now; a half that never finds its other is �."""
        text = self._half + delta
        cut = len(text) - 1 if text and "\ud800" <= text[-1] <= "\udbff" else len(text)
        self._half = text[cut:]
        return text[:cut].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
