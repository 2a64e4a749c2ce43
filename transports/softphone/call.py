"""One call of the softphone: dial, say the recordings, listen to each answer, hang up.

dial ──► ringing ──► up ──► greeting heard ──► each recording said ──► its answer heard ──► BYE
An answer is over when nothing has been heard for `pause_s`; without one the call goes on after `wait_s`.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sip.auth import Credentials
from sip.call import IncomingCall
from sip.call_effects import CallEnded, EndReason
from sip.caller_machine import Destination
from sip.crypto import Srtp
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.flow import hop_of, uri_host
from sip.headers import NameAddr
from sip.media import Agreement, LocalMedia
from sip.routes import is_address, route_to
from sip.status import OWN_WORDS, reason_phrase
from transports.sip_keys import read_info
from transports.sip_line import CODECS
from transports.softphone.media import PhoneAudio
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.audio.levels import rms_dbfs
from voice.errors import VoiceError
from voice.talk.recording import Recording

_SPEECH_DBFS = -45.0
_SPEECH_FRAMES = 3
"""Shorter than this is a click."""
_FRAME_BYTES = CORE_RATE_HZ // 50 * SAMPLE_BYTES
_LOOK_S = 0.02
_GOODBYE_S = 3.0


class CallFailed(VoiceError):
    """The call did not come about, or ended early."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """Whom to call, and how."""

    uri: str
    caller: str = "softphone"
    """The name in From."""
    credentials: Sequence[Credentials] = ()
    codecs: Sequence[str] = ("pcmu", "pcma", "g722", "opus")
    srtp: Srtp = Srtp.OFF
    verify: bool = True
    """Whether the other side's certificate must be good."""
    ca_file: Path | None = None
    """Whose certificates are good, besides the system's."""
    answer_s: float = 30.0
    """How long it may ring."""
    wait_s: float = 15.0
    pause_s: float = 1.2
    keys: str = ""
    """Pressed once the call is up."""


@dataclass(slots=True)
class Heard:
    """What came after one recording."""

    recording: str
    answer_ms: float | None
    """From the end of its speech to the answer's first sound; None: there was none."""


@dataclass(slots=True)
class Outcome:
    """What became of the call."""

    codec: str = ""
    encrypted: bool = False
    turns: list[Heard] = field(default_factory=list)
    said: bytes = b""
    heard: bytes = b""
    packets: int = 0
    ended: str = ""


class Softphone:
    """The listener of the one call."""

    def __init__(self, dialling: Dialling, report: Callable[[str], None]) -> None:
        """`report` takes a line for each thing that happens."""
        self._dialling = dialling
        self._report = report
        self._audio: PhoneAudio | None = None
        self._has_rung = False
        self._up = asyncio.Event()
        self._over = asyncio.Event()
        self._end: CallEnded | None = None
        self.outcome = Outcome()

    # --- CallerListener ---------------------------------------------------------------------------------------------

    def ringing(self, status: int) -> None:
        """Report it."""
        self._has_rung = True
        self._report(f"{status} {reason_phrase(status)}")

    def media_changed(self, agreement: Agreement) -> None:
        """Start or move the audio."""
        self.outcome.codec, self.outcome.encrypted = agreement.codec.name, agreement.local_crypto is not None
        if self._audio is not None:
            self._audio.start(agreement)

    def confirmed(self) -> None:
        """Go on: the call is up."""
        how = f"{self.outcome.codec}{', SRTP' if self.outcome.encrypted else ''}"
        self._report(f"answered ({how})")
        self._up.set()

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Report a key."""
        if (key := read_info(content_type, body)) is not None:
            self._report(f"key {key} came by INFO")

    def info_answered(self, status: int) -> None:
        """Nothing of ours."""

    def ended(self, ended: CallEnded) -> None:
        """Note why."""
        self._end = ended
        self._over.set()

    # --- the call ---------------------------------------------------------------------------------------------------

    async def call(self, recordings: Sequence[Recording]) -> Outcome:
        """Hold the call. Raises: CallFailed, OSError."""
        host = our_address(self._dialling.uri)
        settings = EndpointSettings(host=host, port=0, heeds_icmp=True)
        async with SipEndpoint(settings, (), _Nobody(), tls_client=_tls(self._dialling)) as endpoint:
            self._audio = audio = PhoneAudio(host)
            try:
                call = endpoint.call(self._destination(host), self._media(audio), self, self._dialling.credentials)
                await self._answered()
                await self._talk(audio, recordings)
                call.hang_up()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), _GOODBYE_S)
            finally:
                self.outcome.said, self.outcome.heard = bytes(audio.said), bytes(audio.heard)
                self.outcome.packets = audio.packets
                self.outcome.ended = self._why()
                audio.close()
        return self.outcome

    async def _answered(self) -> None:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait()) for event in (self._up, self._over)]
            await asyncio.wait(waits, timeout=self._dialling.answer_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        if not self._up.is_set():
            raise CallFailed(why_not_up(self._dialling, self._end, has_rung=self._has_rung))

    async def _talk(self, audio: PhoneAudio, recordings: Sequence[Recording]) -> None:
        await self._listen(audio, 0.0, min(1.5, self._dialling.wait_s))
        if self._dialling.keys and not audio.press(self._dialling.keys):
            self._report("the other side takes no keys by RFC 4733")
        for recording in recordings:
            if self._over.is_set():
                return
            start_ms = audio.position_ms
            audio.say(recording.pcm)
            self._report(f"saying {recording.name} ({recording.duration_ms / 1000:.1f} s)")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), recording.duration_ms / 1000)
            spoken_ms = start_ms + recording.speech_end_ms
            onset_ms = await self._listen(audio, spoken_ms, self._dialling.wait_s)
            answer_ms = None if onset_ms is None else onset_ms - spoken_ms
            self.outcome.turns.append(Heard(recording.name, answer_ms))
            self._report("no answer" if answer_ms is None else f"answer after {answer_ms:.0f} ms")

    async def _listen(self, audio: PhoneAudio, from_ms: float, wait_s: float) -> float | None:
        """Wait for speech that begins after `from_ms`, and for its end; return where it began."""
        ear = _Ear(audio, from_ms)
        while not self._over.is_set():
            ear.hear()
            if ear.onset_ms is None and ear.silent_s > wait_s:
                return None
            if ear.onset_ms is not None and ear.silent_s > self._dialling.pause_s and not audio.is_speaking:
                return ear.onset_ms
            await asyncio.sleep(_LOOK_S)
        return ear.onset_ms

    def _destination(self, host: str) -> Destination:
        shown = f"[{host}]" if ":" in host else host
        return Destination(self._dialling.uri, NameAddr(f"sip:{self._dialling.caller}@{shown}"))

    def _media(self, audio: PhoneAudio) -> LocalMedia:
        codecs = tuple(CODECS[name] for name in self._dialling.codecs)
        return LocalMedia("", audio.port, codecs=codecs, srtp=self._dialling.srtp)

    def _why(self) -> str:
        return "" if self._end is None else _reason(self._end)


class _Nobody:
    """Takes no calls."""

    def call_arrived(self, call: IncomingCall) -> None:
        """Refuse it."""
        call.reject(480)


class _Ear:
    """Finds where speech begins and how long it has been quiet."""

    def __init__(self, audio: PhoneAudio, from_ms: float) -> None:
        self._audio = audio
        self._at = int(from_ms // 20) * _FRAME_BYTES
        self._loud = 0
        self.onset_ms: float | None = None
        self.silent_s = 0.0

    def hear(self) -> None:
        """Look at the frames that have come since."""
        heard = self._audio.heard
        while self._at + _FRAME_BYTES <= len(heard):
            loud = rms_dbfs(bytes(heard[self._at : self._at + _FRAME_BYTES])) > _SPEECH_DBFS
            self._loud = self._loud + 1 if loud else 0
            self._at += _FRAME_BYTES
            self.silent_s = 0.0 if loud else self.silent_s + 0.02
            if self._loud == _SPEECH_FRAMES and self.onset_ms is None:
                self.onset_ms = (self._at / _FRAME_BYTES - _SPEECH_FRAMES) * 20


def our_address(uri: str) -> str:
    """Return the address of ours that leads to a destination. Raises: CallFailed."""
    hop = hop_of(uri)
    if hop is None:
        raise CallFailed(f"{uri} is no address to call: write sip:name@host, with ;transport=tcp or tls if need be")
    if is_address(hop.host):
        return route_to(hop.host)
    try:
        found = socket.getaddrinfo(hop.host, hop.port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise CallFailed(f"the host {hop.host} is not known: {error.strerror or error}") from error
    return route_to(str(found[0][4][0]))


def why_not_up(dialling: Dialling, end: CallEnded | None, *, has_rung: bool) -> str:
    """Say why a call did not come about, and what to look at; `end` is None where nothing ended it in time."""
    hop = hop_of(dialling.uri)
    place = dialling.uri if hop is None else f"{uri_host(hop.host)}:{hop.port} over {hop.transport}"
    if end is None and has_rung:
        return f"it rang for {dialling.answer_s:g} s, and nobody took the call"
    if end is None or (end.status, end.detail) == (408, OWN_WORDS[408]):
        return (
            f"nobody answers at {place}: nothing came back. A firewall drops such calls, and so does a service that "
            "does not know this caller (sip.trunks)"
        )
    if (end.status, end.detail) == (503, OWN_WORDS[503]):
        certificate = ", and is its certificate good (--ca-file, --insecure)" if place.endswith("TLS") else ""
        return (
            f"nobody answers at {place}. Is the phone line on (sip.enabled in config.yaml), at that address and "
            f"port{certificate}? A service says at its start where its phone rings"
        )
    return f"{dialling.uri} did not take the call: {_reason(end)}"


def _reason(end: CallEnded) -> str:
    if end.reason is EndReason.REJECTED and end.status:
        return f"{end.status} {end.detail or reason_phrase(end.status)}"
    return end.reason.value.replace("_", " ") + (f" ({end.detail})" if end.detail else "")


def _tls(dialling: Dialling) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=dialling.ca_file)
    if not dialling.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
