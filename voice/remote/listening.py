"""Speech to text by `POST /v1/audio/transcriptions`."""

import asyncio
import struct
from contextlib import aclosing
from typing import Final

import aiohttp

from voice.audio.frames import HEARING_RATE_HZ, SAMPLE_BYTES
from voice.errors import EngineProtocolError, EngineUnavailable
from voice.prices import MeterOf
from voice.remote.api import Api
from voice.remote.options import ListeningOptions

PATH: Final = "/audio/transcriptions"


class RemoteListening:
    """Writes down what sessions heard."""

    def __init__(self, api: Api, options: ListeningOptions, meter: MeterOf) -> None:
        """`meter` finds what a session's cost is counted by."""
        self._api = api
        self._meter = meter
        self._options = options

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        """Write 16 kHz PCM down. Partials are not asked for (empty): each would cost a request.

        Raises: EngineUnavailable past the deadline; EngineError.
        """
        if partial or not pcm:
            return ""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                text = await (self._stream(pcm) if self._options.stream else self._ask(pcm))
        except TimeoutError:
            raise EngineUnavailable("Speech to text took too long.") from None
        self._meter(session).add_listening(self._options.model, len(pcm) / SAMPLE_BYTES / HEARING_RATE_HZ)
        return text

    async def _ask(self, pcm: bytes) -> str:
        answer = await self._api.fetch_json(PATH, form=lambda: self._form(pcm))
        text = answer.get("text")
        if not isinstance(text, str):
            raise EngineProtocolError("The server's transcript has no text.")
        return text.strip()

    async def _stream(self, pcm: bytes) -> str:
        deltas: list[str] = []
        async with aclosing(self._api.stream_events(PATH, form=lambda: self._form(pcm))) as events:
            async for event in events:
                if event.get("type") == "transcript.text.delta":
                    deltas.append(str(event.get("delta") or ""))
                elif event.get("type") == "transcript.text.done":
                    return str(event.get("text") or "").strip()
        raise EngineProtocolError("The server ended its transcript in the middle.")

    def _form(self, pcm: bytes) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", wav(pcm, HEARING_RATE_HZ), filename="speech.wav", content_type="audio/wav")
        options = self._options
        fields = {"model": options.model, "language": options.language, "prompt": options.prompt}
        for name, value in fields.items():
            if value:
                form.add_field(name, value)
        form.add_field("response_format", "json")
        if options.stream:
            form.add_field("stream", "true")
        return form


def wav(pcm: bytes, rate_hz: int) -> bytes:
    """Return a mono WAV file."""
    rate_bytes = rate_hz * SAMPLE_BYTES
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate_hz, rate_bytes, SAMPLE_BYTES, 16
    )
    return head + struct.pack("<4sI", b"data", len(pcm)) + pcm
