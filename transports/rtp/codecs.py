"""The codecs of a call, each to and from the core's 24 kHz: G.711 μ-law and A-law, G.722, Opus.

Measured per frame of 20 ms in bench/rtp.py. None of these raises on a broken payload.
"""

from dataclasses import dataclass
from typing import Protocol

from transports.rtp.errors import CodecUnavailable
from transports.rtp.opus import OpusDecoder, OpusEncoder, packet_samples
from transports.rtp.packet import RtpPacket
from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from voice.audio.resample import Resampler

_MAX_PAYLOAD_MS = 200
_OPUS_FRAMES_MS = (10, 20, 40, 60)
_G711_HZ, _G722_HZ = 8_000, 16_000
_SILENCE = bytes(CORE_RATE_HZ // 50 * SAMPLE_BYTES)


class Decoder(Protocol):
    """Turns the payloads of one stream into 24 kHz PCM; keeps state from one to the next."""

    def decode(self, payload: bytes) -> bytes | None:
        """Return a payload's PCM, None when it is broken."""
        ...

    def conceal(self, samples: int) -> bytes | None:
        """Invent so many samples of 24 kHz; None where the codec cannot."""
        ...

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """Return the packet before `following` from what that repeats; None where the codec cannot."""
        ...


class Encoder(Protocol):
    """Turns frames of 24 kHz PCM into payloads of one stream."""

    def encode(self, pcm: bytes) -> bytes:
        """Return one payload for one frame."""
        ...

    def expect_loss(self, share: float) -> None:
        """Take over the loss that the far end reports, 0…1."""
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """What SDP and RTP have to know of a codec."""

    name: str
    """As in `a=rtpmap`."""
    clock_hz: int
    """Of RTP timestamps. G.722 samples at 16 kHz and has 8000 here, an error kept on purpose (RFC 3551 §4.5.2)."""
    static_payload_type: int | None
    """RFC 3551; None is dynamic."""
    channels: int = 1
    """As in `a=rtpmap`: Opus always says 2 (RFC 7587 §7)."""

    def samples_of(self, packet: RtpPacket) -> int:
        """Return a packet's length in clock units, 0 for one that has no sound length."""
        if self.name == "opus":
            return packet_samples(packet.payload, self.clock_hz)
        # One octet is one sample of G.711, and two of G.722 on a clock that counts every second.
        return min(len(packet.payload), self.clock_hz * _MAX_PAYLOAD_MS // 1000)

    def packet_ms(self, wished_ms: int) -> int:
        """Return how long packets of ours are where the peer would like `wished_ms`, a multiple of 10."""
        return 20 if self.name == "opus" and wished_ms not in _OPUS_FRAMES_MS else wished_ms


PCMU = Codec("PCMU", 8_000, 0)
PCMA = Codec("PCMA", 8_000, 8)
G722 = Codec("G722", 8_000, 9)
OPUS = Codec("opus", 48_000, None, 2)

CODECS = {codec.name.lower(): codec for codec in (OPUS, G722, PCMU, PCMA)}
"""By lower-case name, best first."""


class G711Decoder:
    """G.711 by table, then 8 to 24 kHz."""

    def __init__(self, *, alaw: bool = False) -> None:
        """μ-law unless `alaw`."""
        self._expand = alaw_to_pcm if alaw else ulaw_to_pcm
        self._resampler = Resampler(_G711_HZ, CORE_RATE_HZ)

    def decode(self, payload: bytes) -> bytes | None:
        """Return three samples of 24 kHz an octet; at most 200 ms."""
        if not payload:
            return None
        return self._resampler.process(self._expand(payload[: _G711_HZ * _MAX_PAYLOAD_MS // 1000]))

    def conceal(self, samples: int) -> bytes | None:
        """Has none of its own."""
        return None

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """Repeats nothing."""
        return None


class G711Encoder:
    """24 to 8 kHz, then G.711 by table."""

    def __init__(self, *, alaw: bool = False) -> None:
        """μ-law unless `alaw`."""
        self._compress = pcm_to_alaw if alaw else pcm_to_ulaw
        self._resampler = Resampler(CORE_RATE_HZ, _G711_HZ)
        self._silence: bytes | None = None  # what the last frame became, if it was nothing but silence

    def encode(self, pcm: bytes) -> bytes:
        """Return an octet for every three samples."""
        if pcm == _SILENCE:  # most of what is sent in a call
            if self._silence is None:
                coded = self._compress(self._resampler.process(pcm))
                # The filter is shorter than a frame: from the next one on nothing else can come out of it.
                self._silence = self._compress(bytes(len(coded) * SAMPLE_BYTES))
                return coded
            return self._silence
        self._silence = None
        return self._compress(self._resampler.process(pcm))

    def expect_loss(self, share: float) -> None:
        """Nothing can be done about it."""


class G722Decoder:
    """G.722 at 64 kbit/s through `av`, then 16 to 24 kHz."""

    def __init__(self) -> None:
        """Raises CodecUnavailable."""
        try:
            import av
        except ImportError as error:
            raise CodecUnavailable("G722", "install av") from error
        self._av = av
        self._codec = av.AudioCodecContext.create("g722", "r")
        self._codec.sample_rate = _G722_HZ
        self._codec.layout = "mono"
        self._resampler = Resampler(_G722_HZ, CORE_RATE_HZ)

    def decode(self, payload: bytes) -> bytes | None:
        """Return three samples of 24 kHz an octet; at most 200 ms."""
        if not payload:
            return None
        payload = payload[: 8_000 * _MAX_PAYLOAD_MS // 1000]
        try:
            frames = self._codec.decode(self._av.Packet(payload))
        except self._av.FFmpegError:
            return None
        pcm = b"".join(bytes(frame.planes[0])[: frame.samples * SAMPLE_BYTES] for frame in frames)
        return self._resampler.process(pcm)

    def conceal(self, samples: int) -> bytes | None:
        """Has none of its own."""
        return None

    def recover(self, following: bytes, samples: int) -> bytes | None:
        """Repeats nothing."""
        return None


class G722Encoder:
    """24 to 16 kHz, then G.722 at 64 kbit/s through `av`."""

    def __init__(self) -> None:
        """Raises CodecUnavailable."""
        try:
            import av
        except ImportError as error:
            raise CodecUnavailable("G722", "install av") from error
        self._av = av
        self._codec = av.AudioCodecContext.create("g722", "w")
        self._codec.sample_rate = _G722_HZ
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._codec.bit_rate = 64_000
        self._resampler = Resampler(CORE_RATE_HZ, _G722_HZ)

    def encode(self, pcm: bytes) -> bytes:
        """Return an octet for every three samples; frames of whole 10 ms."""
        wide = self._resampler.process(pcm)
        frame = self._av.AudioFrame("s16", "mono", len(wide) // SAMPLE_BYTES)
        frame.sample_rate = _G722_HZ
        plane = frame.planes[0]
        plane.update(wide.ljust(plane.buffer_size, b"\0"))
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))

    def expect_loss(self, share: float) -> None:
        """Nothing can be done about it."""


def make_decoder(codec: Codec) -> Decoder:
    """Return a new decoder. Raises CodecUnavailable."""
    match codec.name:
        case "PCMU" | "PCMA":
            return G711Decoder(alaw=codec.name == "PCMA")
        case "G722":
            return G722Decoder()
        case "opus":
            return OpusDecoder()
    raise CodecUnavailable(codec.name, "no such codec here")


def make_encoder(codec: Codec) -> Encoder:
    """Return a new encoder. Raises CodecUnavailable."""
    match codec.name:
        case "PCMU" | "PCMA":
            return G711Encoder(alaw=codec.name == "PCMA")
        case "G722":
            return G722Encoder()
        case "opus":
            return OpusEncoder()
    raise CodecUnavailable(codec.name, "no such codec here")
