"""The media of one phone call: two ports, a latch, and a leg that follows what offer and answer agree on.

apply(agreement)   the first starts the ticks; each later one moves, holds, resumes or rekeys them
receive            datagram ─► SRTP ─► RTP of an agreed type ─► from the peer? (latch) ─► leg
tick               leg ─► wherever the peer's packets come from; once a second: is the peer still there?
close              goodbye, ports into quarantine

The media timeout rests while the call is held, while the peer need not send, and while it suppresses silence.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sip.crypto import Crypto
from sip.media import Agreement
from sip.routes import is_address
from transports.live_audio import LiveAudio
from transports.rtp.codecs import CODECS
from transports.rtp.errors import SrtpError
from transports.rtp.latch import Latch, LatchRules
from transports.rtp.leg import LegOwner, LegTerms, MediaLeg
from transports.rtp.packet import Datagram, classify
from transports.rtp.quality import CallQuality, MediaTraffic
from transports.rtp.socket import Address, DatagramSocket, PortPool
from transports.rtp.srtp import SrtpLeg
from transports.rtp.ticker import Tick, Ticker
from transports.rtp.tones import ToneDetector
from voice.audio.frames import CORE_RATE_HZ

_TICKS_PER_LOOK = 50
_NOWHERE = ("0.0.0.0", 0)


@dataclass(slots=True)
class MediaGround:
    """What the calls of a process share."""

    host: str
    """Where media sockets are bound."""
    ports: PortPool
    ticker: Ticker
    traffic: MediaTraffic = field(default_factory=MediaTraffic)
    timeout_s: float = 30.0
    """Of hearing nothing from a peer that should send; then it is gone."""
    first_timeout_s: float = 20.0
    """The same for one of whom nothing has been heard at all."""
    hears_tones: bool = False
    """Look for keys in the audio itself."""


@dataclass(slots=True)
class MediaOwner:
    """What the media of a call tells."""

    press: Callable[[str, str], None]
    """A key was pressed: which, and by what means it came (`rtp`, `tone`)."""
    lost: Callable[[str], None]
    """Nothing more will come, and why."""
    tick: Callable[[float], None]
    """20 ms have passed; the time in seconds."""


class CallMedia:
    """Owns its sockets from the beginning: close it."""

    def __init__(self, ground: MediaGround, rules: LatchRules, audio: LiveAudio, owner: MediaOwner) -> None:
        """Bind a pair of ports. Raises: PortsExhausted."""
        self._ground = ground
        self._rules = rules
        self._audio = audio
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        media, control = ground.ports.bind_pair(ground.host, self._loop.time())
        self._socket = DatagramSocket(media, self._receive)
        self._control = DatagramSocket(control, self._receive_control)
        self._agreement: Agreement | None = None
        self._latch = Latch(_NOWHERE, rules)
        self._leg: MediaLeg | None = None
        self._tick: Tick | None = None
        self._tones = ToneDetector(CORE_RATE_HZ) if ground.hears_tones else None
        self._last_heard_s = 0.0
        self._heard_before = 0
        self._until_look = _TICKS_PER_LOOK
        self._is_closed = False

    @property
    def port(self) -> int:
        """Where RTP is expected; RTCP at the next one."""
        return self._socket.local[1]

    @property
    def quality(self) -> CallQuality:
        """How the call is going."""
        return CallQuality() if self._leg is None else self._leg.quality

    @property
    def agreement(self) -> Agreement | None:
        """What is in force."""
        return self._agreement

    @property
    def strays(self) -> int:
        """Packets that were not the peer's."""
        return self._latch.rejected_packets

    def press(self, keys: str) -> bool:
        """Press keys by RFC 4733; False where the peer takes none. Raises: ValueError for what is no key."""
        return self._leg is not None and self._leg.outbound.press(keys)

    def press_tones(self, keys: str) -> bool:
        """Press keys as tones; False before there is any audio. Raises: ValueError for what is no key."""
        if self._leg is None:
            return False
        self._leg.outbound.press_tones(keys)
        return True

    def apply(self, agreement: Agreement) -> None:
        """Run the media as agreed from now on.

        Raises: CodecUnavailable, KeyUnusable; what was in force stays.
        """
        if self._is_closed:
            return
        terms = self._terms(agreement)
        if self._leg is None:
            owner = LegOwner(self._send, self._send_control, lambda key: self._owner.press(key, "rtp"))
            offset_s = time.time() - self._loop.time()
            self._leg = MediaLeg(terms, owner, self._audio, self._ground.traffic, wall_offset_s=offset_s)
        else:
            self._leg.change(terms)
        self._agreement = agreement
        if agreement.remote_port and is_address(agreement.remote_address):
            # On hold in the old way the null address is no place to move to.
            address = agreement.remote_address
            if address not in ("0.0.0.0", "::"):
                self._latch.restart((address, agreement.remote_port))
        self._last_heard_s = self._loop.time()
        if self._tick is None:
            self._tick = self._ground.ticker.add(self._run, failed=lambda: self._owner.lost("a fault in our media"))

    def _terms(self, agreement: Agreement) -> LegTerms:
        codec = CODECS[agreement.codec.name.lower()]
        return LegTerms(
            sends=(agreement.codec.payload_type, codec),
            receives={agreement.receive_payload_type: codec},
            srtp=self._srtp(agreement.local_crypto, agreement.remote_crypto),
            speaks=agreement.direction.sends,
            pauses=agreement.is_held,
            event_clock_hz=agreement.event_clock_hz,
            sends_events=agreement.send_event_type,
            receives_events=agreement.receive_event_type,
            packet_ms=agreement.ptime_ms,
        )

    def _srtp(self, ours: Crypto | None, theirs: Crypto | None) -> SrtpLeg | None:
        if ours is None or theirs is None:
            return None
        before, leg = self._agreement, self._leg
        running = None if leg is None else leg.terms.srtp
        if running is None or before is None or before.local_crypto is None or ours.key != before.local_crypto.key:
            return SrtpLeg(ours.suite, ours.key, theirs.key)
        if before.remote_crypto is not None and before.remote_crypto.key == theirs.key:
            return running
        return running.receiving(theirs.key)

    # ---- in the sockets' callbacks

    def _receive(self, datagram: bytes, source: Address) -> None:
        leg = self._leg
        if leg is None:
            return
        kind = classify(datagram)
        if kind is Datagram.RTCP:
            self._receive_control(datagram, source)
        if kind is not Datagram.RTP:
            return
        packet = leg.open(datagram)
        if packet is None or not leg.knows(packet):
            return
        now_s = self._loop.time()
        is_authentic = leg.terms.srtp is not None
        if self._latch.accept(source, packet.ssrc, packet.sequence, now_s * 1000, authenticated=is_authentic):
            leg.take(packet, now_s)

    def _receive_control(self, datagram: bytes, source: Address) -> None:
        leg = self._leg
        if leg is None:
            return
        # Under SRTP only the peer can make it; else it has to come from where the media comes from.
        if leg.terms.srtp is not None or source[0] == self._latch.destination[0]:
            leg.receive_rtcp(datagram, self._loop.time())

    # ---- in the tick

    def _run(self, now_s: float, skipped: int) -> None:
        leg = self._leg
        if leg is None:
            return
        try:
            heard = leg.tick(now_s, skipped)
        except SrtpError as error:
            self._owner.lost(f"media cannot be protected: {error}")
            return
        if self._tones is not None and heard is not None:
            for key in self._tones.receive(heard):
                self._owner.press(key, "tone")
        self._owner.tick(now_s)
        self._until_look -= 1
        if self._until_look <= 0:
            self._until_look = _TICKS_PER_LOOK
            self._look(leg, now_s)

    def _look(self, leg: MediaLeg, now_s: float) -> None:
        """See whether the peer is still there."""
        agreement = self._agreement
        may_be_silent = leg.terms.pauses or leg.suppresses_silence
        must_not_send = agreement is not None and not agreement.direction.receives
        if leg.heard != self._heard_before or may_be_silent or must_not_send:
            self._heard_before, self._last_heard_s = leg.heard, now_s
            return
        timeout_s = self._ground.timeout_s if leg.heard else self._ground.first_timeout_s
        if now_s - self._last_heard_s >= timeout_s:
            self._owner.lost(f"no media for {timeout_s:g} s")

    def _send(self, datagram: bytes) -> None:
        destination = self._latch.destination
        if destination != _NOWHERE and not self._socket.send(datagram, destination):
            self._ground.traffic.unsent_packets += 1

    def _send_control(self, datagram: bytes) -> None:
        agreement = self._agreement
        if agreement is None or self._latch.destination == _NOWHERE:
            return
        if agreement.rtcp_mux:
            self._socket.send(datagram, self._latch.destination)
            return
        destination = agreement.remote_rtcp_address, agreement.remote_rtcp_port
        host, port = self._latch.destination
        if host != agreement.remote_address:  # behind NAT: the pair was most likely mapped as a pair
            destination = host, min(port + 1, 65_535)
        if is_address(destination[0]):
            self._control.send(datagram, destination)

    def close(self) -> None:
        """Say goodbye and free the ports. Safe to call twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._tick is not None:
            self._ground.ticker.remove(self._tick)
        if self._leg is not None:
            self._leg.count()
            self._leg.say_goodbye()
        port = self.port
        self._socket.close()
        self._control.close()
        self._ground.ports.release(port, self._loop.time())
