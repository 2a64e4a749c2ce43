"""The softphone's audio: recordings out at the pace of speech, silence else, and everything that is heard kept."""

import asyncio
import random

from sip.media import Agreement
from transports.rtp.codecs import CODECS, make_decoder, make_encoder
from transports.rtp.dtmf import DtmfSender
from transports.rtp.inbound import FRAME_BYTES, FRAME_MS, InboundAudio
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import Datagram, classify, parse_rtp
from transports.rtp.socket import Address, DatagramSocket, bind
from transports.rtp.srtp import SrtpLeg
from transports.rtp.ticker import Tick, Ticker

_SILENCE = bytes(FRAME_BYTES)


class PhoneAudio:
    """One leg: a socket, a codec each way, a tick every 20 ms."""

    def __init__(self, host: str) -> None:
        """Bind a free port. Raises: OSError."""
        self._socket = DatagramSocket(bind(host, 0), self._receive)
        self._ticker = Ticker()
        self._tick: Tick | None = None
        self._agreement: Agreement | None = None
        self._outbound: OutboundAudio | None = None
        self._inbound: InboundAudio | None = None
        self._srtp: SrtpLeg | None = None
        self._loop = asyncio.get_running_loop()
        self._unsaid = b""
        self.said = bytearray()
        """What has been sent, 24 kHz, silence included."""
        self.heard = bytearray()
        """What has been heard, in step with `said`."""
        self.packets = 0
        """That have come."""

    @property
    def port(self) -> int:
        """Where we listen."""
        return self._socket.local[1]

    @property
    def position_ms(self) -> float:
        """How long the audio has run."""
        return len(self.heard) / FRAME_BYTES * FRAME_MS

    @property
    def is_speaking(self) -> bool:
        """Whether a recording or keys are still going out."""
        dtmf = None if self._outbound is None else self._outbound.dtmf
        return bool(self._unsaid) or (dtmf is not None and dtmf.is_sending)

    def say(self, pcm: bytes) -> None:
        """Send 24 kHz audio from now, after what is still going out."""
        self._unsaid += pcm

    def press(self, keys: str) -> bool:
        """Send keys by RFC 4733; False when the other side takes none."""
        if self._outbound is None or self._outbound.dtmf is None:
            return False
        self._outbound.dtmf.send(keys)
        return True

    def start(self, agreement: Agreement) -> None:
        """Run the audio as agreed; again with another agreement when it changes. Raises: CodecUnavailable."""
        codec = CODECS[agreement.codec.name.lower()]
        events = agreement.send_event_type
        dtmf = None if events is None else DtmfSender(events, agreement.event_clock_hz)
        self._outbound = OutboundAudio(
            codec,
            make_encoder(codec),
            agreement.codec.payload_type,
            ssrc=random.getrandbits(32),
            sequence=random.getrandbits(15),
            timestamp=random.getrandbits(32),
            dtmf=dtmf,
            packet_ms=agreement.ptime_ms,
        )
        self._inbound = InboundAudio(codec, make_decoder(codec))
        ours, theirs = agreement.local_crypto, agreement.remote_crypto
        self._srtp = None if ours is None or theirs is None else SrtpLeg(ours.suite, ours.key, theirs.key)
        self._agreement = agreement
        if self._tick is None:
            self._tick = self._ticker.add(self._run)

    def close(self) -> None:
        """Stop and free the port."""
        self._ticker.close()
        self._socket.close()

    def _receive(self, datagram: bytes, source: Address) -> None:
        agreement = self._agreement
        if agreement is None or self._inbound is None or classify(datagram) is not Datagram.RTP:
            return
        opened = datagram if self._srtp is None else self._srtp.unprotect(datagram)
        packet = None if opened is None else parse_rtp(opened)
        if packet is not None and packet.payload_type == agreement.receive_payload_type:
            self.packets += 1
            self._inbound.receive(packet, self._loop.time() * 1000)

    def _run(self, time_s: float, skipped: int) -> None:
        agreement = self._agreement
        if agreement is None or self._outbound is None or self._inbound is None:
            return
        for _ in range(skipped):  # both tracks keep the time of the wall
            self.said += _SILENCE
            self.heard += _SILENCE
        self._outbound.skip(skipped)
        self.heard += self._inbound.frame(time_s * 1000)
        frame, self._unsaid = self._unsaid[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"), self._unsaid[FRAME_BYTES:]
        self.said += frame
        destination = agreement.remote_address, agreement.remote_port
        for packet in self._outbound.packets(frame, time_s):
            if agreement.direction.sends:
                self._socket.send(packet if self._srtp is None else self._srtp.protect(packet), destination)
