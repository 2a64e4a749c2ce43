"""LiveKit Agents in front of the upstream of `bench.relay`; runs in the peers' own environment.

    bench/relay_livekit.py PORT UPSTREAM [--silero]

A session is an `AgentSession` with the `openai` plugin's realtime model, its audio in and out being the caller's
WebSocket: no LiveKit server, no room, no WebRTC, no job process each, all of which a deployment pays for. The server is
a bare `websockets` one, the wire a string template over pybase64, the loop uvloop. LiveKit sends audio up in 100 ms.

`--silero` takes the upstream's turn detection away and gives the turns to the Silero that LiveKit bundles
(`inference.VAD`, what a session has by default).
"""

import asyncio
import logging
import sys
from contextlib import suppress

import pybase64
import uvloop
from livekit import rtc
from livekit.agents import Agent, AgentSession, inference
from livekit.agents.voice import io
from livekit.plugins import openai
from openai.types.beta.realtime.session import TurnDetection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

RATE_HZ = 24_000


class Microphone(io.AudioInput):
    """The caller's appends."""

    def __init__(self, socket: ServerConnection) -> None:
        super().__init__(label="websocket")
        self._socket = socket
        self.is_over = asyncio.Event()

    async def __anext__(self) -> rtc.AudioFrame:
        try:
            while '"input_audio_buffer.append"' not in (text := str(await self._socket.recv()))[:60]:
                pass
        except ConnectionClosed:
            self.is_over.set()
            raise StopAsyncIteration from None
        pcm = pybase64.b64decode(text[text.index('"audio":"') + 9 : -2])
        return rtc.AudioFrame(pcm, RATE_HZ, 1, len(pcm) // 2)


class Speaker(io.AudioOutput):
    """The caller's deltas. It plays nothing, so what was sent counts as heard."""

    def __init__(self, socket: ServerConnection) -> None:
        capabilities = io.AudioOutputCapabilities(pause=False)
        super().__init__(label="websocket", capabilities=capabilities, sample_rate=RATE_HZ)
        self._socket = socket
        self._sent_s = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Send a delta."""
        await super().capture_frame(frame)
        self._sent_s += frame.duration
        audio = pybase64.b64encode_as_string(frame.data)
        with suppress(ConnectionClosed):
            await self._socket.send(f'{{"type":"response.output_audio.delta","delta":"{audio}"}}')

    def flush(self) -> None:
        """End a segment."""
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        """Nothing waits here."""
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        sent_s, self._sent_s = self._sent_s, 0.0
        if sent_s:
            self.on_playback_finished(playback_position=sent_s, interrupted=interrupted)


async def run(port: int, upstream: str, *, silero: bool) -> None:
    """Serve until ended."""

    async def session(socket: ServerConnection) -> None:
        detection = None if silero else TurnDetection(type="server_vad")
        model = openai.realtime.RealtimeModel(api_key="none", base_url=upstream, turn_detection=detection)
        vad = inference.VAD(model="silero") if silero else None
        agents = AgentSession(llm=model, vad=vad)
        microphone = Microphone(socket)
        agents.input.audio, agents.output.audio = microphone, Speaker(socket)
        await agents.start(Agent(instructions="Speak."), record=False)
        try:
            agents.generate_reply()
            await microphone.is_over.wait()
        finally:
            await agents.aclose()

    async with serve(session, "127.0.0.1", port, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


def main() -> None:
    """Run it."""
    logging.basicConfig(level=logging.ERROR)
    uvloop.run(run(int(sys.argv[1]), sys.argv[2], silero="--silero" in sys.argv))


if __name__ == "__main__":
    main()
