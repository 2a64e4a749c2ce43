"""`/v1/audio`: speech to text and text to speech for whoever has a key, as the official client calls them.

POST /v1/audio/transcriptions   a file ──► its words (json, verbose_json, text, srt, vtt; streamed)
POST /v1/audio/translations     refused: the models here write down what is said, in the language it is said in
POST /v1/audio/speech           a text ──► a file (mp3, opus, aac, flac, wav, pcm; as it is made)
"""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from aiohttp import BodyPartReader, hdrs, web

from transports.http.auth import KeyRing, authenticate
from transports.http.errors import ApiError
from transports.http.event_stream import EventStream
from transports.http.rate_limits import limit_by
from voice.audio.files import CONTENT_TYPES, Encoder, UnreadableAudio, decode
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.rest.audio import (
    SpeechRequest,
    TranscriptionForm,
    duration_usage,
    parse,
    parse_json,
    subtitles,
    transcription_json,
    transcription_text,
    verbose_json,
)
from voice.rest.service import Segment, SingleRequests

MAX_FILE_BYTES: Final = 25 * 1024 * 1024
MAX_FIELD_BYTES: Final = 64 * 1024
MAX_PARTS: Final = 64
"""Of a form: no route knows a quarter of them."""

_LISTS: Final = ("timestamp_granularities", "include")


class Audio:
    """Serves the routes."""

    def __init__(self, requests: SingleRequests, keys: KeyRing) -> None:
        self._requests = requests
        self._keys = keys

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """Write a recording down."""
        authenticate(request, self._keys)
        limit_by(request, self._requests.room)
        fields, content = await _read_form(request)
        form = parse(TranscriptionForm, fields)
        form.check()
        self._requests.resolve(form.model)
        if content is None:
            raise _missing("file")
        try:
            pcm = await asyncio.to_thread(decode, content)
        except UnreadableAudio as error:
            raise ApiError(400, f"The file cannot be read: {error}.", code="invalid_file", param="file") from None
        duration_s = len(pcm) / SAMPLE_BYTES / CORE_RATE_HZ
        segments = self._requests.transcribe(form.model, pcm, language=form.language, prompt=form.prompt)
        if form.stream:
            return await _stream_words(request, segments, duration_s)
        async with aclosing(segments):
            found = [segment async for segment in segments]
        if form.response_format == "text":
            return web.Response(text=transcription_text(found) + "\n")
        if form.response_format in ("srt", "vtt"):
            return web.Response(text=subtitles(found, "srt" if form.response_format == "srt" else "vtt"))
        if form.response_format == "verbose_json":
            return web.json_response(verbose_json(found, duration_s, form.language))
        return web.json_response(transcription_json(found, duration_s))

    async def translate(self, request: web.Request) -> web.StreamResponse:
        """Refuse, and say what to do instead."""
        authenticate(request, self._keys)
        await request.release()
        raise ApiError(
            400,
            "No model of this service translates speech: POST /v1/audio/transcriptions writes it down as it was said.",
            code="unsupported_model",
            param="model",
        )

    async def speak(self, request: web.Request) -> web.StreamResponse:
        """Speak a text; the answer begins with the first sound."""
        authenticate(request, self._keys)
        limit_by(request, self._requests.room)
        asked = parse_json(SpeechRequest, await request.read())
        voice = asked.voice_among(self._requests.voices)
        self._requests.resolve(asked.model)
        runs = self._requests.speak(asked.model, asked.input, voice=voice, speed=asked.speed)
        encoder = await asyncio.to_thread(Encoder, asked.response_format)
        async with aclosing(_encoded(runs, encoder)) as pieces:
            if asked.stream_format == "sse":
                return await _stream_speech(request, pieces, asked)
            return await _send_speech(request, pieces, asked)


async def _encoded(runs: AsyncGenerator[bytes, None], encoder: Encoder) -> AsyncGenerator[bytes, None]:
    async with aclosing(runs):
        async for pcm in runs:
            if piece := await asyncio.to_thread(encoder.feed, pcm):
                yield piece
    if piece := await asyncio.to_thread(encoder.finish):
        yield piece


async def _send_speech(
    request: web.Request, pieces: AsyncGenerator[bytes, None], asked: SpeechRequest
) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: CONTENT_TYPES[asked.response_format]})
    async for piece in pieces:
        if not response.prepared:  # an engine that fails before its first sound is answered by an error
            await response.prepare(request)
        await response.write(piece)
    if not response.prepared:
        await response.prepare(request)
    await response.write_eof()
    return response


async def _stream_speech(
    request: web.Request, pieces: AsyncGenerator[bytes, None], asked: SpeechRequest
) -> web.StreamResponse:
    stream = EventStream(request)
    async for piece in pieces:
        await stream.send({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    await stream.send({"type": "speech.audio.done", "usage": _speech_usage(asked.input)})
    return await stream.finish()


def _speech_usage(text: str) -> dict[str, int]:
    tokens = -(-len(text) // 4)
    return {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens}


async def _stream_words(
    request: web.Request, segments: AsyncGenerator[Segment, None], duration_s: float
) -> web.StreamResponse:
    stream = EventStream(request)
    text = ""
    async with aclosing(segments):
        async for segment in segments:
            delta = f" {segment.text}" if text else segment.text
            text += delta
            await stream.send({"type": "transcript.text.delta", "delta": delta})
    await stream.send({"type": "transcript.text.done", "text": text, "usage": duration_usage(duration_s)})
    return await stream.finish()


async def _read_form(request: web.Request) -> tuple[dict[str, Any], bytes | None]:
    """Return the fields of a form and its file. Raises: ApiError."""
    if request.content_type != "multipart/form-data":
        raise ApiError(
            400, "Send the recording as multipart/form-data, in a part named 'file'.", code="invalid_content_type"
        )
    fields: dict[str, Any] = {}
    content = None
    count = 0
    try:
        async for part in await request.multipart():
            count += 1
            if count > MAX_PARTS:
                raise ApiError(413, f"The form has more than {MAX_PARTS} parts.", code="request_too_large")
            if not isinstance(part, BodyPartReader) or part.name is None:
                continue
            if part.name == "file":
                content = await _read_part(part, MAX_FILE_BYTES, "file")
                continue
            name = part.name.removesuffix("[]")
            value = (await _read_part(part, MAX_FIELD_BYTES, name)).decode("utf-8", "replace")
            if name in _LISTS:
                fields[name] = (*fields.get(name, ()), value)
            else:
                fields[name] = value
    except ValueError as error:
        raise ApiError(400, f"The form cannot be read: {error}.", code=None) from None
    return fields, content


async def _read_part(part: BodyPartReader, limit_bytes: int, name: str) -> bytes:
    content = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        content += chunk
        if len(content) > limit_bytes:
            raise ApiError(
                413,
                f"'{name}' is larger than {limit_bytes} bytes ({limit_bytes // 1024} KiB).",
                code="content_size_limit_exceeded",
                param=name,
            )
    return bytes(content)


def _missing(name: str) -> ApiError:
    return ApiError(400, f"Missing required parameter: '{name}'.", code="missing_required_parameter", param=name)
