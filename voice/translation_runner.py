"""One live translation session: reads the transport, performs effects, feeds results back; the `Runner` of its kind.

transport ──events──► TranslationSession ──effects──► transport, translator
                             ▲                            │
                             └────────── results ─────────┘
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeVarTuple

from voice.engines.translator import Translator
from voice.errors import EngineError
from voice.named_tasks import Alarm, NamedTasks
from voice.protocol.server_events import ServerEvent
from voice.protocol.translation import TranslationEvent
from voice.session import translation as do
from voice.session.appends import slices
from voice.session.effects import CloseSession, SendEvent

_Input = TypeVarTuple("_Input")


class TranslationTransport(Protocol):
    """What carries a translation session; see `voice.transport.Transport` for what each promises."""

    def client_events(self) -> AsyncIterator[TranslationEvent]:
        """Yield what the client sends, in order. Ends when the client is gone."""
        ...

    def send_event(self, event: ServerEvent) -> None:
        """Queue an event for the wire."""
        ...

    async def wait_playable(self) -> None:
        """Return when more audio may be queued. Cancelling is safe."""
        ...

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, as far as the peer takes it, and close. Safe to call twice."""
        ...


class TranslationRunner:
    """Runs a session until its client is gone, all is translated, its time is over, or `stop` is called."""

    def __init__(self, session: do.TranslationSession, translator: Translator, transport: TranslationTransport) -> None:
        """The translator is not yet open."""
        self._session = session
        self._translator = translator
        self._transport = transport
        self._over = asyncio.Event()
        self._close_code, self._close_reason = 1000, ""
        self._alarm = Alarm(self._receive_timer)
        self._fault: Exception | None = None
        self._perform_by_type: dict[type, Callable[[Any], None]] = {
            SendEvent: lambda effect: transport.send_event(effect.event),
            do.TranslateAudio: lambda effect: translator.hear(effect.frame),
            do.ConfigureTranslator: lambda effect: translator.configure(effect.settings),
            do.FinishTranslation: lambda _: translator.finish(),
            CloseSession: lambda effect: self.stop(effect.code, effect.reason),
        }

    async def run(self) -> None:
        """Run to the end, and close the translator and the transport.

        Raises: EngineError when the translator cannot open; ExceptionGroup for a fault of ours. The transport is open
        then.
        """
        try:
            await self._translator.open(self._session.settings)
            async with asyncio.TaskGroup() as group:
                tasks = NamedTasks(group)
                self._step(self._session.start, asyncio.get_running_loop().time())
                tasks.spawn("client events", self._read_events())
                tasks.spawn("translation", self._read_translation())
                await self._over.wait()
                tasks.cancel_all()
                if self._fault is not None:
                    raise self._fault
        finally:
            self._alarm.cancel()
            await self._translator.aclose()
        await self._transport.aclose(self._close_code, self._close_reason)

    def stop(self, code: int = 1000, reason: str = "") -> None:
        """End the session; `run` returns once everything of it has stopped."""
        if not self._over.is_set():
            self._close_code, self._close_reason = code, reason
            self._over.set()

    async def _read_events(self) -> None:
        async for event in self._transport.client_events():
            # What is refused, as everything is at the end, is refused once.
            for part in (event,) if self._session.is_closing else slices(event, is_pcm=True):
                if self._over.is_set():
                    return
                self._step(self._session.receive_client_event, part)
                await self._translator.wait_ready()
                if part is not event:
                    await asyncio.sleep(0)
        self.stop()

    async def _read_translation(self) -> None:
        try:
            async with aclosing(self._translator.translate()) as events:
                async for event in events:
                    self._step(self._session.receive_translated, event)
                    await self._transport.wait_playable()
        except EngineError as error:
            self._step(self._session.receive_failure, error)
        else:
            self._step(self._session.receive_finished)

    def _receive_timer(self) -> None:
        """A callback runs outside the TaskGroup: a fault of ours in it ends the session as it would from a task."""
        try:
            self._step(self._session.handle_timer, asyncio.get_running_loop().time())
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._fault = error
            self.stop()

    def _step(self, receive: Callable[[*_Input], list[do.TranslationEffect]], *given: *_Input) -> None:
        self._perform(receive(*given))
        self._alarm.set(self._session.next_deadline() if not self._over.is_set() else None)

    def _perform(self, effects: list[do.TranslationEffect]) -> None:
        for effect in effects:
            if self._over.is_set():
                return
            self._perform_by_type[type(effect)](effect)
