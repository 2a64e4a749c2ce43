"""The next line is made before the old one ends, and an upstream that is gone is not run over."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from voice.engines.port import TranscriptDone, TranscriptionEvent
from voice.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnavailable
from voice.upstream.line import Line
from voice.upstream.lines import Lines, coming_back_s
from voice.upstream.options import UpstreamOptions
from voice.upstream.words import Event
from voice.upstream.written import PREFIX as TRANSCRIPTION

WRITTEN: Event = {"type": TRANSCRIPTION + "completed", "item_id": "item_theirs", "transcript": "Hi"}
ROTATES_AT_ONCE = UpstreamOptions("ws://x/v1", session_max_s=0.02, rotate_before_s=0.02)


class FakeConnection:
    """Opens as it is told; what is sent is kept."""

    def __init__(self, options: UpstreamOptions, error: EngineError | None = None) -> None:
        self.sent: list[Event] = []
        self.line = Line(options, self.sent.append)
        self.error = error
        self.is_closed = False

    async def open(self) -> None:
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.is_closed = True
        self.line.lose(EngineUnavailable("closed"))


class Upstream:
    """Makes connections, the first ones with an error each, and notes which line was taken why."""

    def __init__(self, *errors: EngineError | None, options: UpstreamOptions | None = None) -> None:
        self.options = options or UpstreamOptions("ws://x/v1")
        self.made: list[FakeConnection] = []
        self.taken: list[tuple[int, str | None]] = []
        self.failed: list[EngineError] = []
        self.in_use_when_made: list[bool | None] = []
        """Of each connection: whether the line before it was still there."""
        self.changed = asyncio.Event()
        self._errors = list(errors)

    def _connect(self) -> FakeConnection:
        self.in_use_when_made.append(self.made[-1].line.is_usable if self.made else None)
        self.made.append(FakeConnection(self.options, self._errors.pop(0) if self._errors else None))
        self.changed.set()
        return self.made[-1]

    def _take(self, line: Line, why: str | None) -> None:
        self.taken.append(([each.line for each in self.made].index(line), why))
        self.changed.set()

    @asynccontextmanager
    async def lines(self) -> AsyncIterator[Lines]:
        lines = Lines(
            self.options,
            self._connect,
            prepare=lambda line: line.append(b"\0\0"),
            taken=self._take,
            is_quiet=lambda: True,
            failed=self.failed.append,
        )
        try:
            yield lines
        finally:
            await lines.aclose()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


async def test_a_line_that_is_there_is_asked_and_no_second_one_is_made():
    upstream = Upstream()
    async with upstream.lines() as lines:
        assert await lines.ready() is await lines.ready()
    assert upstream.taken == [(0, None)]
    assert upstream.made[0].sent, "it was told what it has to know"
    assert upstream.made[0].is_closed


async def test_a_line_that_is_lost_is_replaced_by_itself():
    upstream = Upstream()
    async with upstream.lines() as lines:
        await lines.ready()
        lines.keep()
        upstream.made[0].line.lose(EngineUnavailable("gone"))
        await upstream.until(lambda: len(upstream.taken) == 2)
    assert upstream.taken == [(0, None), (1, "reconnected")]


async def test_the_next_line_is_made_before_the_old_one_is_left():
    upstream = Upstream(options=ROTATES_AT_ONCE)
    async with upstream.lines() as lines:
        await lines.ready()
        lines.keep()
        await upstream.until(lambda: len(upstream.taken) == 2)
    assert upstream.taken == [(0, None), (1, "rotated")]
    assert upstream.in_use_when_made == [None, True]


async def test_a_line_that_writes_a_turn_down_is_not_left_while_there_is_time():
    made_after_2_s_forced_after_3_s = UpstreamOptions("ws://x/v1", session_max_s=4, rotate_before_s=2)
    upstream = Upstream(options=made_after_2_s_forced_after_3_s)
    async with upstream.lines() as lines:
        line = await lines.ready()
        writing = _write_down(line)
        await asyncio.sleep(0)
        assert line.is_busy
        assert not line.is_answering
        lines.keep()
        await upstream.until(lambda: len(upstream.made) == 2)
        await asyncio.sleep(0.1)
        assert upstream.taken == [(0, None)]
        line.receive(WRITTEN)
        assert await writing == [TranscriptDone("Hi")]


async def test_a_line_that_was_left_lives_until_its_words_have_come():
    upstream = Upstream(options=ROTATES_AT_ONCE)
    async with upstream.lines() as lines:
        line = await lines.ready()
        writing = _write_down(line)
        await asyncio.sleep(0)
        lines.keep()
        await upstream.until(lambda: len(upstream.taken) == 2)
        await asyncio.sleep(0.05)
        assert not upstream.made[0].is_closed
        line.receive(WRITTEN)
        assert await writing == [TranscriptDone("Hi")]
        async with asyncio.timeout(1):
            await line.lost.wait()
    assert upstream.made[0].is_closed


async def test_that_there_is_no_line_is_told():
    refused = EngineRefused("no key")
    upstream = Upstream(None, refused)
    async with upstream.lines() as lines:
        await lines.ready()
        lines.keep()
        upstream.made[0].line.lose(EngineUnavailable("gone"))
        await upstream.until(lambda: len(upstream.made) == 2)
        await asyncio.sleep(0)
    assert upstream.failed == [refused]
    assert len(upstream.made) == 2, "a refused key is not shown again"


async def test_a_closed_engine_opens_nothing():
    upstream = Upstream()
    async with upstream.lines() as lines:
        await lines.aclose()
        with pytest.raises(EngineUnavailable):
            await lines.ready()
    assert upstream.made == []


def test_coming_back_takes_longer_each_time_and_never_less_than_was_asked_for():
    gone = EngineUnavailable("gone")
    waits = [coming_back_s(gone, failures, 0.5) for failures in range(1, 12)]
    assert waits == sorted(waits)
    assert waits[0] < 0.5
    assert waits[-1] <= 15
    assert coming_back_s(gone, 1, 0.0) < coming_back_s(gone, 1, 1.0)
    assert coming_back_s(EngineOverloaded("busy", 40.0), 1, 0.5) == 40.0
    assert coming_back_s(EngineRefused("no key"), 1, 0.5) >= 60


def _write_down(line: Line) -> "asyncio.Task[list[TranscriptionEvent]]":
    """Have a turn committed and wait for its words."""
    line.commit("item_ours", bytes(4800))
    line.receive({"type": "input_audio_buffer.committed", "item_id": "item_theirs"})

    async def read() -> list[TranscriptionEvent]:
        return [event async for event in line.transcript("item_ours", 5)]

    return asyncio.create_task(read())
