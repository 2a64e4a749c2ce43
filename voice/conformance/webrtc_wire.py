"""A WebRTC leg of the kit's own, by aiortc (contract 1.3): events on a data channel, speech and sound on tracks.

offer ─► POST /v1/realtime/calls ─► answer ─► the channel opens ─► a Wire like any other
"""

import asyncio
import fractions
import json
import time
from typing import Any

import aiohttp
import numpy as np
from aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from voice.audio.frames import CORE_RATE_HZ
from voice.conformance.wire import OPEN_TIMEOUT_S, Answer, Refused, Unreachable, WireClosed
from voice.talk.recording import Recording

CHANNEL = "oai-events"
_FRAME_SAMPLES = CORE_RATE_HZ // 50
_AUDIBLE = 200
"""A peak of 16-bit samples above what coding leaves of silence."""


class Mouth(AudioStreamTrack):
    """The caller: silence, and what `say` gives it, 20 ms at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._pending = b""
        self._sent = 0
        self._begun_s = 0.0

    def say(self, recording: Recording) -> None:
        """Begin a recording with the next frame."""
        self._pending = recording.pcm

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms when they are due (called by aiortc)."""
        self._begun_s = self._begun_s or time.monotonic()
        await asyncio.sleep(max(self._begun_s + self._sent / CORE_RATE_HZ - time.monotonic(), 0))
        chunk, self._pending = self._pending[: 2 * _FRAME_SAMPLES], self._pending[2 * _FRAME_SAMPLES :]
        frame = AudioFrame(format="s16", layout="mono", samples=_FRAME_SAMPLES)
        frame.planes[0].update(chunk.ljust(2 * _FRAME_SAMPLES, b"\0"))
        frame.pts, frame.sample_rate, frame.time_base = self._sent, CORE_RATE_HZ, fractions.Fraction(1, CORE_RATE_HZ)
        self._sent += _FRAME_SAMPLES
        return frame


class WebRtcWire:
    """A Wire over a data channel, with a mouth and an ear."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        """Use `open`."""
        self.mouth = Mouth()
        self.heard_ms = 0.0
        """How much audible sound has come on the track."""
        self.answer = Answer(0, "", {})
        """To the offer."""
        self._peer = peer
        self._channel: RTCDataChannel = peer.createDataChannel(CHANNEL)
        self._received: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._is_open = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        peer.addTrack(self.mouth)
        peer.on("track", self._listen)
        peer.on("connectionstatechange", self._look)
        self._channel.on("open", self._is_open.set)
        self._channel.on("message", self._received.put_nowait)
        self._channel.on("close", lambda: self._received.put_nowait(None))

    @property
    def call_id(self) -> str:
        """By which others join the call (contract 1.3)."""
        return self.answer.headers.get("location", "").rpartition("/")[2]

    @classmethod
    async def open(cls, url: str, headers: dict[str, str], session: dict[str, Any] | None = None) -> "WebRtcWire":
        """Call; with a `session` the offer goes in a form. Raises: Refused, Unreachable."""
        wire = cls(RTCPeerConnection(RTCConfiguration(iceServers=[])))
        try:
            await wire._connect(url, headers, session)
        except BaseException:
            await wire.aclose()
            raise
        return wire

    async def _connect(self, url: str, headers: dict[str, str], session: dict[str, Any] | None) -> None:
        await self._peer.setLocalDescription(await self._peer.createOffer())
        self.answer = await _exchange(url, self._peer.localDescription.sdp, headers, session)
        await self._peer.setRemoteDescription(RTCSessionDescription(self.answer.body, "answer"))
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._is_open.wait()
        except TimeoutError:
            state = self._peer.connectionState
            raise Unreachable(f"the data channel of {url} does not open; the connection is {state}") from None

    async def send(self, text: str) -> None:
        """Send an event. Raises: WireClosed."""
        if self._channel.readyState != "open":
            raise WireClosed(None, "the data channel is closed")
        self._channel.send(text)

    async def receive(self) -> str | bytes:
        """Return the next event. Raises: WireClosed."""
        message = await self._received.get()
        if message is None:
            self._received.put_nowait(None)
            raise WireClosed(None, "the data channel is closed")
        return message

    async def aclose(self) -> None:
        """Hang up."""
        await self._peer.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._received.put_nowait(None)

    def _look(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._received.put_nowait(None)

    def _listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._hear(track), name="conformance ear")

    async def _hear(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame) and int(np.abs(frame.to_ndarray()).max()) > _AUDIBLE:
                    self.heard_ms += 1000 * frame.samples / frame.sample_rate
        except MediaStreamError:
            pass  # it has ended


async def _exchange(url: str, offer: str, headers: dict[str, str], session: dict[str, Any] | None) -> Answer:
    """Post an offer and return the answer. Raises: Refused, Unreachable."""
    body: Any = offer
    if session is None:
        headers = {**headers, "Content-Type": "application/sdp"}
    else:
        body = aiohttp.FormData({"sdp": offer, "session": json.dumps(session)}, default_to_multipart=True)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=OPEN_TIMEOUT_S)) as client,
            client.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            content = await answer.read()
            if answer.status not in (200, 201):
                raise Refused(answer.status, content)
            names = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, content.decode("utf-8", "replace"), names)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"POST {url}: {error or 'timed out'}") from None
