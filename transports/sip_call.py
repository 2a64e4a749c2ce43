"""Carries a session over a phone call: SIP tells how the audio flows and when it ends, RTP carries it (design §4).

    call_arrived ─► SipCallTransport ─► answer ─► media_changed ─► `wait_started` ─► the session runs
    BYE, lost media ─► `client_events` ends ─► the session ends ─► `aclose`
    the session ends ─► `aclose` ─► BYE
    hold ─► playout stands still, nobody is heard ─► resume ─► goes on where it stood

A phone has no channel for events: what the session sends reaches its sidebands only. Keys come in as events of ours,
and, where the operator wants it, as input for the agent.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from sip.call import IncomingCall
from sip.call_effects import CallEnded
from sip.crypto import DEFAULT_SUITES
from sip.errors import StateError
from sip.media import Agreement, LocalMedia
from transports.live_audio import LiveAudio
from transports.rtp.errors import RtpError
from transports.rtp.latch import LatchRules
from transports.rtp.quality import CallQuality
from transports.rtp.srtp import SUITES
from transports.sip_keys import KeyLine, KeyPad, events_of, read_info
from transports.sip_media import CallMedia, MediaGround, MediaOwner
from transports.sip_pressing import ALL_MEANS, KeySender, Means
from voice.audio.frames import AudioFrame
from voice.ids import Ids
from voice.protocol import client_events as client
from voice.protocol import server_events as wire_events
from voice.session.effects import FinishAudio, PlayAudio
from voice.transport import Flushed

log = structlog.get_logger(__name__)

_MAX_EVENTS = 64
_SUITES = tuple(suite for suite in DEFAULT_SUITES if suite in SUITES)
_NORMAL_END = 'Q.850;cause=16;text="session has ended"'


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What is made of the keys that callers press, besides an event for the sidebands."""

    as_input: bool = False
    """Tell the agent, as a user's message, and let it answer."""
    pause_s: float = 2.0
    """A line of keys is complete after so long without one, or with `#`."""
    means: tuple[Means, ...] = ALL_MEANS
    """How keys of ours are pressed: the first that the other side takes."""


class SipCallTransport:
    """One call. Implements `voice.transport.Transport`, `voice.tooling.PhoneCall` and `sip.call.CallListener`.

    Owns no task.
    """

    plays_in_real_time = True

    def __init__(
        self,
        call: IncomingCall,
        ground: MediaGround,
        keys: KeySettings | None = None,
        *,
        tell: Callable[[wire_events.ServerEvent], None] = lambda _: None,
    ) -> None:
        """Open the call's ports; nothing is said yet. `tell` takes events for whoever watches the session.

        What is logged, in callbacks of the phone line too, has the context variables of now. Raises: PortsExhausted.
        """
        self._call = call
        self._audio = LiveAudio()
        self.tell = tell
        """May be set until the call is answered."""
        rules = LatchRules(signalling_host=call.arrival.host, networks=call.arrival.trunk.networks)
        self._media = CallMedia(ground, rules, self._audio, MediaOwner(self._press, self._lose, self._handle_tick))
        keys = keys or KeySettings()
        self._pad = KeyPad()
        self._line = KeyLine(keys.pause_s) if keys.as_input else None
        self._sender = KeySender(
            keys.means,
            press_events=self._media.press,
            press_tones=self._media.press_tones,
            takes_info=lambda: call.takes_info,
            send_info=self._send_info,
        )
        self._log = log.bind(**structlog.contextvars.get_contextvars())
        self._ids = Ids()
        self._events: deque[client.ClientEvent] = deque()
        self._event_came = asyncio.Event()
        self._started = asyncio.Event()
        self._is_over = False
        self._is_closed = False
        self._response_id: str | None = None
        self._is_audible = False
        self.end_reason = ""
        """Why the call is over, for the log."""

    @property
    def local_media(self) -> LocalMedia:
        """What to answer the call with."""
        arrival, trunk = self._call.arrival, self._call.arrival.trunk
        return LocalMedia(arrival.address, self._media.port, codecs=trunk.codecs, srtp=trunk.srtp, suites=_SUITES)

    @property
    def quality(self) -> CallQuality:
        """How the audio is going."""
        return self._media.quality

    @property
    def codec(self) -> str:
        """Of the call; empty before there is one."""
        agreement = self._media.agreement
        return "" if agreement is None else agreement.codec.name

    @property
    def is_encrypted(self) -> bool:
        """Whether the audio is."""
        agreement = self._media.agreement
        return agreement is not None and agreement.local_crypto is not None

    async def wait_started(self) -> bool:
        """Return True when the audio flows, False when the call was over before. Cancelling is safe."""
        await self._started.wait()
        return not self._is_over

    # ---- CallListener

    def media_changed(self, agreement: Agreement) -> None:
        """Start, move, hold, resume or rekey the audio; what cannot be run ends the call."""
        try:
            self._media.apply(agreement)
        except RtpError as error:
            self._lose(str(error))
            return
        if agreement.is_held or self._started.is_set():
            self._log.info("media changed", direction=agreement.direction.value, codec=agreement.codec.name)
        self._started.set()

    def confirmed(self) -> None:
        """The audio runs already."""

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Take a key that came as a SIP message."""
        key = read_info(content_type, body)
        if key is not None:
            self._press(key, "info")

    def info_answered(self, status: int) -> None:
        """Press the next key, or this one by other means."""
        means = self._sender.info_answered(status, asyncio.get_running_loop().time())
        if means != "info":
            self._log.info("keys refused by info", status=status, pressed_by=means)

    def ended(self, ended: CallEnded) -> None:
        """End the session."""
        detail = f" ({ended.detail})" if ended.detail else ""
        self._end(f"{ended.reason.value}{detail}")

    def _end(self, reason: str) -> None:
        self.end_reason = self.end_reason or reason
        self._is_over = True
        self._audio.end()
        self._started.set()
        self._event_came.set()

    def ended_early(self, reason: str) -> None:
        """The call was over before it could be answered."""
        self._end(reason)

    def _lose(self, reason: str) -> None:
        self._end(reason)
        self._call.hang_up(f'Q.850;cause=41;text="{reason}"')

    # ---- PhoneCall

    @property
    def trunk(self) -> str:
        """By which it came."""
        return self._call.arrival.trunk.name

    @property
    def caller(self) -> str:
        """The caller's number or name."""
        return self._call.caller

    @property
    def called(self) -> str:
        """What was dialled."""
        return self._call.called

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the INVITE, without credentials."""
        return self._call.headers

    def press(self, keys: str) -> bool:
        """Press keys at the other end; False when it takes none. Raises: ValueError for what is no key."""
        means = None if self._is_over else self._sender.press(keys)
        self._log.info("keys pressed", count=len(keys), means=means)
        return means is not None

    def _send_info(self, content_type: str, body: bytes) -> None:
        with suppress(StateError):  # the call has just ended
            self._call.send_info(content_type, body)

    # ---- keys of the caller

    def _press(self, key: str, means: str) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._is_over or not self._pad.press(key, means, now_s):
            return
        self.tell(
            wire_events.InputAudioBufferDtmfEventReceived(
                event_id=self._ids.mint("event"), event=key, received_at=int(time.time())
            )
        )
        if self._line is not None:
            self._line.press(key, now_s)

    def _handle_tick(self, now_s: float) -> None:
        self._sender.handle_tick(now_s)
        if self._line is None or (keys := self._line.take(now_s)) is None:
            return
        if self._response_id is not None:
            self._put(client.ResponseCancel(response_id=self._response_id))
        if self._is_audible:
            self._put(client.OutputAudioBufferClear())
        for event in events_of(keys):
            self._put(event)

    def _put(self, event: client.ClientEvent) -> None:
        if len(self._events) < _MAX_EVENTS:
            self._events.append(event)
            self._event_came.set()

    # ---- Transport

    def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield the caller's audio, 20 ms at a time, until the call ends."""
        return self._audio.frames()

    async def client_events(
        self, take: Callable[[client.ClientEvent], bool] | None = None
    ) -> AsyncIterator[client.ClientEvent]:
        """Yield what keys ask for. Ends with the call."""
        while True:
            while self._events:
                yield self._events.popleft()
            if self._is_over:
                return
            self._event_came.clear()
            await self._event_came.wait()

    def send_event(self, event: wire_events.ServerEvent) -> None:
        """Note what the agent is doing; a phone shows no events."""
        match event:
            case wire_events.ResponseCreated(response=response):
                self._response_id = response.id
            case wire_events.ResponseDone():
                self._response_id = None
            case wire_events.OutputAudioBufferStarted():
                self._is_audible = True
            case wire_events.OutputAudioBufferStopped() | wire_events.OutputAudioBufferCleared():
                self._is_audible = False

    def play_audio(self, audio: PlayAudio) -> None:
        """Queue audio for the caller. The format that the session asked for is a WebSocket's: SDP decides here."""
        self._audio.play(audio)

    def finish_audio(self, audio: FinishAudio) -> None:
        """Note that an item is complete."""
        self._audio.finish(audio)

    def flush_audio(self) -> Flushed | None:
        """Drop what was not heard; what the far end's jitter buffer still holds counts as not heard."""
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
        """Hang up and free the ports. Safe to call twice. A call has no close codes: they go to the log alone."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._is_over:
            self._end(reason or f"closed here ({code})")
            self._call.hang_up(_NORMAL_END)
        self._media.close()
