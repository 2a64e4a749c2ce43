"""The session's side of a leg that plays in real time: what a `Transport` promises, filled by a leg's ticks.

tick ─► hear(20 ms) ─► 50 frames ─► frames()          full: the oldest goes, and is counted
tick ─► note(events of playout) ─► wait_drained(), wait_playable()
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from transports.playout import ItemDrained, Playout
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.session.effects import FinishAudio, PlayAudio
from voice.transport import Flushed

MAX_FRAMES = 50
"""A second: a session that is later than that hears the present, not the past."""


class LiveAudio:
    """The audio of one call, both ways, as its session sees it. Everything happens on the event loop."""

    def __init__(self, playout: Playout | None = None) -> None:
        """`playout` is what the leg's ticks take their frames from."""
        self.playout = playout or Playout()
        self._frames: deque[AudioFrame] = deque(maxlen=MAX_FRAMES)
        self._heard_samples = 0
        self._drained: deque[str] = deque()
        self._frame_came = asyncio.Event()
        self._drained_came = asyncio.Event()
        self._playable = asyncio.Event()
        self._playable.set()
        self._is_over = False
        self.dropped_frames = 0
        """That the session was too late to hear."""

    # ---- the leg's side

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller at 24 kHz."""
        if self._is_over:
            return
        self.dropped_frames += len(self._frames) == MAX_FRAMES
        self._frames.append(AudioFrame(pcm, CORE_RATE_HZ, self._heard_samples))
        self._heard_samples += len(pcm) // SAMPLE_BYTES
        self._frame_came.set()

    def next_frame(self) -> bytes:
        """Return 20 ms to send now, and pass on what playout has to tell."""
        frame = self.playout.tick()
        for event in self.playout.take_events():
            if isinstance(event, ItemDrained):
                self._drained.append(event.item_id)
                self._drained_came.set()
        if not self.playout.is_full:
            self._playable.set()
        return frame

    def end(self) -> None:
        """The media is over: `frames` ends, nobody waits for playout any more. Safe to call twice."""
        self._is_over = True
        self._frame_came.set()
        self._playable.set()

    # ---- the session's side

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield what the caller says until the media ends."""
        while True:
            while self._frames:
                yield self._frames.popleft()
            if self._is_over:
                return
            self._frame_came.clear()
            await self._frame_came.wait()

    def play(self, audio: PlayAudio) -> None:
        """Queue audio for the caller."""
        if not self._is_over:
            self.playout.play(audio.item_id, audio.frame.pcm)
            if self.playout.is_full:
                self._playable.clear()

    def finish(self, audio: FinishAudio) -> None:
        """Note that an item is complete."""
        if not self._is_over:
            self.playout.finish(audio.item_id)

    def flush(self) -> Flushed | None:
        """Drop what was not heard; say what was."""
        flushed = self.playout.flush()
        self._playable.set()
        return flushed

    @property
    def is_playable(self) -> bool:
        """True while more may be queued."""
        return self._playable.is_set()

    async def wait_playable(self) -> None:
        """Return when more may be queued. Cancelling is safe."""
        await self._playable.wait()

    async def wait_drained(self) -> str:
        """Return the id of the next item that was heard to its end. Cancelling is safe."""
        while not self._drained:
            self._drained_came.clear()
            await self._drained_came.wait()
        return self._drained.popleft()
