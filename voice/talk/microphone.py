"""The caller's microphone: an endless stream of 20 ms chunks on a fixed grid, silence where nothing is said.

    grid   0      20     40     60 ms
           |chunk0|chunk1|chunk2|        chunk k is sent when its last sample would have been captured,
                  ^k=0   ^k=1   ^k=2     at (k + 1) · 20 ms, as a sound card hands it over

So a moment in a recording has one moment on the clock, and latencies counted from it are what a person would measure.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from voice.audio.g711 import pcm_to_ulaw
from voice.talk.recording import Recording

CHUNK_MS = 20

WireFormat = Literal["audio/pcm", "audio/pcmu"]

_ULAW_RATE_HZ = 8_000
_PCM_CHUNK_BYTES = 960
_ULAW_CHUNK_BYTES = 160
_ULAW_SILENCE = 0xFF


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording on its way."""

    recording: Recording
    start_s: float
    """When its first sample is spoken, on the clock that the microphone started with."""
    spoken: asyncio.Event
    """Set when its last chunk has been sent."""

    @property
    def speech_start_s(self) -> float:
        """When the speech in it begins."""
        return self.start_s + self.recording.speech_start_ms / 1000

    @property
    def speech_end_s(self) -> float:
        """When the speech in it ends."""
        return self.start_s + self.recording.speech_end_ms / 1000


class Microphone:
    """Sends what is said at the pace of speech."""

    def __init__(
        self, send: Callable[[bytes], Awaitable[None]], wire: WireFormat = "audio/pcm", *, muted: bool = False
    ) -> None:
        """`send` takes the encoded audio of one chunk. `muted` sends nothing between recordings: push to talk."""
        self._send = send
        self._ulaw = wire == "audio/pcmu"
        self._chunk_bytes = _ULAW_CHUNK_BYTES if self._ulaw else _PCM_CHUNK_BYTES
        self._silence = bytes([_ULAW_SILENCE if self._ulaw else 0]) * self._chunk_bytes
        self._muted = muted
        self._tick = 0
        self._origin_s: float | None = None
        self._pending = b""
        self._position = 0
        self._spoken: asyncio.Event | None = None
        self.latest_s = 0.0
        """The furthest that a chunk was sent behind its moment: above a few ms the measuring machine is too busy."""

    def say(self, recording: Recording) -> Utterance:
        """Begin a recording with the next chunk; whatever was being said is broken off."""
        audio = pcm_to_ulaw(recording.pcm_at(_ULAW_RATE_HZ)) if self._ulaw else recording.pcm
        fill = -len(audio) % self._chunk_bytes
        self._pending, self._position = audio + self._silence[:fill], 0
        if self._spoken is not None:
            self._spoken.set()
        self._spoken = asyncio.Event()
        return Utterance(recording, self._start() + self._tick * CHUNK_MS / 1000, self._spoken)

    async def run(self) -> None:
        """Send until cancelled."""
        origin_s = self._start()
        while True:
            due_s = origin_s + (self._tick + 1) * CHUNK_MS / 1000
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            self.latest_s = max(self.latest_s, time.monotonic() - due_s)
            chunk = self._pending[self._position : self._position + self._chunk_bytes]
            self._tick += 1
            if chunk or not self._muted:
                self._position += len(chunk)
                await self._send(chunk or self._silence)
            if self._spoken is not None and self._position >= len(self._pending):
                self._spoken.set()
                self._spoken = None

    def _start(self) -> float:
        """Return where the grid begins, which is at its first use."""
        if self._origin_s is None:
            self._origin_s = time.monotonic()
        return self._origin_s
