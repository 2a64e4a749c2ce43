"""One connection: it sends, waits for what must come, and has every frame checked.

A cursor runs over what came: `expect` looks on from there and passes what is of another type, since transcripts and
limits may come anywhere; the order that counts is the grammar's. An `error` that nobody waits for ends the flow.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from voice.conformance.checks import Checks, Violation
from voice.conformance.verdict import Failed, Frame
from voice.conformance.wire import Wire, WireClosed
from voice.talk.recording import Recording

Where = Callable[[Frame], object]

_LATE_S = 3.0
"""`rate_limits.updated`, and transcripts, may come behind all that a flow waits for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all flows share."""

    speech: Recording | None = None
    """A sentence; None: there is none, flows that need one are skipped."""
    timeout_s: float = 20.0
    """For each single thing that is waited for."""
    quiet_s: float = 0.8
    """How long to look whether something comes that must not."""
    paced: bool = True
    """Speak at the pace of speech. Off only where time is stepped."""
    mcp_url: str | None = None
    """An MCP server that the server under test can reach, with the tools of `mcp_server.py`."""


class Connection:
    """One connection of one flow."""

    def __init__(self, wire: Wire, checks: Checks, settings: Settings) -> None:
        """`start` reads; `aclose` hangs up."""
        self.settings = settings
        self.frames: list[Frame] = []
        """What the server sent, in order."""
        self.transcript: list[Frame] = []
        """Both directions: `{"from": "client"|"server", "at_ms": …, "event": {…}}`."""
        self.sent_types: set[str] = set()
        self.closed: WireClosed | None = None
        self._wire = wire
        self._checks = checks
        self._cursor = 0
        self._count = 0
        self._changed = asyncio.Event()
        self._started_s = time.monotonic()
        self._reader: asyncio.Task[None] | None = None

    @property
    def violations(self) -> list[Violation]:
        """What the checks of single frames and of their order found."""
        return self._checks.violations

    def start(self) -> None:
        """Begin to read."""
        self._reader = asyncio.create_task(self._read(), name="conformance reader")

    async def aclose(self) -> None:
        """Hang up."""
        await self._wire.aclose()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    # --- Sending --------------------------------------------------------------------------------------------------

    async def send(self, type: str, **fields: Any) -> str:
        """Send an event and return its `event_id`. Raises: Failed when the server has hung up."""
        self._count += 1
        event_id = fields.setdefault("event_id", f"kit_{self._count}")
        await self.send_text(json.dumps({"type": type, **fields}), {"type": type, **fields})
        return str(event_id)

    async def send_text(self, text: str, event: Frame | None = None) -> None:
        """Send a frame as it is. Raises: Failed when the server has hung up."""
        event = event if event is not None else {"text": text[:2000]}
        if isinstance(event.get("type"), str):
            self.sent_types.add(event["type"])
        self._keep("client", event)
        try:
            await self._wire.send(text)
        except WireClosed as error:
            raise Failed(f"the server hung up ({error})") from None

    # --- Waiting --------------------------------------------------------------------------------------------------

    @property
    def last(self) -> Frame:
        """The frame that was expected last."""
        return self.frames[self._cursor - 1]

    async def expect(self, *types: str, where: Where = lambda _: True, timeout_s: float | None = None) -> Frame:
        """Return the next frame of one of these types for which `where` holds.

        Raises: Failed when it does not come in time, when the server hangs up, or sends an `error` meanwhile.
        """
        wanted = " or ".join(types)
        deadline_s = time.monotonic() + (self.settings.timeout_s if timeout_s is None else timeout_s)
        while True:
            while self._cursor < len(self.frames):
                frame = self.frames[self._cursor]
                self._cursor += 1
                if frame.get("type") in types and _holds(where, frame):
                    return frame
                if frame.get("type") == "error" and "error" not in types:
                    raise Failed(f"an error came instead of {wanted}: {frame['error'].get('message')}", frame)
            if self.closed is not None:
                raise Failed(f"the server hung up ({self.closed}) before {wanted}", self._newest)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Failed(f"{wanted} did not come", self._newest)
            await self._next_change(left_s)

    async def sequence(self, *types: str) -> list[Frame]:
        """Return the next frame of each of these types, one after the other."""
        return [await self.expect(type) for type in types]

    async def quiet(self, *types: str, for_s: float | None = None) -> None:
        """Look whether none of these types comes. Raises: Failed when one does."""
        start = self._cursor
        deadline_s = time.monotonic() + (self.settings.quiet_s if for_s is None else for_s)
        while (left_s := deadline_s - time.monotonic()) > 0 and self.closed is None:
            await self._next_change(left_s)
            for frame in self.frames[start:]:
                if frame.get("type") in types:
                    raise Failed(f"{frame['type']} came and must not", frame)

    def of(self, *types: str, response_id: str | None = None) -> list[Frame]:
        """Return all frames of these types so far, of a response or of all."""
        return [
            frame
            for frame in self.frames
            if frame.get("type") in types and (response_id is None or frame.get("response_id") == response_id)
        ]

    async def settle(self) -> None:
        """Wait until every response is done, then let the grammar see what is left open."""
        deadline_s = time.monotonic() + self.settings.timeout_s
        while self._checks.grammar.open_responses and self.closed is None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                break
            await self._next_change(left_s)
        self._checks.finish()

    async def missing(self, types: Sequence[str]) -> list[str]:
        """Return those types that have not come; what follows the last of a flow is waited for a moment."""
        deadline_s = time.monotonic() + min(self.settings.timeout_s, _LATE_S)
        while True:
            seen = {frame.get("type") for frame in self.frames}
            missing = [type for type in types if type not in seen]
            left_s = deadline_s - time.monotonic()
            if not missing or left_s <= 0 or self.closed is not None:
                return missing
            await self._next_change(left_s)

    # --- Inside ---------------------------------------------------------------------------------------------------

    @property
    def _newest(self) -> Frame | None:
        return self.frames[-1] if self.frames else None

    async def _next_change(self, timeout_s: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout_s)

    async def _read(self) -> None:
        try:
            while True:
                self._receive(await self._wire.receive())
                self._changed.set()
        except WireClosed as error:
            self.closed = error
        finally:
            self._changed.set()

    def _receive(self, text: str | bytes) -> None:
        if isinstance(text, bytes):
            self._checks.violations.append(Violation("a binary frame came; events are text (contract 2.4)"))
            return
        try:
            frame = json.loads(text)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._checks.violations.append(Violation(f"a frame is no JSON object: {text[:200]}"))
            return
        self.frames.append(frame)
        self._keep("server", frame)
        self._checks.receive(frame)

    def _keep(self, source: str, event: Frame) -> None:
        at_ms = round((time.monotonic() - self._started_s) * 1000)
        self.transcript.append({"from": source, "at_ms": at_ms, "event": event})


def _holds(where: Where, frame: Frame) -> bool:
    """A frame that lacks what is looked at is not the one; the checks have named its fault."""
    try:
        return bool(where(frame))
    except (KeyError, TypeError, IndexError):
        return False
