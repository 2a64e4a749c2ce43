"""`x-ratelimit-*`: what is left, to this caller, of the limit that the request falls under.

| asked for                                      | limited                                              |
|---|---|
| a session, a call, a translation, their secret | sessions at a time, of the key or in all: the tighter |
| `/v1/audio`, `/v1/chat`, `/v1/responses`       | requests at a time                                   |

Nothing is limited over time and no tokens are, so neither is told: there is no `-tokens`, and a `-reset-requests` only
where a refusal says when to come again. For the same reason `rate_limits.updated` lists nothing but the limits that an
upstream engine reports of itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from voice.room import Room

LIMIT: Final = "x-ratelimit-limit-requests"
REMAINING: Final = "x-ratelimit-remaining-requests"
RESET: Final = "x-ratelimit-reset-requests"


@dataclass(frozen=True, slots=True)
class _Limited:
    room: Callable[[], Room]


_LIMITED: Final = web.RequestKey("limited", _Limited)


def limit_by(request: web.Request, room: Callable[[], Room]) -> None:
    """Let the answer tell of `room`, asked when its head is sent: a session that it opens is counted then.

    Only who is known is told: call it behind the key.
    """
    request[_LIMITED] = _Limited(room)


async def add_rate_limits(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on an answer, a refusal too (signal `on_response_prepare`)."""
    limited = request.get(_LIMITED)
    if limited is None:
        return
    room = limited.room()
    response.headers[LIMIT] = str(room.limit)
    response.headers[REMAINING] = str(room.remaining)
    if hdrs.RETRY_AFTER in response.headers:
        response.headers[RESET] = f"{response.headers[hdrs.RETRY_AFTER]}s"
