"""Keeps what malformed and broken requests hold out of the log.

aiohttp answers what is no HTTP before any middleware sees it, and logs it as an error with the place that is wrong in
quotes: of a header that ends in a stray character, a key and all.
"""

import logging
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

_FAULTS_OF_CLIENTS: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)
"""No HTTP, a body that is not what its headers say, and one that broke off."""


def request_log() -> logging.Logger:
    """Return the log for aiohttp's connections (`handler_args` of an application)."""
    log = logging.getLogger("transports.http.requests")
    log.addFilter(_without_contents)  # once, however often it is asked for
    return log


def _without_contents(record: logging.LogRecord) -> bool:
    """Tell in one line that such a request came; anyone on the network can send one, so it is no error of ours."""
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, _FAULTS_OF_CLIENTS):
        return True
    record.levelno = min(record.levelno, logging.INFO)
    record.levelname = logging.getLevelName(record.levelno)
    record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}", None
    record.exc_info = None
    return logging.getLogger(record.name).isEnabledFor(record.levelno)
