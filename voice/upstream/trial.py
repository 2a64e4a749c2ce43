"""Tries an upstream out: opens a session and closes it at once. Nothing is asked for, so that it costs nothing."""

import os
import socket
from typing import Final
from urllib.parse import urlsplit

from voice.errors import EngineError
from voice.ids import Ids
from voice.upstream.connection import Connection
from voice.upstream.options import UpstreamOptions

TRIAL_PREFIX: Final = "trial_"
"""Begins the `X-Client-Request-Id` of a trial."""


async def find_obstacle(options: UpstreamOptions) -> str | None:
    """Return why no session can be had at an upstream, in one sentence, or None. Takes `connect_s` at most."""
    connection = Connection(options)
    connection.request_id = f"{TRIAL_PREFIX}{Ids().stem}"
    try:
        await connection.open(is_trial=True)
    except EngineError as error:
        cause = _in_words(error.__cause__)
        return f"{error.message.removesuffix('.')}: {cause}" if cause else error.message
    finally:
        await connection.aclose()
    return None


def shown_address(url: str) -> str:
    """Return an upstream's URL without what may be secret in it: a user, a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _in_words(cause: BaseException | None) -> str:
    match cause:
        case socket.gaierror():
            return f"the name does not resolve ({cause.strerror})"
        case TimeoutError() | None:
            return ""
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case OSError():
            return str(cause)
    return ""
