"""The `oai-events` data channel: a session's events as JSON text, both ways (contract 1.3).

    out   kept until the channel opens ─► SCTP ─► peer      over 4 MiB unsent: a slow consumer, given up
    in    peer ─► SCTP ─► 256 messages, 1 MiB ─► session    full: datagrams are dropped, SCTP sends them again later
                   └─ parts of messages, 1 MiB              a peer that heeds no window: given up

SCTP and DCEP are aiortc's. The client makes the channel; whoever dials out with this package is the client.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from aiortc import RTCDataChannel, RTCSctpTransport
from aiortc.rtcdatachannel import RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, SackChunk

from transports.webrtc.description import SCTP_PORT, ChannelTerms
from transports.webrtc.dtls import DtlsLink

log = structlog.get_logger(__name__)

LABEL = "oai-events"
MAX_UNSENT_BYTES = 4 * 1024 * 1024
MAX_MESSAGES = 256
MAX_UNREAD_CHARS = 1024 * 1024
MAX_OVERDRAWN_BYTES = 64 * 1024
"""How much more than our window a peer may have sent: probes of a window that is shut, what was under way."""
MAX_PARTS = 1500
"""Of messages that are not complete; a window of honest packets has 950. aiortc looks at all for each that comes."""
MAX_STREAMS = 32
"""A channel is one; aiortc keeps each that was ever used."""

_STILL_UNDER_WAY = 64
"""Messages, or so many that fill a window of SCTP, which come although no more datagrams are taken."""


class Association(RTCSctpTransport):
    """SCTP that a broken packet does not end, and that holds no more of unfinished messages than it said it would."""

    def __init__(self, link: DtlsLink, port: int, acknowledged: Callable[[], None]) -> None:
        """`acknowledged` is called whenever the peer has all that was sent."""
        super().__init__(link, port)
        self._acknowledged = acknowledged

    @property
    def is_drained(self) -> bool:
        """True when the peer has all that was sent. aiortc's `bufferedAmount` leaves out what is under way."""
        return not (self._data_channel_queue or self._outbound_queue or self._sent_queue)

    async def _receive_sack_chunk(self, chunk: SackChunk) -> None:
        await super()._receive_sack_chunk(chunk)
        if self.is_drained:
            self._acknowledged()

    async def _handle_data(self, data: bytes) -> None:
        """Take a packet (called by the DTLS link)."""
        try:
            await super()._handle_data(data)
        except (ValueError, AssertionError, IndexError, KeyError) as error:  # what aiortc raises on broken chunks
            log.info("broken SCTP packet", error=type(error).__name__)
        if self._is_abused():
            log.warning("a peer heeds no window of its data channel")
            await self.stop()

    def _is_abused(self) -> bool:
        streams = self._inbound_streams
        return (
            self._advertised_rwnd < -MAX_OVERDRAWN_BYTES
            or len(streams) > MAX_STREAMS
            or sum(len(stream.reassembly) for stream in streams.values()) > MAX_PARTS
        )


class EventChannel:
    """One call's data channel."""

    def __init__(self, link: DtlsLink, terms: ChannelTerms) -> None:
        """`terms` are the peer's. The channel is opened by the peer, or by `open`."""
        self._link = link
        self._terms = terms
        self._changed = asyncio.Event()
        self._association = Association(link, SCTP_PORT, self._changed.set)
        self._association.on("datachannel", self._receive_channel)
        self._channel: RTCDataChannel | None = None
        self._early: deque[str] = deque()
        self._early_bytes = 0
        self._unread: deque[str | bytes] = deque()
        self._unread_chars = 0
        self._deliver: Callable[[str | bytes], None] | None = None
        self._ended: Callable[[], None] | None = None
        self.is_over = False
        """True once the peer has closed it, or did not keep up."""
        self.oversized = 0
        """Events that were too long, see `fit`."""

    async def start(self) -> None:
        """Begin the association, once DTLS stands."""
        capabilities = RTCSctpCapabilities(maxMessageSize=self._terms.max_message_bytes)
        await self._association.start(capabilities, self._terms.sctp_port)

    def open(self) -> None:
        """Make the channel: the client's part."""
        self._take(RTCDataChannel(self._association, RTCDataChannelParameters(label=LABEL)))

    @property
    def is_congested(self) -> bool:
        """True while messages come faster than they are read: the owner drops DTLS datagrams then."""
        return len(self._unread) >= MAX_MESSAGES - _STILL_UNDER_WAY or self._unread_chars >= MAX_UNREAD_CHARS

    @property
    def unsent_bytes(self) -> int:
        """What waits for the peer to take it."""
        return self._early_bytes + (self._channel.bufferedAmount if self._channel is not None else 0)

    def send(self, text: str) -> None:
        """Queue a message; kept until the channel is open. Past the bound the peer is given up."""
        if self.is_over:
            return
        if self.unsent_bytes > MAX_UNSENT_BYTES:
            log.warning("slow consumer on a data channel", unsent_bytes=self.unsent_bytes)
            self.end()
        elif self._channel is None or self._channel.readyState == "connecting":
            self._early.append(text)
            self._early_bytes += len(text)
        elif self._channel.readyState == "open":
            self._send_now(text)

    def _send_now(self, text: str) -> None:
        assert self._channel is not None
        fitting = fit(text, self._terms.max_message_bytes)
        self.oversized += fitting is not text
        self._channel.send(fitting)

    def deliver_to(self, receive: Callable[[str | bytes], None], ended: Callable[[], None]) -> None:
        """Have messages handed over when they come, those that have come already first, instead of by `messages`.

        `ended` is called once nothing more will come.
        """
        self._deliver, self._ended = receive, ended
        while self._unread:
            receive(self._unread.popleft())
        self._unread_chars = 0
        if self.is_over:
            ended()

    async def messages(self) -> AsyncIterator[str | bytes]:
        """Yield what the peer sends, until it is gone."""
        while True:
            while self._unread:
                message = self._unread.popleft()
                self._unread_chars -= len(message)
                yield message
            if self.is_over:
                return
            self._changed.clear()
            await self._changed.wait()

    async def drain(self) -> None:
        """Return when the peer has all that was queued, once its channel is open. Set a deadline."""
        while not self.is_over and (self._early or not self._association.is_drained):
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Take and give nothing more; `messages` ends. Safe to call twice."""
        self.is_over = True
        self._early.clear()
        self._early_bytes = 0
        self._changed.set()
        if self._ended is not None:
            self._ended()

    async def aclose(self) -> None:
        """End the association."""
        self.end()
        await self._association.stop()

    # ---- called by aiortc

    def _receive_channel(self, channel: RTCDataChannel) -> None:
        if self._channel is None and channel.label == LABEL:
            self._take(channel)
            self._open()
        else:
            channel.close()  # one session, one channel

    def _take(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("open", self._open)
        channel.on("message", self._receive)
        channel.on("close", self.end)

    def _open(self) -> None:
        early, self._early, self._early_bytes = self._early, deque(), 0
        for text in early:
            self._send_now(text)
        self._changed.set()

    def _receive(self, message: str | bytes) -> None:
        if self._deliver is not None:
            self._deliver(message)
        elif len(self._unread) < MAX_MESSAGES:
            self._unread.append(message)
            self._unread_chars += len(message)
            self._changed.set()


def fit(text: str, max_bytes: int) -> str:
    """Return an event as the peer takes it: without its audio where that is too much, an `error` where nothing helps.

    A retrieved item holds its audio in base64, 64 KB for every second; a browser takes 256 KiB in one message.
    """
    if not max_bytes or len(text) * 4 <= max_bytes or len(text.encode()) <= max_bytes:
        return text
    event: dict[str, Any] = json.loads(text)
    for part in event.get("item", {}).get("content", []):
        part.pop("audio", None)
    shorter = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    if len(shorter.encode()) <= max_bytes:
        return shorter
    error = {
        "type": "server_error",
        "code": "event_too_large",
        "message": f"An event of type '{event['type']}' is longer than the {max_bytes} bytes that this client takes.",
        "param": None,
        "event_id": None,
    }
    return json.dumps({"type": "error", "event_id": event["event_id"], "error": error})
