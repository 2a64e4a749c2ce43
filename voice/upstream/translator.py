"""Translates by an upstream's translation session (contract 4.14): what comes goes there, and what it says comes back.

    hear, finish ──► session.input_audio_buffer.append, session.close ──► upstream
    translate    ◄── session.output_transcript.delta, session.output_audio.delta, … session.closed

One connection for one session: without turns there is nothing to replay, so a connection that is lost ends it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import pybase64
import structlog

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.engines.port import EngineComplaint
from voice.engines.translator import (
    SourceText,
    Translated,
    TranslatedAudio,
    TranslatedText,
    TranslatorSettings,
)
from voice.errors import EngineError, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.upstream.answer import failure
from voice.upstream.connection import Socket
from voice.upstream.options import UpstreamOptions, address
from voice.upstream.words import Event

_log = structlog.get_logger(__name__)

_WAITING_EVENTS: Final = 4096
"""Of a translation that nobody takes: minutes of speech."""

_HIGH_WATER_BYTES: Final = 512 * 1024
"""Of sound that waits to be sent: eight seconds of speech."""

_POLL_S: Final = 0.02


class TranslationLine:
    """What came from the upstream and was not yet taken. No socket in here."""

    def __init__(self) -> None:
        self.created = asyncio.Event()
        self.error: EngineError | None = None
        self._waiting: deque[Translated] = deque()
        self._news = asyncio.Event()
        self._is_over = False
        self._rest = b""
        """Half a sample, whose other half has not come."""

    @property
    def is_usable(self) -> bool:
        """False once nothing more will come."""
        return self.error is None and not self._is_over

    def receive(self, event: dict[str, Any]) -> None:
        """Take an event; one of a type that is not known changes nothing."""
        match event:
            case {"type": "session.created"}:
                self.created.set()
            case {"type": "session.closed"}:
                self._is_over = True
                self._news.set()
            case {"type": "session.input_transcript.delta", "delta": str(text)}:
                self._put(SourceText(text))
            case {"type": "session.output_transcript.delta", "delta": str(text)}:
                self._put(TranslatedText(text))
            case {"type": "session.output_audio.delta", "delta": str(audio)}:
                self._put_audio(audio)
            case {"type": "error", "error": dict(body)}:
                self._receive_error(body)

    def lose(self, error: EngineError) -> None:
        """Nothing more will come; after the end that is no loss."""
        if self.is_usable:
            self.error = error
        self.created.set()
        self._news.set()

    async def take(self) -> AsyncGenerator[Translated, None]:
        """Yield what comes, to the end. Raises: EngineError where it was lost before."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self.error is not None:
                raise self.error
            if self._is_over:
                return
            self._news.clear()
            await self._news.wait()

    def _receive_error(self, body: dict[str, Any]) -> None:
        """Take an `error`: it ends a session that is not made yet, that may go on no longer, and no other."""
        code, message = body.get("code"), body.get("message")
        error = failure(code, message)
        _log.warning("upstream error", code=code, message=str(message)[:200])
        if code == "session_expired":
            self.lose(EngineUnavailable("The upstream's session is over."))
        elif isinstance(error, EngineRefused) or not self.created.is_set():
            self.lose(error)
        else:  # contract 2.6: ordinary errors close nothing
            words = f"The upstream complains: {str(message)[:200]}"
            self._put(EngineComplaint(code if isinstance(code, str) else None, words))

    def _put(self, event: Translated) -> None:
        if len(self._waiting) >= _WAITING_EVENTS:
            self.lose(EngineProtocolError("The upstream translates faster than anybody listens."))
            return
        self._waiting.append(event)
        self._news.set()

    def _put_audio(self, audio: str) -> None:
        try:
            pcm = self._rest + pybase64.b64decode(audio, validate=True)
        except ValueError:
            self.lose(EngineProtocolError("The upstream sent audio that is no base64."))
            return
        whole = len(pcm) // SAMPLE_BYTES * SAMPLE_BYTES
        self._rest = pcm[whole:]
        self._put(TranslatedAudio(AudioFrame(pcm[:whole], CORE_RATE_HZ)))


class TranslationSocket(Socket[TranslationLine]):
    """The connection. Its sound goes where a translation hears it, as fast as it is taken there."""

    async def wait_ready(self) -> None:
        """Return when little waits to be sent, or the connection is lost; pings find out about that."""
        while self.line.is_usable and self._socket is not None:
            if self._socket.transport.get_write_buffer_size() <= _HIGH_WATER_BYTES:
                return
            await asyncio.sleep(_POLL_S)

    def send_audio(self, audio: str) -> None:
        """Append audio, in base64."""
        self._put(f'{{"type":"session.input_audio_buffer.append","audio":"{audio}"}}')


class UpstreamTranslator:
    """One session's. Implements `voice.engines.translator.Translator`."""

    def __init__(
        self,
        options: UpstreamOptions,
        *,
        safety_identifier: str | None = None,
        on_heard: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`on_heard` is told how much was sent there: translations are paid by the minute."""
        url = address(options, "translation")
        self._socket = TranslationSocket(options, url, lambda _: TranslationLine(), safety_identifier)
        self._on_heard = on_heard

    @property
    def languages(self) -> frozenset[str] | None:
        """The upstream does not say."""
        return None

    async def open(self, settings: TranslatorSettings) -> None:
        """Connect. Raises: EngineError."""
        await self._socket.open()
        self.configure(settings)

    def configure(self, settings: TranslatorSettings) -> None:
        """Pass the settings on; noise was reduced here."""
        self._socket.send({"type": "session.update", "session": session_of(settings)})

    def hear(self, frame: AudioFrame) -> None:
        """Pass audio on."""
        self._socket.send_audio(pybase64.b64encode_as_string(frame.pcm))
        self._on_heard(frame.duration_ms / 1000)

    async def wait_ready(self) -> None:
        """Return when the upstream has taken what it was sent, but for some seconds."""
        await self._socket.wait_ready()

    def finish(self) -> None:
        """Ask for the rest."""
        self._socket.send({"type": "session.close"})

    def translate(self) -> AsyncGenerator[Translated, None]:
        """Yield what the upstream says until its session is closed. Raises: EngineError."""
        return self._socket.line.take()

    async def aclose(self) -> None:
        """Close the connection. Safe to call twice."""
        await self._socket.aclose()


def session_of(settings: TranslatorSettings) -> Event:
    """Return the `session` of an update, in the official SDK's shape."""
    model, language = settings.source_model, settings.language
    heard = {"transcription": {"model": model} if model is not None else None}
    return {"audio": {"input": heard, **({"output": {"language": language}} if language is not None else {})}}
