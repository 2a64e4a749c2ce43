"""From frames to packets: encoder, sequence and timestamps of one outgoing stream, with DTMF in its place.

tick         0      1      2      3      4
timestamp    t      +f     +f     +f     +f       always runs on with time, whatever is sent
sends        audio  audio  event  event  audio    one packet a tick; skipped ticks leave a gap in timestamps only
of 40 ms            audio  event  event           a packet leaves with the tick that fills it; keys wait for that
"""

from transports.rtp.codecs import Codec, Encoder
from transports.rtp.dtmf import DtmfSender, EventPacket
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.statistics import SendingStatistics
from transports.rtp.tones import ToneSender
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES

FRAME_MS = 20
_BYTES_PER_MS = CORE_RATE_HZ * SAMPLE_BYTES // 1000
_SILENCE = bytes(FRAME_MS * _BYTES_PER_MS)


class OutboundAudio:
    """Our own stream: packets of `packet_ms` out of frames of 20 ms."""

    def __init__(
        self,
        codec: Codec,
        encoder: Encoder,
        payload_type: int,
        *,
        ssrc: int,
        sequence: int = 0,
        timestamp: int = 0,
        dtmf: DtmfSender | None = None,
        packet_ms: int = FRAME_MS,
    ) -> None:
        """`ssrc`, `sequence` and `timestamp` are drawn at random by the owner (RFC 3550 §5.1).

        `packet_ms` is 10 to 60 in steps of 10; 20 where the codec has no such frame (30 ms and 50 ms of Opus).
        """
        self._encoder = encoder
        self._payload_type = payload_type
        self._clock_per_ms = codec.clock_hz // 1000
        self._packet_bytes = codec.packet_ms(packet_ms) * _BYTES_PER_MS
        self._pending = b""
        self._sequence, self._timestamp = sequence & 0xFFFF, timestamp & 0xFFFF_FFFF
        self._marker = True  # first packet of a talkspurt, and after every pause (RFC 3551 §4.1)
        self.dtmf = dtmf
        self._tones = ToneSender()
        self.statistics = SendingStatistics(ssrc, codec.clock_hz)

    @property
    def ssrc(self) -> int:
        """Of the stream."""
        return self.statistics.ssrc

    def skip(self, frames: int) -> None:
        """Let time pass without sending: after a stall, on hold."""
        self._pass(len(self._pending) // _BYTES_PER_MS + frames * FRAME_MS)
        self._pending = b""
        self._marker = True

    def press(self, keys: str) -> bool:
        """Press keys by RFC 4733; False where the peer takes none. Raises: ValueError for what is no key."""
        if self.dtmf is None:
            return False
        self.dtmf.send(keys)
        return True

    def press_tones(self, keys: str) -> None:
        """Press keys as tones in the audio, which any peer hears. Raises: ValueError for what is no key."""
        self._tones.send(keys)

    def next_keys(self) -> bytes | None:
        """Return what this tick has in place of audio: tones, silence around events; None where no key is pressed."""
        frame = self._tones.next_frame()
        return _SILENCE if frame is None and self.dtmf is not None and self.dtmf.is_sending else frame

    def packets(self, pcm: bytes, now_s: float) -> list[bytes]:
        """Return the datagrams for this tick, unprotected; `pcm` is 20 ms of 24 kHz, dropped while a key is sent."""
        if self.dtmf is not None and not self._pending:
            event = self.dtmf.next_packet(self._timestamp)
            if event is not None:
                return [self._event(event, now_s)]
        if len(pcm) == self._packet_bytes and not self._pending:  # the usual length: nothing to cut
            return [self._audio(pcm, now_s)]
        self._pending += pcm
        found = []
        while len(self._pending) >= self._packet_bytes:
            cut, self._pending = self._pending[: self._packet_bytes], self._pending[self._packet_bytes :]
            found.append(self._audio(cut, now_s))
        return found

    def _audio(self, pcm: bytes, now_s: float) -> bytes:
        timestamp = self._timestamp
        self._pass(len(pcm) // _BYTES_PER_MS)
        payload = self._encoder.encode(pcm)
        packet = RtpPacket(self._payload_type, self._sequence, timestamp, self.ssrc, payload, self._marker)
        self._marker = False
        return self._count(packet, timestamp, now_s)

    def _event(self, event: EventPacket, now_s: float) -> bytes:
        timestamp = self._timestamp
        self._pass(FRAME_MS)
        packet = RtpPacket(event.payload_type, self._sequence, event.timestamp, self.ssrc, event.payload, event.marker)
        self._marker = True
        return self._count(packet, timestamp, now_s)

    def _count(self, packet: RtpPacket, timestamp: int, now_s: float) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.statistics.send(timestamp, len(packet.payload), now_s)
        return serialise_rtp(packet)

    def _pass(self, milliseconds: int) -> None:
        self._timestamp = (self._timestamp + milliseconds * self._clock_per_ms) & 0xFFFF_FFFF
