"""Long appends in slices."""

import pytest

from voice.protocol.client_events import InputAudioBufferAppend, InputAudioBufferCommit
from voice.session.appends import SLICE_BYTES, slices


def cut(audio: bytes, *, is_pcm: bool) -> list[InputAudioBufferAppend]:
    parts = slices(InputAudioBufferAppend(audio, "e1"), is_pcm=is_pcm)
    return [part for part in parts if isinstance(part, InputAudioBufferAppend)]


def test_what_is_short_stays_as_it_is():
    event = InputAudioBufferAppend(bytes(SLICE_BYTES), "e1")
    assert [part is event for part in slices(event, is_pcm=True)] == [True]


def test_what_is_no_append_stays_as_it_is():
    event = InputAudioBufferCommit(type="input_audio_buffer.commit")
    assert list(slices(event, is_pcm=True)) == [event]


@pytest.mark.parametrize(("count", "is_pcm"), [(SLICE_BYTES + 2, True), (5 * SLICE_BYTES, True), (100_001, False)])
def test_slices_are_the_append_in_order_and_whole_samples(count, is_pcm):
    audio = bytes(number % 251 for number in range(count))
    parts = cut(audio, is_pcm=is_pcm)
    assert b"".join(part.audio for part in parts) == audio
    assert {part.event_id for part in parts} == {"e1"}
    assert all(len(part.audio) <= SLICE_BYTES for part in parts)
    assert all(len(part.audio) % 2 == 0 for part in parts if is_pcm)


def test_half_a_sample_is_refused_as_a_whole():
    event = InputAudioBufferAppend(bytes(SLICE_BYTES * 3 + 1), "e1")
    assert list(slices(event, is_pcm=True)) == [event]
