"""Pipecat in front of the upstream of `bench.relay`; runs in the peers' own environment.

    bench/relay_pipecat.py PORT UPSTREAM [--silero]

A session is what its examples make of one, and nothing else: `FastAPIWebsocketTransport`, the context aggregators and
`OpenAIRealtimeLLMService`, one `PipelineWorker`. Cheaper than they have it: under the transport is a bare `websockets`
server instead of uvicorn and Starlette, the serializer is a string template over pybase64, metrics and RTVI are off,
nothing is resampled, the log is quiet, the loop is uvloop. Pipecat sends audio on in 40 ms and paces it.

`--silero` takes the upstream's turn detection away and gives the turns to Pipecat's own `SileroVADAnalyzer`. That wants
a pipeline of 16 kHz, Pipecat's usual one: the serializer resamples with Pipecat's own stream resampler, as those of the
telephone providers do, and the service resamples again on the way up.
"""

import sys
from typing import Any

import pybase64
import uvloop
from loguru import logger
from pipecat.audio.utils import create_stream_resampler
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import Frame, InputAudioRawFrame, LLMRunFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.openai.realtime.events import AudioConfiguration, AudioInput, SessionProperties
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner
from starlette.websockets import WebSocketState
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

RATE_HZ = 24_000
SILERO_RATE_HZ = 16_000


class Wire(FrameSerializer):
    """The callers' words: an append is a frame, a frame is a delta."""

    def __init__(self, pipeline_rate_hz: int) -> None:
        """`pipeline_rate_hz`: what the pipeline hears at."""
        super().__init__()
        self._rate_hz = pipeline_rate_hz
        self._resampler = create_stream_resampler()

    async def serialize(self, frame: Frame) -> str | None:
        """Return the delta."""
        if not isinstance(frame, OutputAudioRawFrame):
            return None
        return f'{{"type":"response.output_audio.delta","delta":"{pybase64.b64encode_as_string(frame.audio)}"}}'

    async def deserialize(self, data: str | bytes) -> Frame | None:
        """Return the frame; everything but audio was done when the caller came."""
        text = str(data)
        if '"input_audio_buffer.append"' not in text[:60]:
            return None
        start = text.index('"audio":"') + 9
        pcm = pybase64.b64decode(text[start:-2])
        if self._rate_hz != RATE_HZ:
            pcm = await self._resampler.resample(pcm, RATE_HZ, self._rate_hz)
        return InputAudioRawFrame(pcm, self._rate_hz, 1) if pcm else None


class Socket:
    """As much of a Starlette WebSocket as the transport asks for, on a bare one."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket
        self.client_state = self.application_state = WebSocketState.CONNECTED

    async def receive(self) -> dict[str, Any]:
        """Return the next message."""
        try:
            return {"type": "websocket.receive", "text": await self._socket.recv()}
        except ConnectionClosed:
            self.client_state = WebSocketState.DISCONNECTED
            return {"type": "websocket.disconnect"}

    async def send_text(self, text: str) -> None:
        """Send one."""
        await self._socket.send(text)

    async def close(self) -> None:
        """Say goodbye."""
        await self._socket.close()


def worker_of(socket: ServerConnection, upstream: str, *, silero: bool) -> PipelineWorker:
    """Build one session."""
    heard_hz = SILERO_RATE_HZ if silero else RATE_HZ
    params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=Wire(heard_hz))
    transport = FastAPIWebsocketTransport(Socket(socket), params)
    heard = AudioInput(turn_detection=False) if silero else AudioInput()
    properties = SessionProperties(audio=AudioConfiguration(input=heard))
    settings = OpenAIRealtimeLLMService.Settings(system_instruction="Speak.", session_properties=properties)
    llm = OpenAIRealtimeLLMService(api_key="none", base_url=upstream, settings=settings)
    context = LLMContext([{"role": "user", "content": "Speak."}])
    user, assistant = LLMContextAggregatorPair(context)
    if silero:
        turns = UserTurnStrategies(start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy()])
        user, assistant = LLMContextAggregatorPair(
            context,
            user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=turns),
        )
    return PipelineWorker(
        Pipeline([transport.input(), user, llm, transport.output(), assistant]),
        params=PipelineParams(audio_in_sample_rate=heard_hz, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
        idle_timeout_secs=None,
    )


async def run(port: int, upstream: str, *, silero: bool) -> None:
    """Serve until ended."""

    async def session(socket: ServerConnection) -> None:
        worker = worker_of(socket, upstream, silero=silero)
        runner = WorkerRunner(handle_sigint=False)
        await worker.queue_frames([LLMRunFrame()])
        await runner.add_workers(worker)
        await runner.run()

    async with serve(session, "127.0.0.1", port, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


def main() -> None:
    """Run it."""
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    uvloop.run(run(int(sys.argv[1]), sys.argv[2], silero="--silero" in sys.argv))


if __name__ == "__main__":
    main()
