"""Logging by structlog: readable lines on a terminal, JSON elsewhere. Secrets never reach an event's fields."""

import logging
import sys
from typing import IO, Literal

import structlog
from structlog.typing import Processor

LogFormat = Literal["auto", "console", "json"]


def configure_logs(level: str = "info", format: LogFormat = "auto", stream: IO[str] | None = None) -> None:
    """Set logging up for the whole process, the libraries' records included. `stream`: standard error by default."""
    stream = stream or sys.stderr
    console = format == "console" or (format == "auto" and stream.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    ending: list[Processor] = (
        # Plain tracebacks: pretty ones show local variables, which hold what callers said, and take seconds to draw.
        [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # A line for every request would drown the rest; the metrics count them.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    # ICE tells every check of every candidate pair; a call that does not connect says so itself.
    logging.getLogger("aioice").setLevel(logging.WARNING)
