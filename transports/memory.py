"""A transport without a wire, for tests, benches and demos: the client is a script and playout has a clock to step.

    transport = MemoryTransport(plays_in_real_time=True)
    transport.push(ResponseCreate(...))            # the client speaks
    await transport.until("response.done")         # the service answers
    transport.advance(200)                         # the caller hears 200 ms of it
    transport.flush_audio()                        # Flushed(item_id, 200)

A first-class citizen: it keeps every promise of `voice.transport.Transport`, so what runs over it runs over a call.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from transports.port import Flushed
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.protocol.client_events import ClientEvent, InputAudioBufferAppend
from voice.protocol.codec import decode_client_event
from voice.protocol.server_events import ServerEvent
from voice.session.effects import FinishAudio, PlayAudio

Output = ServerEvent | PlayAudio | FinishAudio


@dataclass(slots=True)
class _Playing:
    """What is buffered of one item."""

    item_id: str
    buffered_samples: int = 0
    played_samples: int = 0
    complete: bool = False
    """No more of it will come."""

    @property
    def drained(self) -> bool:
        return self.complete and self.played_samples == self.buffered_samples


class MemoryTransport:
    """The service's end implements `Transport`; the caller's end is `push…`, `advance`, `hang_up`, `output`."""

    def __init__(
        self, *, plays_in_real_time: bool = False, rate_hz: int = CORE_RATE_HZ, buffer_ms: float | None = None
    ) -> None:
        """With `plays_in_real_time` audio comes by `frames()` at `rate_hz` and playout happens here, as in a call.

        `buffer_ms` is how much unplayed audio `wait_playable` lets in; None: any amount.
        """
        self._plays_in_real_time = plays_in_real_time
        self._rate_hz = rate_hz
        self._buffer_ms = buffer_ms
        self._events: asyncio.Queue[ClientEvent | None] = asyncio.Queue()
        self._frames: asyncio.Queue[AudioFrame | None] = asyncio.Queue()
        self._pushed_samples = 0
        self._items: deque[_Playing] = deque()
        self._drained: asyncio.Queue[str] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.output: list[Output] = []
        """Everything the service put out, in order."""
        self.closed: tuple[int, str] | None = None
        """Close code and reason, once the service has closed."""

    # ---- the caller's end

    def push(self, *events: ClientEvent) -> None:
        """Let the client send these."""
        for event in events:
            self._events.put_nowait(event)

    def push_text(self, text: str) -> None:
        """Let the client send a message as it would stand on the wire."""
        self.push(decode_client_event(text))

    def push_audio(self, pcm: bytes) -> None:
        """Let the caller be heard: a frame in real time, an `input_audio_buffer.append` otherwise."""
        if self._plays_in_real_time:
            frame = AudioFrame(pcm, self._rate_hz, self._pushed_samples)
            self._pushed_samples += frame.samples
            self._frames.put_nowait(frame)
        else:
            self.push(InputAudioBufferAppend(audio=pcm, event_id=None))

    def hang_up(self) -> None:
        """Let the client be gone, behind all that it has sent."""
        self._events.put_nowait(None)
        self._frames.put_nowait(None)

    def advance(self, ms: float) -> None:
        """Play so much of what is buffered; silence where nothing is."""
        left = round(ms * CORE_RATE_HZ / 1000)
        for item in self._items:
            step = min(left, item.buffered_samples - item.played_samples)
            item.played_samples += step
            left -= step
        self._settle()

    @property
    def sent(self) -> list[ServerEvent]:
        """The events among the output."""
        return [each for each in self.output if isinstance(each, ServerEvent)]

    @property
    def played(self) -> list[PlayAudio]:
        """The audio among the output, heard or not."""
        return [each for each in self.output if isinstance(each, PlayAudio)]

    @property
    def buffered_ms(self) -> float:
        """How much audio waits to be played. 0 where the client plays."""
        return sum(item.buffered_samples - item.played_samples for item in self._items) * 1000 / CORE_RATE_HZ

    async def until(self, event_type: str, count: int = 1) -> ServerEvent:
        """Return the `count`-th event of that type, waiting for it where it has not come yet.

        Raises: EOFError when the service closes before. Set a deadline with `asyncio.timeout`.
        """
        while True:
            found = [event for event in self.sent if getattr(event, "type", None) == event_type]
            if len(found) >= count:
                return found[count - 1]
            if self.closed is not None:
                raise EOFError(f"closed with {self.closed} before the {event_type!r}")
            await self._next_change()

    # ---- the service's end

    @property
    def plays_in_real_time(self) -> bool:
        """As given: whether playout happens here."""
        return self._plays_in_real_time

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield what `push_audio` gave, until `hang_up`; nothing where audio comes among the events."""
        if not self._plays_in_real_time:
            return
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def client_events(self, take: Callable[[ClientEvent], bool] | None = None) -> AsyncIterator[ClientEvent]:
        """Yield what `push` gave, until `hang_up`."""
        while (event := await self._events.get()) is not None:
            yield event

    def send_event(self, event: ServerEvent) -> None:
        """Add to the output."""
        self._put(event)

    def play_audio(self, audio: PlayAudio) -> None:
        """Add to the output, and to the playout buffer in real time."""
        self._put(audio)
        if self._plays_in_real_time and self.closed is None:
            self._item(audio.item_id).buffered_samples += audio.frame.samples

    def finish_audio(self, audio: FinishAudio) -> None:
        """Note that an item is complete; it has drained as soon as it is played."""
        self._put(audio)
        if self._plays_in_real_time and self.closed is None:
            self._item(audio.item_id).complete = True
            self._settle()

    def flush_audio(self) -> Flushed | None:
        """Drop what was not played; return what was heard of the item that was cut. None: nothing to drop."""
        if not self.buffered_ms:
            return None
        cut = next(item for item in self._items if item.played_samples < item.buffered_samples)
        self._items.clear()
        self._announce()
        return Flushed(cut.item_id, cut.played_samples * 1000 // CORE_RATE_HZ)

    @property
    def is_playable(self) -> bool:
        """True while less than `buffer_ms` waits to be played."""
        return self._buffer_ms is None or self.closed is not None or self.buffered_ms < self._buffer_ms

    async def wait_playable(self) -> None:
        """Return when less than `buffer_ms` waits to be played. Cancelling is safe."""
        while not self.is_playable:
            await self._next_change()

    async def wait_drained(self) -> str:
        """Return the id of the next item that was played to its end. Never returns where the client plays."""
        return await self._drained.get()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close: the iterators end, what was not played is dropped. The first code counts."""
        if self.closed is None:
            self.closed = (code, reason)
            self._items.clear()
            self.hang_up()
            self._announce()

    # ---- inside

    def _put(self, output: Output) -> None:
        if self.closed is None:
            self.output.append(output)
            self._announce()

    def _item(self, item_id: str) -> _Playing:
        """Return the buffer of an item, at the end of the line where it is new."""
        for item in self._items:
            if item.item_id == item_id:
                return item
        item = _Playing(item_id)
        self._items.append(item)
        return item

    def _settle(self) -> None:
        """Take the items from the line that are complete and played; playout is in order."""
        while (
            self._items and self._items[0].complete and self._items[0].played_samples == self._items[0].buffered_samples
        ):
            self._drained.put_nowait(self._items.popleft().item_id)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
