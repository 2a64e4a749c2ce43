"""Carries a session over one WebSocket (contract 2.4 to 2.7): JSON text both ways, audio in base64."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from transports.direct import DirectReading
from transports.keepalive import KeepAlive
from transports.outbox import Outbox, OutboxLimits, Traffic
from transports.port import Flushed
from transports.wire_audio import AudioDeltas
from voice.audio.frames import AudioFrame
from voice.ids import Ids
from voice.protocol.client_events import ClientEvent, InvalidEvent
from voice.protocol.codec import encode_server_event
from voice.protocol.dialect import Dialect
from voice.protocol.server_events import ServerEvent
from voice.session.effects import FinishAudio, PlayAudio

EVENTS_PER_TURN = 32
"""Client events handled before the other sessions get the event loop: a flood waits for itself."""

CHARS_PER_TURN = 256 * 1024
"""The same for large events."""

LINGER_BYTES = 8 * 1024 * 1024
"""What a message may be too long and still be read to its end, so that the client reads why the connection closes.

Beyond it aiohttp hangs up in the middle of the message, and a client that is busy sending may only see a reset.
"""

MAX_REASON_BYTES = 123
"""RFC 6455 §5.5: a control frame carries 125 bytes, two of them the code."""

_NEVER_DRAIN = 2**62

_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """What one connection may cost."""

    max_message_bytes: int = 24 * 1024 * 1024
    """A longer message closes with 1009. Room for 15 MiB of audio in base64 (contract 2.4)."""
    ping_s: float | None = 30.0
    """How long a client may be silent before it is pinged; keeps proxies from closing, too. None: never."""
    drop_after_s: float = 120.0
    """A client that was silent for so long, pings included, is gone. Room for a slow upload of the largest message."""
    close_s: float = 2.0
    """How long a closing connection may take to send what is queued and say goodbye."""
    outbox: OutboxLimits = field(default_factory=OutboxLimits)


class WebSocketTransport(Generic[_Event]):
    """One client on one WebSocket, in its dialect; owns no task.

    In a dialect of conversations it implements `voice.transport.Transport`, and is a `ConversationSocket`.
    """

    plays_in_real_time = False

    def __init__(
        self,
        socket: web.WebSocketResponse,
        stream: asyncio.WriteTransport,
        limits: WebSocketLimits,
        traffic: Traffic | None,
        dialect: Dialect[_Event],
        *,
        was_early: bool,
    ) -> None:
        """Use `accept`; `stream` is the byte stream under `socket`. `was_early`: see `DirectReading.install`."""
        self.response = socket
        """What the request handler returns."""
        self._socket = socket
        self._stream = stream
        self._limits = limits
        self._traffic = traffic or Traffic()
        self._decode = dialect.decode
        self._spoken = dialect.spoken
        self._outbox = Outbox(socket, stream, limits.outbox, self._traffic)
        self._deltas = AudioDeltas(Ids())
        self._closing = False
        self._reading = DirectReading.install(stream, self._take_text, was_early=was_early)
        self._take: Callable[[_Event | InvalidEvent], bool] | None = None
        self._context = contextvars.copy_context()
        self._events_left, self._chars_left = EVENTS_PER_TURN, CHARS_PER_TURN
        self._keep_alive = KeepAlive(self._ping, stream.abort, ping_s=limits.ping_s, drop_after_s=limits.drop_after_s)
        self._keep_alive.start()

    @classmethod
    async def accept(
        cls,
        request: web.Request,
        dialect: Dialect[_Event],
        *,
        protocol: str | None = None,
        limits: WebSocketLimits | None = None,
        traffic: Traffic | None = None,
    ) -> "WebSocketTransport[_Event]":
        """Answer the upgrade request with 101. The caller must `aclose` what it gets.

        `protocol` is the subprotocol to select. Raises: ConnectionResetError when the client has gone.
        """
        limits = limits or WebSocketLimits()
        socket = web.WebSocketResponse(
            # Deflate costs 3 to 5 ms per session-second, and the outbox writes frames as they are.
            compress=False,
            writer_limit=_NEVER_DRAIN,
            max_msg_size=limits.max_message_bytes + LINGER_BYTES,
            # aiohttp answers pings inside `receive`, where a flood of them could neither be counted nor bounded.
            autoping=False,
            autoclose=False,
            timeout=limits.close_s,
        )
        if protocol is not None:
            socket.headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = protocol
        was_early = bool(getattr(request.protocol, "_message_tail", b""))
        await socket.prepare(_without_protocols(request))
        stream = request.transport
        if stream is None:
            raise ConnectionResetError("the client went away during the handshake")
        return cls(socket, stream, limits, traffic, dialect, was_early=was_early)

    async def frames(self) -> AsyncIterator[AudioFrame]:
        """End at once: audio comes as `input_audio_buffer.append` among the client events."""
        return
        yield

    async def client_events(
        self, take: Callable[[_Event | InvalidEvent], bool] | None = None
    ) -> AsyncIterator[_Event | InvalidEvent]:
        """Yield what the client sends, in order. Ends when the client is gone or the connection is closed here.

        A client that does not read its answers is not read from either, until it does.
        """
        self._take, self._context = take, contextvars.copy_context()
        try:
            async with aclosing(self._read()) as events:
                async for event in events:
                    yield event
        finally:
            self._take, self._reading.is_at_rest = None, False

    async def _read(self) -> AsyncGenerator[_Event | InvalidEvent, None]:
        while True:
            self._reading.is_at_rest = self._take is not None
            message = await self._socket.receive()
            self._reading.is_at_rest = False
            self._keep_alive.silent_rounds = 0
            if message.type is WSMsgType.TEXT:
                text = message.data
                if len(text) > self._limits.max_message_bytes:
                    await self._socket.close(code=WSCloseCode.MESSAGE_TOO_BIG, message=b"The message is too big.")
                    return
                self._count(text)
                yield self._decode(text)
            elif message.type is WSMsgType.BINARY:
                self._chars_left -= len(message.data)
                yield _binary_frame()
            elif message.type is WSMsgType.PING:
                self._outbox.control(self._socket.pong(message.data))
            elif message.type is WSMsgType.CLOSE:
                # RFC 6455 §7.4.1: nobody may send 1006, and aiohttp lets it pass. Nothing is drained: who leaves may
                # not read any more.
                is_wrong = message.data == WSCloseCode.ABNORMAL_CLOSURE
                await self._socket.close(code=WSCloseCode.PROTOCOL_ERROR if is_wrong else WSCloseCode.OK, drain=False)
                return
            elif message.type is not WSMsgType.PONG:
                return  # CLOSING, CLOSED, or ERROR: too big, not UTF-8, no pong, reset
            self._events_left -= 1
            if self._events_left <= 0 or self._chars_left <= 0:
                self._events_left, self._chars_left = EVENTS_PER_TURN, CHARS_PER_TURN
                await asyncio.sleep(0)
            if self._outbox.over_limit:  # one event may be answered with megabytes: look after each
                await self._outbox.wait_within_limit()

    def _take_text(self, text: str) -> bool:
        """Offer an event where it arrives. Now and then one takes the long way instead, past the other sessions."""
        if self._take is None or self._closing or self._outbox.over_limit:
            return False
        if self._events_left <= 1 or self._chars_left <= len(text):
            return False
        event = self._decode(text)
        # What it starts belongs to the session, in the log as well.
        if not self._context.run(self._take, event):
            return False
        self._keep_alive.silent_rounds = 0
        self._events_left -= 1
        self._count(text)
        return True

    def _count(self, text: str) -> None:
        self._traffic.received_events += 1
        self._traffic.received_chars += len(text)
        self._chars_left -= len(text)

    def _ping(self) -> None:
        """Ask for a sign of life. A client that is not read from, since it does not read, is `Outbox`'s to judge."""
        if self._outbox.over_limit:
            self._keep_alive.silent_rounds = 0
        else:
            self._outbox.control(self._socket.ping())

    def send_event(self, event: ServerEvent) -> None:
        """Queue an event for the wire. A full outbox is a slow consumer: the connection is dropped."""
        self._send(encode_server_event(event))

    def play_audio(self, audio: PlayAudio) -> None:
        """Queue audio as deltas of at most 96 KiB, in the format of the response."""
        for text in self._deltas.encode(audio):
            self._send(text)

    def finish_audio(self, audio: FinishAudio) -> None:
        """Send the samples that resampling held back. Call it before the item's `response.output_audio.done`."""
        for text in self._deltas.finish(audio):
            self._send(text)

    def _send(self, text: str) -> None:
        for spoken in self._spoken(text):
            self._outbox.send(spoken)

    def flush_audio(self) -> Flushed | None:
        """Do nothing: the client plays, drops what it has and truncates the item itself (contract 4.7)."""
        return None

    @property
    def is_playable(self) -> bool:
        """True while the outbox is below its high water."""
        return self._outbox.is_playable

    async def wait_playable(self) -> None:
        """Return when the outbox is below its high water. Cancelling is safe."""
        await self._outbox.wait_playable()

    async def wait_drained(self) -> str:
        """Never return: only the client knows what it has played."""
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then close with `code`; after `close_s` drop what the client did not take.

        Safe to call twice. When cancelled, the connection is dropped at once.
        """
        if self._closing:
            return
        self._closing = True
        self._keep_alive.stop()
        done = False
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._socket.close(code=code, message=_reason(reason))
                await self._outbox.wait_empty()
                done = True
        except TimeoutError:
            pass
        finally:
            if not done:
                # A closed stream still waits to flush, and a client that never reads would pin its buffer for ever.
                self._stream.abort()


ConversationSocket = WebSocketTransport[ClientEvent]
"""The socket of a conversation."""


def _without_protocols(request: web.Request) -> web.Request:
    """Keep the offered subprotocols from aiohttp, which logs those it does not know: a browser's key is among them."""
    if hdrs.SEC_WEBSOCKET_PROTOCOL not in request.headers:
        return request
    headers = request.headers.copy()
    del headers[hdrs.SEC_WEBSOCKET_PROTOCOL]
    return request.clone(headers=headers)


def _binary_frame() -> InvalidEvent:
    return InvalidEvent("Invalid frame: expected text with one JSON event, but got a binary frame instead.")


def _reason(reason: str) -> bytes:
    """Cut to what a close frame holds, never inside a character."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
