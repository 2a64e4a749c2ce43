"""`voice talk --webrtc`: a conversation over the client's end of this transport.

What is heard on the track is told as `response.output_audio.delta`, 20 ms at a time and only what is audible, so that
whoever measures a conversation sees both kinds of line alike.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from transports.rtp.ticker import Ticker
from transports.webrtc.client import dial
from transports.webrtc.errors import CallRefused, ConnectFailed
from transports.webrtc.peer import Peer
from voice.audio.levels import rms_dbfs
from voice.talk.errors import ServiceUnreachable
from voice.talk.line import Event, Line, LineClosed, websocket_url

_AUDIBLE_DBFS = -60.0
_MICROPHONE = "microphone"


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
    except (CallRefused, ConnectFailed, TimeoutError) as error:
        raise ServiceUnreachable(f"no call with {url}: {error or 'timed out'}") from None
    return WebRtcLine(peer)


class WebRtcLine:
    """One call, as `voice.talk` speaks and hears. Implements `voice.talk.line.Line`."""

    server_plays = True

    def __init__(self, peer: Peer) -> None:
        """Take over a connected peer."""
        self._peer = peer
        self._heard: asyncio.Queue[Event | None] = asyncio.Queue()
        self._item: tuple[str, str] | None = None  # what is playing: response and item
        self._is_playing = self._was_audible = False
        self._ticker = Ticker()
        media = peer.media
        if media is None or peer.channel is None:
            raise ServiceUnreachable("the service takes no data channel")
        self._media, self._channel = media, peer.channel
        hearing = self._ticker.add(self._hear)
        self._ticker.add(media.speak, behind=hearing)
        peer.on_end(self._channel.end)
        self._reading = asyncio.create_task(self._read(), name="data channel")

    def _hear(self, now_s: float, skipped: int) -> None:
        pcm = self._media.hear(now_s, skipped)
        if not pcm or not self._is_playing or self._item is None:
            return
        self._was_audible = self._was_audible or rms_dbfs(pcm) > _AUDIBLE_DBFS
        if self._was_audible:
            response_id, item_id = self._item
            delta = base64.b64encode(pcm).decode()
            place = {"response_id": response_id, "item_id": item_id, "output_index": 0, "content_index": 0}
            self._heard.put_nowait({"type": "response.output_audio.delta", **place, "delta": delta})

    async def _read(self) -> None:
        async for message in self._channel.messages():
            event: Event = json.loads(message)
            self._follow(event)
            self._heard.put_nowait(event)
        self._heard.put_nowait(None)

    def _follow(self, event: Event) -> None:
        match event["type"]:
            case "response.content_part.added" if event["part"]["type"] == "audio":
                self._item = event["response_id"], event["item_id"]
            case "output_audio_buffer.started":
                self._is_playing, self._was_audible = True, False
            case "output_audio_buffer.stopped" | "output_audio_buffer.cleared":
                self._is_playing = False

    async def send(self, event: Event) -> None:
        """Send an event on the data channel. Raises: LineClosed."""
        if self._channel.is_over:
            raise LineClosed("the peer has closed the connection")
        self._channel.send(json.dumps(event))

    async def append(self, audio: bytes) -> None:
        """Say it on the track. Raises: LineClosed."""
        if self._channel.is_over:
            raise LineClosed("the peer has closed the connection")
        self._peer.audio.playout.play(_MICROPHONE, audio)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what comes. Raises: LineClosed at the end."""
        while (event := await self._heard.get()) is not None:
            yield event
        raise LineClosed("the peer has closed the connection")

    async def aclose(self) -> None:
        """Hang up."""
        self._ticker.close()
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        await self._peer.aclose()
