"""Carries a session over a WebRTC connection: events on the data channel, audio on the track (contract 1.3, 4.7).

The server plays: `Playout` paces, and knows what was heard. A leg hears in one slot of the ticker and speaks in the
next, 5 ms later: what the session makes of the frame, a barge-in above all, holds for the frame that is sent.

A peer that vanishes is noticed by a look once a second:

    heard ── 1 s ── look ── 1 s ── look ── … silent for `vanished_s` ──► gone: the session ends, its sidebands with it

A data channel has no close codes. What a WebSocket tells by one, an `error` event tells here, as the last event:

    1001 the service stops   `service_stopping`: call again
    1011 a fault of ours     `server_error`: call again
    others, or a session whose last event was an `error` anyway (contract 2.6)   nothing more
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from transports.rtp.errors import SrtpError
from transports.rtp.ticker import Tick, Ticker
from transports.webrtc.description import RemoteDescription
from transports.webrtc.errors import ConnectFailed
from transports.webrtc.peer import Peer
from transports.webrtc.presence import Presence
from voice.audio.frames import AudioFrame
from voice.ids import Ids
from voice.protocol.client_events import ClientEvent, InvalidEvent
from voice.protocol.codec import encode_server_event
from voice.protocol.dialect import GA, Dialect
from voice.protocol.server_events import ErrorBody, ErrorEvent, ServerEvent
from voice.session.effects import FinishAudio, PlayAudio
from voice.transport import Flushed

log = structlog.get_logger(__name__)

_TOLD_CODES = {1001: "service_stopping", 1011: "server_error"}


@dataclass(frozen=True, slots=True)
class WebRtcLimits:
    """How long things may take."""

    connect_s: float = 15.0
    """From the answer until the peer is connected; one that never comes costs its place for so long."""
    vanished_s: float = 10.0
    """A peer of whom nothing at all was heard for so long is gone. Browsers check every 2.5 s, others every 6."""
    close_s: float = 2.0
    """What a closing call may take to send the events that wait."""


class WebRtcTransport:
    """One peer. Implements `voice.transport.Transport`; owns no task."""

    plays_in_real_time = True

    def __init__(
        self,
        peer: Peer,
        ticker: Ticker,
        limits: WebRtcLimits | None = None,
        dialect: Dialect[ClientEvent] = GA,
    ) -> None:
        """Own `peer`, described and not yet connected, whose events are in `dialect`."""
        self._peer = peer
        self._ticker = ticker
        self._limits = limits or WebRtcLimits()
        self._dialect = dialect
        self._audio = peer.audio
        self._ticks: tuple[Tick, ...] = ()
        self._is_over = asyncio.Event()
        self._presence = Presence(self._limits.vanished_s)
        self._last_is_error = False
        self._is_closing = False
        self.end_reason = ""
        """Why the peer is gone, for the log."""

    async def connect(self) -> None:
        """Wait for the peer, at most `connect_s`, and begin to tick. Raises: ConnectFailed."""
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await self._peer.connect()
        except TimeoutError as error:
            raise ConnectFailed("ice") from error
        self._peer.on_end(lambda: self._end("the peer closed the connection"))
        hearing = self._ticker.add(self._hear, failed=self._fail)
        self._ticks = (hearing, self._ticker.add(self._speak, behind=hearing, failed=self._fail))

    async def restart(self, remote: RemoteDescription) -> str:
        """Answer an offer by which the peer goes on over other addresses. Raises: DescriptionRefused."""
        answer = await self._peer.answer_restart(remote)
        self._presence.vouch()  # whoever asks for another way is there, silent as the old one may be
        return answer

    async def finish_restart(self, remote: RemoteDescription) -> None:
        """Take the new way when it is found, within `connect_s`; else the old one stays."""
        try:
            async with asyncio.timeout(self._limits.connect_s):
                await self._peer.finish_restart(remote)
        except (ConnectFailed, TimeoutError):
            log.info("ICE restart failed")

    def _hear(self, now_s: float, skipped: int) -> None:
        media = self._peer.media
        assert media is not None
        media.hear(now_s, skipped)
        if self._presence.tick(self._peer.heard):
            self._end("the peer vanished")
        elif self._peer.channel is not None and self._peer.channel.is_over:
            self._end("the peer closed the data channel")

    def _speak(self, now_s: float, skipped: int) -> None:
        media = self._peer.media
        assert media is not None
        try:
            media.speak(now_s, skipped)
        except SrtpError:
            self._end("our audio could not be protected")

    def _fail(self) -> None:
        """Without its ticks the call would be mute, deaf and never missed (called by the ticker, which has logged)."""
        self._end("a fault in our media")

    def _end(self, reason: str) -> None:
        self.end_reason = self.end_reason or reason
        self._is_over.set()
        self._audio.end()
        if self._peer.channel is not None:
            self._peer.channel.end()

    # ---- the session's side

    def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield the caller's audio, 20 ms at a time, until the call ends."""
        return self._audio.frames()

    async def client_events(self, take: Callable[[ClientEvent], bool] | None = None) -> AsyncIterator[ClientEvent]:
        """Yield what comes on the data channel. Ends when the peer is gone."""
        if self._peer.channel is None:
            await self._is_over.wait()
            return
        async for message in self._peer.channel.messages():
            yield self._dialect.decode(message) if isinstance(message, str) else _binary_message()

    def send_event(self, event: ServerEvent) -> None:
        """Queue an event for the data channel; a peer that does not take them is given up."""
        self._last_is_error = isinstance(event, ErrorEvent)
        if self._peer.channel is not None:
            for text in self._dialect.spoken(encode_server_event(event)):
                self._peer.channel.send(text)

    def play_audio(self, audio: PlayAudio) -> None:
        """Queue audio for the track. The format that the session asked for is a WebSocket's: SDP decides here."""
        self._audio.play(audio)

    def finish_audio(self, audio: FinishAudio) -> None:
        """Note that an item is complete."""
        self._audio.finish(audio)

    def flush_audio(self) -> Flushed | None:
        """Drop what was not heard; what the peer's jitter buffer still holds counts as not heard."""
        return self._audio.flush()

    @property
    def is_playable(self) -> bool:
        """True while less than two seconds wait to be played."""
        return self._audio.is_playable

    async def wait_playable(self) -> None:
        """Return when less than two seconds wait to be played. Cancelling is safe."""
        await self._audio.wait_playable()

    async def wait_drained(self) -> str:
        """Return the id of the next item that was heard to its end. Cancelling is safe."""
        return await self._audio.wait_drained()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Send the events that wait, say why and goodbye, and free everything. Safe to call twice."""
        if self._is_closing:
            return
        self._is_closing = True
        if code in _TOLD_CODES and not self._last_is_error:
            body = ErrorBody(type="server_error", code=_TOLD_CODES[code], message=reason or "The session has ended.")
            self.send_event(ErrorEvent(event_id=Ids().mint("event"), error=body))
        for tick in self._ticks:
            self._ticker.remove(tick)
        channel = self._peer.channel
        try:
            if channel is not None and self._peer.media is not None:  # else nobody is there to take them
                async with asyncio.timeout(self._limits.close_s):
                    await channel.drain()
        except TimeoutError:
            pass
        finally:
            self._end(reason or "closed here")
            await self._peer.aclose()
        self._log_end(code)

    def _log_end(self, code: int) -> None:
        media = self._peer.media
        if media is None:
            return  # it never was one
        quality = media.quality
        log.info(
            "call ended",
            reason=self.end_reason,
            code=code,
            codec=media.terms.sends[1].name,
            loss=round(quality.loss, 4),
            far_loss=round(quality.far_loss, 4),
            jitter_ms=round(quality.jitter_ms, 1),
            round_trip_ms=None if quality.round_trip_ms is None else round(quality.round_trip_ms, 1),
            mos=round(quality.mos, 2),
            unheard_ms=20 * self._audio.dropped_frames,
        )


def _binary_message() -> InvalidEvent:
    return InvalidEvent("Invalid message: expected text with one JSON event, but got a binary message instead.")
