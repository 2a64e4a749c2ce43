"""Pieces of the grammar of RFC 3261 §25 that several headers share: tokens, quoted strings, lists, parameters.

Everything here is linear in the length of its input: the patterns are possessive, so that hostile text cannot make
them try again. Parameters are dictionaries in order of appearance with lower-case names; a flag has the value None;
a quoted value keeps its quotes (`unquote` takes them off), so that what is echoed is what was read.
"""

import re
from collections.abc import Mapping

from sip.errors import BuildError, SipSyntaxError

Params = dict[str, str | None]

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]+"
QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
HOST = r"\[[0-9A-Fa-f:.%]++\]|[A-Za-z0-9_.\-]++"
"""A name, an IPv4 address or a bracketed IPv6 reference. `_` is not in the grammar but in many a real name."""

_TOKEN = re.compile(TOKEN)
_QUOTED = re.compile(QUOTED, re.DOTALL)
_STOPS = {separator: re.compile(f'[{separator}"<]') for separator in ",;"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_NOT_IN_QUOTES = re.compile(r'["\\]')


def is_token(text: str) -> bool:
    """Say whether `text` is a token (method names, header names, tags, branches)."""
    return _TOKEN.fullmatch(text) is not None


def split_outside(text: str, separator: str = ",") -> list[str]:
    """Cut at `separator` (`,` or `;`) where it stands neither in a quoted string nor between `<` and `>`.

    Parts are stripped; empty ones are kept. Raises: SipSyntaxError for a quote or bracket that never closes.
    """
    if '"' not in text and "<" not in text:
        return [part.strip() for part in text.split(separator)]
    parts: list[str] = []
    start = position = 0
    stop = _STOPS[separator]
    while found := stop.search(text, position):
        position = found.start()
        if text[position] == separator:
            parts.append(text[start:position].strip())
            position += 1
            start = position
        else:
            position = _skip(text, position)
    parts.append(text[start:].strip())
    return parts


def _skip(text: str, position: int) -> int:
    """Return the place after the quoted string or the bracket that opens at `position`."""
    if text[position] == '"':
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            raise SipSyntaxError("quoted string is not closed")
        return quoted.end()
    closed = text.find(">", position)
    if closed < 0:
        raise SipSyntaxError("angle bracket is not closed")
    return closed + 1


def parse_params(text: str) -> Params:
    """Read `name=value;flag;name="quoted"`, with or without a leading semicolon.

    A repeated name keeps its first value (real Contacts carry `;transport=tls;transport=tls`), one trailing semicolon
    is forgiven. Raises: SipSyntaxError for an empty parameter or an empty name.
    """
    params: Params = {}
    if text.startswith(";"):
        text = text[1:]
    if text.endswith(";"):
        text = text[:-1]
    for part in split_outside(text, ";") if '"' in text or "<" in text else text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not name:
            raise SipSyntaxError("empty parameter")
        if name not in params:
            params[name] = value.strip() if equals else None
    return params


def format_params(params: Mapping[str, str | None]) -> str:
    """Return `;name=value;flag`, the empty string for none."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params.items())


def unquote(text: str) -> str:
    """Take quotes and backslashes off a quoted string; return anything else as it is."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        inner = text[1:-1]
        return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner
    return text


def quote(text: str) -> str:
    """Return `text` as a quoted string. Raises: BuildError when it holds a line break."""
    if "\r" in text or "\n" in text:
        raise BuildError("a quoted string cannot hold a line break")
    return '"' + _NOT_IN_QUOTES.sub(lambda found: "\\" + found[0], text) + '"'


def unescape(text: str) -> str:
    """Decode `%41`; a `%` that starts no escape stands for itself (RFC 4475 §3.1.1.5)."""
    if "%" not in text:
        return text
    return _PERCENT.sub(lambda found: chr(int(found[1], 16)), text)


def parse_number(text: str, limit: int, what: str) -> int:
    """Read a decimal number of at most `limit`. Raises: SipSyntaxError naming `what`."""
    # isdecimal alone takes Arabic digits, and int() alone takes 10^6 of them in quadratic time.
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or (number := int(text)) > limit:
        raise SipSyntaxError(f"{what} is not a number up to {limit}")
    return number
