"""One session carried by its primary transport and watched, or steered, by any number of sidebands (contract 2.1).

    primary ──events──► Session ─────┬──► primary: every event, and the audio
    sidebands ─events─────┘          └──► sidebands: every event in the same order, no audio

A sideband that comes or goes changes nothing; when the primary ends, so do they. Their events go straight to the
session: a call that nobody joins pays nothing for this.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from transports.port import Flushed, Transport
from voice.audio.frames import AudioFrame
from voice.ids import Ids
from voice.protocol.client_events import ClientEvent
from voice.protocol.server_events import ServerEvent, SessionCreated, SessionUpdated
from voice.session.effects import FinishAudio, PlayAudio


class SharedTransport:
    """Implements `voice.transport.Transport` over a primary, and lets others listen and speak."""

    def __init__(self, primary: Transport, receive: Callable[[ClientEvent], Awaitable[None]]) -> None:
        """Own `primary`: it is closed with this. `receive` takes what a sideband sends."""
        self._primary = primary
        self._receive = receive
        self._sidebands: list[Transport] = []
        self._sideband_count = 0
        self._session: dict[str, Any] | None = None
        self._ids = Ids()
        self._is_over = False

    @property
    def is_joinable(self) -> bool:
        """True from the first event of the session to its end."""
        return self._session is not None and not self._is_over

    @property
    def is_over(self) -> bool:
        """True once it is being closed."""
        return self._is_over

    @property
    def sideband_count(self) -> int:
        """How many are joined, or about to be."""
        return self._sideband_count

    @contextlib.contextmanager
    def place_for_sideband(self) -> Iterator[None]:
        """Count a sideband from before its upgrade on: several at a time must not pass a bound together."""
        self._sideband_count += 1
        try:
            yield
        finally:
            self._sideband_count -= 1

    async def join(self, sideband: Transport) -> None:
        """Carry `sideband` until it or the session ends, and close it. Cancelling is safe.

        It is greeted by `session.created` with the configuration as it is now.
        """
        session = self._session
        if session is None or self._is_over:
            await sideband.aclose()
            return
        sideband.send_event(SessionCreated(event_id=self._ids.mint("event"), session=session))
        self._sidebands.append(sideband)
        try:
            async for event in sideband.client_events():
                if self._is_over:
                    break
                await self._receive(event)
        finally:
            if sideband in self._sidebands:
                self._sidebands.remove(sideband)
            await sideband.aclose()

    @property
    def plays_in_real_time(self) -> bool:
        """As the primary does."""
        return self._primary.plays_in_real_time

    def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield the primary's audio."""
        return self._primary.frames()

    def client_events(self, take: Callable[[ClientEvent], bool] | None = None) -> AsyncIterator[ClientEvent]:
        """Yield what the primary sends."""
        return self._primary.client_events(take)

    def send_event(self, event: ServerEvent) -> None:
        """Queue an event for everyone."""
        if isinstance(event, SessionCreated | SessionUpdated):
            self._session = event.session
        self._primary.send_event(event)
        for sideband in self._sidebands:
            sideband.send_event(event)

    def play_audio(self, audio: PlayAudio) -> None:
        """Queue audio for the caller; sidebands get none (contract 2.1)."""
        self._primary.play_audio(audio)

    def finish_audio(self, audio: FinishAudio) -> None:
        """As the primary does."""
        self._primary.finish_audio(audio)

    def flush_audio(self) -> Flushed | None:
        """As the primary does."""
        return self._primary.flush_audio()

    @property
    def is_playable(self) -> bool:
        """As the primary says."""
        return self._primary.is_playable

    async def wait_playable(self) -> None:
        """Wait for the primary alone: a sideband that reads slowly never holds the call up."""
        await self._primary.wait_playable()

    async def wait_drained(self) -> str:
        """As the primary does."""
        return await self._primary.wait_drained()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the primary with `code` and every sideband with 1000. Safe to call twice."""
        self._is_over = True
        sidebands = [sideband.aclose(1000, "The session has ended.") for sideband in self._sidebands]
        await asyncio.gather(self._primary.aclose(code, reason), *sidebands)
