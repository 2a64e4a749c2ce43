"""Reads server-sent events out of a byte stream (WHATWG HTML §9.2). Pure."""

from dataclasses import dataclass
from typing import Final

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""An event that grows beyond this is not one that any model sends."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event."""

    data: str
    event: str = "message"


class EventTooLarge(ValueError):
    """A peer that never ends an event."""


class EventReader:
    """Takes bytes as they come, gives whole events; comments, ids and retry times are nobody's here."""

    def __init__(self) -> None:
        self._pending = b""
        self._data: list[str] = []
        self._event = ""
        self._size_bytes = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events that these bytes complete. Raises: EventTooLarge."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        found = [event for line in lines if (event := self._take(line.removesuffix(b"\r"))) is not None]
        if self._size_bytes + len(self._pending) > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return found

    def _take(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size_bytes += len(line)
        elif name == "event":
            self._event = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._data, self._event, self._size_bytes = [], "", 0
        return ServerSentEvent("\n".join(data), event or "message") if data else None
