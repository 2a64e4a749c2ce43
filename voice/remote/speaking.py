"""Text to speech by `POST /v1/audio/speech`, heard as it is made."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.errors import EngineProtocolError, EngineUnavailable
from voice.prices import MeterOf
from voice.remote.api import Api
from voice.remote.options import SpeakingOptions

PATH: Final = "/audio/speech"
RUN_BYTES: Final = CORE_RATE_HZ // 4 * SAMPLE_BYTES
"""At most 250 ms are handed on at once."""


class RemoteSpeaking:
    """Says what engines have thought."""

    def __init__(self, api: Api, options: SpeakingOptions, meter: MeterOf) -> None:
        """`meter` finds what a session's cost is counted by."""
        self._api = api
        self._meter = meter
        self._options = options

    async def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Say a text: runs of 24 kHz PCM. Use it under `aclosing`. Raises: EngineError."""
        options = self._options
        body: dict[str, Any] = {
            "model": options.model,
            "input": text,
            "voice": options.voice or voice,
            "response_format": "pcm",
            "speed": speed,
        }
        if options.instructions:
            body["instructions"] = options.instructions
        pending, size_bytes = b"", 0
        limit_s = options.first_sound_s
        async with aclosing(self._api.stream_bytes(PATH, json_body=body)) as pieces:
            while (piece := await _next(pieces, limit_s)) is not None:
                limit_s = options.next_sound_s
                pending += piece
                if not size_bytes:  # the whole text is charged for as soon as it is being spoken
                    self._meter(session).add_speaking(options.model, len(text), 0)
                size_bytes += len(piece)
                self._meter(session).add_speaking(options.model, 0, len(piece) / SAMPLE_BYTES / CORE_RATE_HZ)
                if pending.startswith((b"RIFF", b"ID3", b"OggS")):
                    raise EngineProtocolError("The speech server sends a file where raw PCM was asked for.")
                whole = len(pending) - len(pending) % SAMPLE_BYTES
                for start in range(0, whole, RUN_BYTES):
                    yield pending[start : min(start + RUN_BYTES, whole)]
                pending = pending[whole:]


async def _next(pieces: AsyncGenerator[bytes, None], limit_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(limit_s):
            return await anext(pieces, None)
    except TimeoutError:
        raise EngineUnavailable("Text to speech took too long.") from None
