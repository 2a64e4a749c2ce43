"""Turns a session's audio into `response.output_audio.delta` messages in the format that the client asked for."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from voice.audio.frames import CORE_RATE_HZ
from voice.audio.g711 import pcm_to_alaw, pcm_to_ulaw
from voice.audio.resample import Resampler
from voice.ids import Ids
from voice.protocol.codec import encode_audio_delta
from voice.session.effects import FinishAudio, PlayAudio, WireFormat

G711_RATE_HZ = 8_000

MAX_DELTA_BYTES = 72 * 1024
"""Audio in one delta: 96 KiB of base64, since a client may take no more than about 100 KiB (contract 2.4).

A multiple of 6, so that a cut falls neither into a sample nor into a base64 group.
"""

MAX_STREAMS = 16
"""Items whose resampler is kept at a time; one that was cancelled is never finished and falls out as the oldest."""

_COMPAND: dict[WireFormat, Callable[[bytes], bytes]] = {"audio/pcmu": pcm_to_ulaw, "audio/pcma": pcm_to_alaw}


class _G711Stream:
    """One item's way from 24 kHz PCM to 8 kHz G.711, its resampler's memory with it."""

    def __init__(self, first: PlayAudio) -> None:
        self._resampler = Resampler(CORE_RATE_HZ, G711_RATE_HZ)
        self._compand = _COMPAND[first.wire_format]
        self.last = first
        """Addresses the samples that `flush` brings out."""

    def encode(self, audio: PlayAudio) -> bytes:
        self.last = audio
        return self._compand(self._resampler.process(audio.frame.pcm))

    def flush(self) -> bytes:
        return self._compand(self._resampler.flush())


class AudioDeltas:
    """Encodes the audio of one session, item by item. Runs are split where too long and otherwise left as they come."""

    def __init__(self, ids: Ids) -> None:
        """`ids` mints the `event_id` of every delta."""
        self._ids = ids
        self._streams: OrderedDict[str, _G711Stream] = OrderedDict()

    def encode(self, audio: PlayAudio) -> Iterator[str]:
        """Yield the messages that carry `audio`; none while a resampler still holds all of it."""
        if audio.wire_format == "audio/pcm":
            return self._split(audio, audio.frame.pcm)
        stream = self._streams.get(audio.item_id)
        if stream is None:
            stream = self._streams[audio.item_id] = _G711Stream(audio)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        return self._split(audio, stream.encode(audio))

    def finish(self, audio: FinishAudio) -> Iterator[str]:
        """Yield what the item's resampler still held, so that no sample is lost."""
        stream = self._streams.pop(audio.item_id, None)
        return self._split(stream.last, stream.flush()) if stream else iter(())

    def _split(self, audio: PlayAudio, payload: bytes) -> Iterator[str]:
        for start in range(0, len(payload), MAX_DELTA_BYTES):
            yield encode_audio_delta(
                self._ids.mint("event"),
                audio.response_id,
                audio.item_id,
                audio.output_index,
                audio.content_index,
                payload[start : start + MAX_DELTA_BYTES] if len(payload) > MAX_DELTA_BYTES else payload,
            )
