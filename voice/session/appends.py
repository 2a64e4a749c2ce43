"""Long appends in slices: 15 MiB of μ-law is half an hour of audio and seconds of work, and others have calls.

An append of a and an append of b are the same as an append of ab, so a slice is an event like any other.
"""

from collections.abc import Iterator
from typing import TypeVar

from voice.audio.frames import SAMPLE_BYTES
from voice.protocol.client_events import InputAudioBufferAppend

SLICE_BYTES = 8 * 1024
"""A sixth of a second of PCM, one second of G.711: at most 3 ms of work, noise reduction included."""


_Event = TypeVar("_Event")


def is_short(event: object) -> bool:
    """Tell whether an event is taken as it is: most are, and fifty a second."""
    return not isinstance(event, InputAudioBufferAppend) or len(event.audio) <= SLICE_BYTES


def slices(event: _Event, *, is_pcm: bool) -> Iterator[_Event | InputAudioBufferAppend]:
    """Yield an event as it is, or a long append as several with the same `event_id`.

    `is_pcm`: the session takes 16-bit samples. Half a sample is refused as a whole, so such an append is not cut.
    """
    if not isinstance(event, InputAudioBufferAppend) or is_short(event) or (is_pcm and len(event.audio) % SAMPLE_BYTES):
        yield event
        return
    audio = event.audio
    for start in range(0, len(audio), SLICE_BYTES):
        yield InputAudioBufferAppend(audio[start : start + SLICE_BYTES], event.event_id)
