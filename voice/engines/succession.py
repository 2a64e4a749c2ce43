"""Who of a session's engines thinks now, and who is next when that one cannot.

    first ──fails──► second ──fails──► … ──► the first again, if its breaker lets it

An engine that was left is closed at once. One that detects turns and hears nothing any more is left as well: nobody
would ever ask it for an answer.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing, suppress
from typing import Final, Literal

import structlog

from voice.engines.port import (
    Capabilities,
    Engine,
    EngineLost,
    EngineNotice,
    EngineReplaced,
    EngineSettings,
    LiveEngine,
    Take,
)
from voice.engines.standby import Standby
from voice.errors import EngineError, EngineRefused, EngineUnavailable

_log = structlog.get_logger(__name__)

Incident = Literal["failed", "retried", "replaced", "gave up", "waited", "lost", "reconnected", "rotated"]

_DEAF_TWICE: Final = 2
"""Failures to come back, in a row, of an engine that detects turns."""


class Succession:
    """The engine of a list that thinks now. Its notices, whoever it is, come in one queue; None is the last."""

    def __init__(self, standbys: Sequence[Standby], note: Callable[[str, Incident], None], take: Take) -> None:
        """`standbys` in order of preference; `note` is told what happens, for the metrics.

        `take` is offered sound, whoever thinks.
        """
        self.standbys = tuple(standbys)
        self.place = 0
        self.engine: Engine = self.standbys[0].make()
        self.live: LiveEngine | None = None
        """The engine, if it has something to say unasked."""
        self.capabilities: Capabilities = self.engine.capabilities
        self.notices: asyncio.Queue[EngineNotice | None] = asyncio.Queue()
        """Bounded as the engine's own is, from which it is filled: its reader only steps the session."""
        self._note = note
        self._sound_taker = take
        self._settings = EngineSettings()
        self._is_open = False
        self._listening: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Of the engine that thinks now, as the configuration calls it."""
        return self.standbys[self.place].name

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings, for whoever thinks."""
        self._settings = settings
        if self._is_open:
            self.engine.configure(settings)

    async def open(self, settings: EngineSettings) -> None:
        """Open the first that can be. Raises: EngineError when none can."""
        self._settings = settings
        async with self._changing:
            await self._open_one(range(len(self.standbys)))

    async def move_on(self, place: int, tried: Collection[int] = ()) -> None:
        """Leave the engine of that place for the next that was not tried. Raises: EngineError when there is none.

        Nothing happens when somebody else has left it already.
        """
        async with self._changing:
            if self.place == place:
                count = len(self.standbys)
                others = ((place + step) % count for step in range(1, count))
                await self._open_one([other for other in others if other not in tried])

    def allows(self, place: int) -> bool:
        """Tell whether its breaker would let it be asked again."""
        return self.standbys[place].breaker.allows(_now_s())

    def praise(self, place: int) -> None:
        """It has answered."""
        self.standbys[place].breaker.note_success()

    def blame(self, place: int, error: EngineError) -> None:
        """It has failed."""
        standby = self.standbys[place]
        standby.breaker.note_failure(_now_s(), is_final=isinstance(error, EngineRefused))
        self._note(standby.name, "failed")
        _log.warning("engine failed", engine=standby.name, error=error.code, why=error.message)

    async def aclose(self) -> None:
        """Close every engine that was made."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        if self._closing:
            await asyncio.wait(self._closing)
        await self.engine.aclose()
        self.notices.put_nowait(None)

    async def _open_one(self, places: Sequence[int]) -> None:
        error: EngineError = EngineUnavailable("No engine is left.")
        for place in places:
            standby = self.standbys[place]
            # Where there is no other, trying is better than not: a breaker is for going elsewhere.
            if len(self.standbys) > 1 and not self.allows(place):
                error = EngineUnavailable(f"The engine '{standby.name}' failed too often.")
                continue
            try:
                engine = self.engine if place == self.place else standby.make()
                await _open(engine, self._settings)
            except EngineError as caught:
                error = caught
                self.blame(place, caught)
                continue
            standby.breaker.note_success()
            self._take(place, engine)
            return
        raise error

    def _take(self, place: int, engine: Engine) -> None:
        before, was_open = self.name, self._is_open
        if engine is not self.engine:
            closing = asyncio.create_task(self.engine.aclose(), name="engine left")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self.engine = engine
        self._is_open = True
        if self._listening is not None:
            self._listening.cancel()
        self._listening = None
        self.live = engine if isinstance(engine, LiveEngine) else None  # asked once: it takes 10 µs
        if self.live is not None:
            self.live.offer_to(self._sound_taker)
        if place != self.place:
            self.place = place
            self._note(before, "replaced")
            _log.warning("engine replaced", before=before, now=self.name, in_call=was_open)
        if self.live is not None:
            self._listening = asyncio.create_task(self._pass_on(self.live, place), name="engine notices")
        if engine.capabilities != self.capabilities:
            self.capabilities = engine.capabilities
            self.notices.put_nowait(EngineReplaced(engine.capabilities))

    async def _pass_on(self, engine: LiveEngine, place: int) -> None:
        failures = 0
        async with aclosing(engine.notices()) as notices:
            async for notice in notices:
                if not isinstance(notice, EngineLost):
                    failures = 0
                    self.notices.put_nowait(notice)
                    continue
                failures += 1
                self.blame(place, notice.error)
                if failures >= _DEAF_TWICE or isinstance(notice.error, EngineRefused):
                    with suppress(EngineError):
                        await self.move_on(place)


async def _open(engine: Engine, settings: EngineSettings) -> None:
    """Open an engine; one that cannot be, or need not any more, leaves nothing behind."""
    try:
        await engine.open(settings)
    except BaseException:
        await engine.aclose()
        raise


def _now_s() -> float:
    return asyncio.get_running_loop().time()
