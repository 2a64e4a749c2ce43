"""The audio of items on the wire: in the session's input format what the caller said, in its output format what the
agent said. So the types of the official SDKs have it (contract 3.9). Inside, all of it is PCM of 24 kHz.
"""

from collections.abc import Callable

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.audio.g711 import alaw_to_pcm, pcm_to_alaw, pcm_to_ulaw, ulaw_to_pcm
from voice.audio.resample import DELAY_MS, Resampler
from voice.session.effects import WireFormat

TELEPHONE_RATE_HZ = 8_000
"""Of G.711."""

_EXPAND: dict[WireFormat, Callable[[bytes], bytes]] = {"audio/pcmu": ulaw_to_pcm, "audio/pcma": alaw_to_pcm}
_COMPRESS: dict[WireFormat, Callable[[bytes], bytes]] = {"audio/pcmu": pcm_to_ulaw, "audio/pcma": pcm_to_alaw}


def pcm_of(audio: bytes, wire_format: WireFormat) -> bytes:
    """Return the PCM of an item's audio. Raises: ValueError for half a sample."""
    expand = _EXPAND.get(wire_format)
    if expand is not None:
        return _converted(expand(audio), TELEPHONE_RATE_HZ, CORE_RATE_HZ)
    if len(audio) % SAMPLE_BYTES:
        raise ValueError(f"{len(audio)} bytes are not a whole number of 16-bit samples")
    return audio


def wire_audio(pcm: bytes, wire_format: WireFormat) -> bytes:
    """Return PCM as the session's client has it."""
    compress = _COMPRESS.get(wire_format)
    return pcm if compress is None else compress(_converted(pcm, CORE_RATE_HZ, TELEPHONE_RATE_HZ))


def _converted(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Convert a recording that is there as a whole: it begins where it began."""
    resampler = Resampler(from_hz, to_hz)
    return (resampler.process(pcm) + resampler.flush())[round(DELAY_MS * to_hz / 1000) * SAMPLE_BYTES :]
