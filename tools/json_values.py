"""Counts the values of JSON that comes in pieces, without taking it apart.

What is within a string counts for nothing, however much JSON it quotes: it costs nothing to check.
"""

import re

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
"""To its closing quotation mark, or, where that is to come, to the end of the piece."""

_ESCAPE = re.compile(rb"\\.", re.DOTALL)


class ValueCounter:
    """Of one text, or of several one after the other."""

    def __init__(self) -> None:
        self.values = 0
        """Of arrays and objects, so far: at most so many, and themselves."""
        self._open = b""
        """What makes the next piece go on within a string: its quotation mark, and a backslash that ended the last."""

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        piece = self._open + piece
        outside = _STRING.sub(rb"\1", piece)
        self.values += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        self._open = b""
        if _ESCAPE.sub(b"", piece).count(b'"') % 2:
            backslashes = len(piece) - len(piece.rstrip(b"\\"))
            self._open = b'"\\' if backslashes % 2 else b'"'
