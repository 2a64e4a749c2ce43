"""Logs are lines for a person on a terminal and JSON elsewhere, our records and the libraries' alike."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from voice.logs import configure_logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_outside_a_terminal_every_record_is_a_line_of_json() -> None:
    stream = io.StringIO()
    configure_logs("info", "auto", stream)
    structlog.get_logger("voice.x").info("session started", session="sess_1")
    logging.getLogger("asyncio").warning("slow %s", "loop")
    ours, library = lines(stream)
    assert (ours["event"], ours["session"], ours["level"]) == ("session started", "sess_1", "info")
    assert (library["event"], library["level"]) == ("slow loop", "warning")


def test_on_a_terminal_records_are_for_a_person() -> None:
    stream = Terminal()
    configure_logs("info", "auto", stream)
    structlog.get_logger("voice.y").info("session started")
    assert "session started" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_an_exception_stands_in_its_line() -> None:
    stream = io.StringIO()
    configure_logs("info", "json", stream)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        structlog.get_logger("voice.z").exception("session failed")
    (line,) = lines(stream)
    assert "RuntimeError: broken" in str(line["exception"])


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    configure_logs("warning", "json", stream)
    structlog.get_logger("voice.w").info("quiet")
    assert stream.getvalue() == ""
