"""`voice talk --webrtc`: a conversation over the client's end of this transport.

What is heard on the track is told as `response.output_audio.delta`, 20 ms at a time and only what is audible, so that
whoever measures a conversation sees both kinds of line alike.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

from transports.rtp.ticker import Ticker
from transports.webrtc.client import dial
from transports.webrtc.errors import CallRefused, ConnectFailed, PortsTaken
from transports.webrtc.peer import Peer
from transports.webrtc.presence import Presence
from voice.audio.levels import rms_dbfs
from voice.talk.errors import ServiceUnreachable
from voice.talk.line import Event, Line, LineClosed, websocket_url

_AUDIBLE_DBFS = -60.0
_MICROPHONE = "microphone"
_VANISHED_S = 10.0
_HUNG_UP = "the peer has closed the connection"

MAX_EVENTS = 3000
"""A minute of audio that nobody has taken: whoever is that late measures nothing."""


def calls_url(url: str, model: str | None) -> str:
    """Return where offers go, for a service named in any usual way."""
    parts = urlsplit(websocket_url(url, model))
    scheme = {"ws": "http", "wss": "https"}[parts.scheme]
    return urlunsplit((scheme, parts.netloc, f"{parts.path}/calls", parts.query, ""))


async def dial_line(url: str, model: str | None, key: str | None, timeout_s: float) -> Line:
    """Call. Raises: ServiceUnreachable."""
    url = calls_url(url, model)
    try:
        async with asyncio.timeout(timeout_s):
            peer, _ = await dial(url, key=key)
    except (CallRefused, ConnectFailed, PortsTaken, TimeoutError) as error:
        hint = "; give a key with --key" if isinstance(error, CallRefused) and error.status == 401 else ""
        raise ServiceUnreachable(f"no call with {url}: {str(error) or 'timed out'}{hint}") from None
    return WebRtcLine(peer)


class Reception:
    """What a caller is told, in order: the service's events, and what is heard on the track beside them."""

    def __init__(self) -> None:
        """Nothing has come."""
        self._events: deque[Event] = deque()
        self._item: tuple[str, str] | None = None  # what is playing: response and item
        self._is_playing = self._was_audible = False
        self.over = ""
        """Why nothing more will come, once that is so."""

    def receive(self, message: str | bytes) -> None:
        """Take a message of the data channel."""
        try:
            event: Event = json.loads(message)
            self._follow(event)
        except (ValueError, KeyError, TypeError):
            self.end(f"the service sent what is no event: {message[:80]!r}")
        else:
            self._add(event)

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the track; only what is played for an item is told, from its first sound on."""
        if not self._is_playing or self._item is None:
            return
        self._was_audible = self._was_audible or rms_dbfs(pcm) > _AUDIBLE_DBFS
        if self._was_audible:
            response_id, item_id = self._item
            delta = base64.b64encode(pcm).decode()
            place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
            self._add({"type": "response.output_audio.delta", **place, "delta": delta})

    def end(self, reason: str) -> None:
        """Nothing more will come; the first reason holds."""
        self.over = self.over or reason

    def take(self) -> Event | None:
        """Return what came next; None where there is nothing."""
        return self._events.popleft() if self._events else None

    def _add(self, event: Event) -> None:
        if self.over:
            return
        if len(self._events) >= MAX_EVENTS:
            self.end(f"{MAX_EVENTS} events were not taken")
        else:
            self._events.append(event)

    def _follow(self, event: Event) -> None:
        match event["type"]:
            case "response.content_part.added" if event["part"]["type"] == "audio":
                self._item = event["response_id"], event["item_id"]
            case "output_audio_buffer.started":
                self._is_playing, self._was_audible = True, False
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._is_playing = False


class WebRtcLine:
    """One call, as `voice.talk` speaks and hears. Implements `voice.talk.line.Line`; owns no task."""

    server_plays = True

    def __init__(self, peer: Peer) -> None:
        """Take over a connected peer. Raises: ServiceUnreachable."""
        media, channel = peer.media, peer.channel
        if media is None or channel is None:
            raise ServiceUnreachable("the service takes no data channel")
        self._peer, self._media, self._channel = peer, media, channel
        self._reception = Reception()
        self._presence = Presence(_VANISHED_S)
        self._came = asyncio.Event()
        self._ticker = Ticker()
        self._ticker.add(media.speak, behind=self._ticker.add(self._hear))
        channel.deliver_to(self._receive, lambda: self._end(_HUNG_UP))
        peer.on_end(lambda: self._end(_HUNG_UP))

    def _hear(self, now_s: float, skipped: int) -> None:
        pcm = self._media.hear(now_s, skipped)
        if pcm:
            self._reception.hear(pcm)
            self._came.set()
        if self._presence.tick(self._peer.heard):
            self._end(f"nothing was heard of the service for {_VANISHED_S:.0f} s")

    def _receive(self, message: str | bytes) -> None:
        self._reception.receive(message)
        self._came.set()

    def _end(self, reason: str) -> None:
        self._reception.end(reason)
        self._came.set()

    async def send(self, event: Event) -> None:
        """Send an event on the data channel. Raises: LineClosed."""
        self._check()
        self._channel.send(json.dumps(event))

    async def append(self, audio: bytes) -> None:
        """Say it on the track. Raises: LineClosed."""
        self._check()
        self._peer.audio.playout.play(_MICROPHONE, audio)

    def _check(self) -> None:
        if self._reception.over:
            raise LineClosed(self._reception.over)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what comes. Raises: LineClosed at the end."""
        while True:
            while (event := self._reception.take()) is not None:
                yield event
            self._check()
            self._came.clear()
            await self._came.wait()

    async def aclose(self) -> None:
        """Hang up."""
        self._ticker.close()
        self._end("hung up here")
        await self._peer.aclose()
