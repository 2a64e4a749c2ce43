"""A stock aiortc peer, as a Python program would make one, and a path between it and the service that is not kind."""

import asyncio
import fractions
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame

from bench.webrtc_path import BadPath, without_candidates
from voice.audio.levels import rms_dbfs
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

RATE_HZ = 24_000
FRAME_SAMPLES = RATE_HZ // 50


class Voice(MediaStreamTrack):
    """A microphone: what was given to `say`, silence otherwise, one frame every 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pcm = b""
        self._frames = 0
        self._began_s: float | None = None

    def say(self, recording: Recording) -> None:
        self._pcm = recording.pcm

    async def recv(self) -> AudioFrame:
        self._began_s = time.monotonic() if self._began_s is None else self._began_s
        await asyncio.sleep(max(0.0, self._began_s + self._frames * 0.02 - time.monotonic()))
        pcm, self._pcm = self._pcm[: 2 * FRAME_SAMPLES], self._pcm[2 * FRAME_SAMPLES :]
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(pcm.ljust(2 * FRAME_SAMPLES, b"\0"))
        frame.sample_rate, frame.time_base = RATE_HZ, fractions.Fraction(1, RATE_HZ)
        frame.pts = self._frames * FRAME_SAMPLES
        self._frames += 1
        return frame


class StockPeer:
    """One call of a stock `RTCPeerConnection`."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.voice = Voice()
        self.connection.addTrack(self.voice)
        self.channel = self.connection.createDataChannel("oai-events")
        self.channel.on("message", self._receive)
        self.connection.on("track", self._listen)
        self.events: list[dict[str, Any]] = []
        self.levels_dbfs: list[float] = []
        """Of every 20 ms that was received."""
        self.call_id = ""
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def _receive(self, text: str) -> None:
        self.events.append(json.loads(text))
        self._changed.set()

    def _listen(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._hear(track)))

    async def _hear(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, AudioFrame)
            self.levels_dbfs.append(rms_dbfs(np.ascontiguousarray(frame.to_ndarray()).astype("<i2").tobytes()))
            self._changed.set()

    async def call(
        self, service: ServiceProcess, model: str, relay: BadPath | None = None, codecs: Sequence[str] = ()
    ) -> None:
        """Exchange descriptions, through a relay where one is given; `codecs` are payload types to offer alone."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = self.connection.localDescription.sdp
        if relay is not None:
            offer = without_candidates(offer)
        if codecs:
            offer = re.sub(r"(m=audio \d+ \S+) .*", rf"\1 {' '.join(codecs)}", offer)
            offer = "".join(
                line
                for line in offer.splitlines(keepends=True)
                if not (match := re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)", line)) or match[1] in codecs
            )
        url = f"{service.http_url}/v1/realtime/calls?model={model}"
        headers = {"Content-Type": "application/sdp"}
        async with aiohttp.ClientSession() as http, http.post(url, data=offer, headers=headers) as answer:
            assert answer.status == 201, await answer.text()
            self.call_id = answer.headers["Location"].rpartition("/")[2]
            text = await answer.text()
        if relay is not None:
            text = await relay.enter(text)
        await self.connection.setRemoteDescription(RTCSessionDescription(text, "answer"))

    def send(self, event: dict[str, Any]) -> None:
        self.channel.send(json.dumps(event))

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Return the `count`-th event of a type, waiting for it."""
        await self.until(lambda: self.types().count(kind) >= count)
        return [event for event in self.events if event["type"] == kind][count - 1]

    async def aclose(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def peers() -> AsyncIterator[Callable[[], StockPeer]]:
    """Return a function that makes a stock peer, closed at the end."""
    async with AsyncExitStack() as stack:

        def make() -> StockPeer:
            peer = StockPeer()
            stack.push_async_callback(peer.aclose)
            return peer

        yield make


@pytest.fixture
async def bad_path() -> AsyncIterator[BadPath]:
    """A path that loses, delays, reorders and doubles."""
    path = BadPath()
    yield path
    path.close()
    await asyncio.sleep(0)  # asyncio closes the sockets in its next round
