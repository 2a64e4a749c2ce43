"""The WebSocket to an upstream: opens, sends in order, hands on what comes, and says why it ended."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

import msgspec
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import CloseCode

from voice.errors import EngineError, EngineOverloaded, EngineRefused, EngineUnavailable
from voice.ids import Ids
from voice.remote.retry import may_retry, retry_after_s
from voice.upstream.direct import DirectConnection
from voice.upstream.line import Line
from voice.upstream.options import UpstreamOptions, address, handshake_headers
from voice.upstream.words import Event

_log = structlog.get_logger(__name__)

_MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be sent: two minutes of speech. An upstream that takes none for so long is as good as gone."""

_MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
_CLOSE_S: Final = 0.5
_REFUSED_CLOSES: Final = frozenset({1002, 1003, 1007, 1008, 4000})
_decoder: Final = msgspec.json.Decoder()


class _Connect(connect):
    """Follows no redirect: a key must not go to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Receiver(Protocol):
    """What a connection hands on to."""

    created: asyncio.Event
    """Set when the upstream's session stands, or never will."""
    error: EngineError | None
    """Why nothing more will come."""

    @property
    def is_usable(self) -> bool:
        """False once it is lost."""
        ...

    def receive(self, event: dict[str, Any]) -> None:
        """Take what the upstream sent."""
        ...

    def lose(self, error: EngineError) -> None:
        """Nothing more will come; the first reason counts."""
        ...


_Line = TypeVar("_Line", bound=Receiver)


class Socket(Generic[_Line]):
    """One connection and its line. Its task ends with `aclose`, or by itself when it is lost."""

    def __init__(
        self,
        options: UpstreamOptions,
        url: str,
        make_line: Callable[["Socket[_Line]"], _Line],
        safety_identifier: str | None = None,
    ) -> None:
        """`make_line` may keep `send`, and calls nothing yet."""
        self.line = make_line(self)
        self.request_id = f"upstream_{Ids().stem}"
        """`X-Client-Request-Id` of the handshake."""
        self._options = options
        self._url = url
        self._safety_identifier = safety_identifier
        self._told_bytes = 0
        """Of all but the sound that streams: a whole conversation may wait to be sent, and is no sign of a fault."""
        self._socket: DirectConnection | None = None
        self._is_over = asyncio.Event()
        """The connection is of no use any more, whoever found that out."""
        self._running: asyncio.Task[None] | None = None

    async def open(self, *, is_trial: bool = False) -> None:
        """Connect, and return when the upstream's session stands. Raises: EngineError; nothing is left open then.

        Why not is logged, but for a trial, which tells it itself.
        """
        options = self._options
        is_local = urlsplit(options.url).hostname in ("localhost", "127.0.0.1", "::1")
        make: Any = partial(
            DirectConnection, on_message=self._receive, on_lost=self._note_lost, max_bytes=_MAX_EVENT_BYTES
        )
        try:
            async with asyncio.timeout(options.connect_s):
                socket = await _Connect(
                    self._url,
                    create_connection=make,  # typed as a class, and used as a factory
                    additional_headers=handshake_headers(options, self.request_id, self._safety_identifier),
                    compression=None,
                    max_size=_MAX_EVENT_BYTES,
                    open_timeout=None,
                    close_timeout=_CLOSE_S,
                    proxy=None if is_local else True,
                )
                assert isinstance(socket, DirectConnection)
                self._socket = socket
                self._running = asyncio.create_task(self._run(socket), name=self.request_id)
                await self.line.created.wait()
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
            failed = _refusal(error, _log.debug if is_trial else _log.warning)
            await self.aclose()
            raise failed from error
        except BaseException:
            await self.aclose()
            raise
        if self.line.error is not None:
            await self.aclose()
            raise self.line.error

    def send(self, event: Event) -> None:
        """Put an event on its way. Returns at once."""
        text = json.dumps(event)
        self._told_bytes += len(text)
        self._put(text)

    def send_audio(self, audio: str) -> None:
        """Append audio, in base64, to what a conversation hears."""
        self._put(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')

    def _put(self, text: str) -> None:
        """Write without a task in between: half of what a message costs otherwise is waking the one that sends it."""
        socket = self._socket
        if socket is None or not self.line.is_usable:
            return
        socket.send_now(text)
        if socket.transport.get_write_buffer_size() > _MAX_WAITING_BYTES + self._told_bytes:
            self.line.lose(EngineUnavailable("The upstream does not take what it is sent."))

    async def aclose(self) -> None:
        """Close. Safe to call twice, and when it was never open."""
        self.line.lose(EngineUnavailable("The connection to the upstream was closed."))
        if self._running is not None:
            self._is_over.set()
            await asyncio.wait({self._running})
        elif self._socket is not None:
            await self._socket.close()

    async def _run(self, socket: DirectConnection) -> None:
        await self._is_over.wait()
        with suppress(OSError, TimeoutError):
            await socket.close()

    def _receive(self, message: bytes) -> None:
        """Take the next message, in the middle of reading: nothing may be raised."""
        if self.line.is_usable:
            self._hand_on(message)
        if not self.line.is_usable:
            self._is_over.set()

    def _hand_on(self, message: bytes) -> None:
        event = _decoded(message)
        if event is None:
            self.line.lose(EngineUnavailable("The upstream sent something that is no event."))
            return
        try:
            self.line.receive(event)
        except Exception:  # noqa: BLE001 - a fault of ours costs this connection, and not in silence
            _log.exception("a connection to an upstream failed")
            self.line.lose(EngineUnavailable("The connection to the upstream failed."))

    def _note_lost(self, code: int | None, reason: str | None) -> None:
        self.line.lose(_closed(code, reason))
        self._is_over.set()


class Connection(Socket[Line]):
    """To a conversation, or to a transcription."""

    def __init__(
        self, options: UpstreamOptions, *, safety_identifier: str | None = None, only_transcribes: bool = False
    ) -> None:
        url = address(options, "transcription" if only_transcribes else "conversation")
        super().__init__(options, url, lambda socket: Line(options, socket.send, socket.send_audio), safety_identifier)


def _decoded(message: bytes) -> dict[str, Any] | None:
    try:
        event = _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _closed(code: int | None, reason: str | None) -> EngineError:
    if code is None or code == CloseCode.ABNORMAL_CLOSURE:
        return EngineUnavailable("The connection to the upstream broke off.")
    words = f"The upstream closed the connection ({code}{': ' + reason[:100] if reason else ''})."
    return EngineRefused(words) if code in _REFUSED_CLOSES else EngineUnavailable(words)


def _refusal(error: Exception, tell: Callable[..., object]) -> EngineError:
    """Say why there is no connection; what the upstream wrote decides whether to come back."""
    if not isinstance(error, InvalidStatus):
        if isinstance(error, InvalidURI):
            return EngineRefused("The upstream's URL is not one.")
        if isinstance(error, TimeoutError):
            return EngineUnavailable("The upstream did not answer the handshake in time.")
        tell("upstream not reached", cause=f"{type(error).__name__}: {error}"[:200])
        if isinstance(error, InvalidHandshake | ConnectionClosed | ConnectionResetError | BrokenPipeError):
            return EngineUnavailable("The upstream broke the handshake off.")
        return EngineUnavailable("The upstream cannot be reached.")
    status, code, words = error.response.status_code, None, ""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        said = json.loads(error.response.body or b"")["error"]
        code, words = said.get("code"), str(said.get("message"))[:200]
    tell("upstream refused", status=status, code=code, message=words)
    message = f"The upstream refused the connection ({status}{' ' + code if code else ''})."
    if not may_retry(status, code):
        return EngineRefused(message)
    if status == 429:
        return EngineOverloaded(message, retry_after_s(_lower(error.response.headers)) or 1.0)
    return EngineUnavailable(message)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.raw_items()}
