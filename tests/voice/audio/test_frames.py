import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.audio.frames import AudioFrame, Framer


def test_a_frame_knows_its_length_in_samples_and_milliseconds() -> None:
    frame = AudioFrame(bytes(960), 24_000, pts=480)
    assert (frame.samples, frame.duration_ms, frame.pts) == (480, 20.0, 480)


def test_half_a_sample_is_no_frame() -> None:
    with pytest.raises(ValueError, match="whole number"):
        AudioFrame(b"\0\0\0", 24_000)


def test_a_framer_cuts_frames_of_one_length_and_keeps_the_rest() -> None:
    framer = Framer(4, 8_000, pts=100)
    frames = list(framer.push(bytes(range(22))))
    assert [(frame.pcm, frame.pts) for frame in frames] == [(bytes(range(8)), 100), (bytes(range(8, 16)), 104)]
    rest = framer.flush()
    assert rest is not None
    assert (rest.pcm, rest.pts, rest.rate_hz) == (bytes(range(16, 22)), 108, 8_000)
    assert framer.flush() is None


def test_the_clock_goes_on_after_a_flush() -> None:
    framer = Framer(4, 8_000)
    list(framer.push(bytes(6)))
    framer.flush()
    assert [frame.pts for frame in framer.push(bytes(8))] == [3]


def test_frames_are_cut_even_when_nobody_iterates() -> None:
    framer = Framer(2, 8_000)
    framer.push(b"abcd")
    assert [frame.pcm for frame in framer.push(b"efgh")] == [b"efgh"]


def test_an_empty_frame_length_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Framer(0, 8_000)


@given(chunks=st.lists(st.binary(max_size=30).map(lambda half: half + half)), frame_samples=st.integers(1, 9))
def test_a_framer_loses_and_invents_nothing(chunks: list[bytes], frame_samples: int) -> None:
    framer = Framer(frame_samples, 16_000)
    frames = [frame for chunk in chunks for frame in framer.push(chunk)]
    assert all(frame.samples == frame_samples for frame in frames)
    assert [frame.pts for frame in frames] == [index * frame_samples for index in range(len(frames))]
    rest = framer.flush()
    assert b"".join(frame.pcm for frame in frames) + (rest.pcm if rest else b"") == b"".join(chunks)
