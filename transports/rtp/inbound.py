"""From packets to frames: jitter buffer, decoder, concealment and time scaling of one incoming stream.

Pure but for the codec it is given. The owner feeds packets when they come and takes one frame of 20 ms a tick.
"""

from dataclasses import dataclass

from transports.rtp.codecs import Codec, Decoder
from transports.rtp.concealment import Concealer
from transports.rtp.jitter_buffer import Adjust, Conceal, JitterBuffer, JitterSettings, Play, Put, Silence
from transports.rtp.packet import RtpPacket
from transports.rtp.time_scale import shrink, stretch
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES

FRAME_MS = 20
FRAME_BYTES = CORE_RATE_HZ * FRAME_MS // 1000 * SAMPLE_BYTES
_MAX_TAKES = 64  # a frame of 2.5 ms packets takes eight; only nonsense takes more


@dataclass(slots=True)
class InboundCounts:
    """How frames came about, in milliseconds of 24 kHz audio; for metrics."""

    decoded_ms: float = 0.0
    concealed_ms: float = 0.0
    recovered_ms: float = 0.0
    """Lost packets that in-band FEC gave back."""
    silent_ms: float = 0.0
    broken_packets: int = 0
    adjusted_ms: float = 0.0
    """Put in (+) and taken out (-) to follow delay and clock."""


class InboundAudio:
    """One caller's voice: exactly one frame of 24 kHz PCM whenever asked."""

    def __init__(self, codec: Codec, decoder: Decoder, settings: JitterSettings | None = None) -> None:
        """`decoder` is of `codec` and used by this stream alone."""
        self._decoder = decoder
        self._to_core = CORE_RATE_HZ / codec.clock_hz
        self.buffer = JitterBuffer(codec.clock_hz, codec.samples_of, settings)
        self.counts = InboundCounts()
        self._concealer = Concealer()
        self._pending = b""
        self._adjust = Adjust.NONE

    def receive(self, packet: RtpPacket, now_ms: float) -> Put:
        """Take a packet of this codec's payload type."""
        put = self.buffer.put(packet, now_ms)
        if put is Put.RESTARTED:
            self._concealer.reset()
        return put

    def frame(self, now_ms: float) -> bytes:
        """Return the next 20 ms: 960 bytes of PCM. Call once a tick."""
        pending = self._pending
        for _ in range(_MAX_TAKES):
            if len(pending) >= FRAME_BYTES:
                if self._adjust is Adjust.NONE:
                    break
                pending = self._scale(pending)  # short packets have to add up to a frame before it can be done
                continue
            pending += self._next_run(now_ms, len(pending) * 1000 / (CORE_RATE_HZ * SAMPLE_BYTES))
        else:
            pending = pending.ljust(FRAME_BYTES, b"\0")
        self._pending = pending[FRAME_BYTES:]
        return pending[:FRAME_BYTES]

    def _next_run(self, now_ms: float, pending_ms: float) -> bytes:
        match self.buffer.take(now_ms, pending_ms):
            case Play(packet, samples, adjust):
                return self._play(packet, samples, adjust)
            case Conceal(_, samples, following):
                return self._conceal(round(samples * self._to_core), following)
            case Silence(samples):
                count = max(1, round(samples * self._to_core))
                self.counts.silent_ms += count * 1000 / CORE_RATE_HZ
                return self._concealer.receive(bytes(count * SAMPLE_BYTES))

    def _play(self, packet: RtpPacket, samples: int, adjust: Adjust) -> bytes:
        pcm = self._decoder.decode(packet.payload)
        if not pcm:
            self.counts.broken_packets += 1
            return self._conceal(max(1, round(samples * self._to_core)), None)
        self.counts.decoded_ms += len(pcm) * 1000 / (CORE_RATE_HZ * SAMPLE_BYTES)
        self._adjust = adjust
        return self._concealer.receive(pcm)

    def _scale(self, pcm: bytes) -> bytes:
        scaled = shrink(pcm) if self._adjust is Adjust.SHRINK else stretch(pcm)
        self._adjust = Adjust.NONE
        self.counts.adjusted_ms += (len(scaled) - len(pcm)) * 1000 / (CORE_RATE_HZ * SAMPLE_BYTES)
        return scaled

    def _conceal(self, samples: int, following: RtpPacket | None) -> bytes:
        duration_ms = samples * 1000 / CORE_RATE_HZ
        if following is not None:
            recovered = self._decoder.recover(following.payload, samples)
            if recovered:
                self.counts.recovered_ms += duration_ms
                return self._concealer.receive(recovered)
        self.counts.concealed_ms += duration_ms
        invented = self._decoder.conceal(samples)
        if invented:
            return self._concealer.receive(invented)
        return self._concealer.conceal(samples)
