import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transports.playout import (
    FRAME_BYTES,
    FRAME_SAMPLES,
    ItemDrained,
    PlaybackStarted,
    PlaybackStopped,
    Playout,
    PlayoutSettings,
)
from voice.transport import Flushed

SILENCE = bytes(FRAME_BYTES)


def tone(milliseconds: float, amplitude: int = 10_000) -> bytes:
    count = int(milliseconds * 24)
    return (amplitude * np.sin(np.arange(count) * 2 * np.pi * 300 / 24_000 + 1)).astype("<i2").tobytes()


def samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(int)


def test_nothing_queued_is_silence_on_every_tick() -> None:
    playout = Playout()
    assert [playout.tick() for _ in range(3)] == [SILENCE] * 3
    assert playout.take_events() == []


def test_runs_of_any_length_come_out_as_they_went_in() -> None:
    playout, pcm = Playout(), tone(200)
    for cut in range(0, len(pcm), 1234):
        playout.play("item", pcm[cut : cut + 1234])
    playout.finish("item")
    assert b"".join(playout.tick() for _ in range(10)) == pcm


def test_events_tell_start_drain_and_stop_in_order() -> None:
    playout = Playout()
    playout.play("a", tone(30))
    playout.finish("a")
    playout.play("b", tone(30))
    playout.finish("b")
    seen = []
    for _ in range(5):
        playout.tick()
        seen.append(playout.take_events())
    assert seen == [[PlaybackStarted("a")], [ItemDrained("a")], [ItemDrained("b"), PlaybackStopped("b")], [], []]


def test_an_item_without_audio_drains_without_playing() -> None:
    playout = Playout()
    playout.finish("empty")
    playout.tick()
    assert playout.take_events() == [ItemDrained("empty")]


def test_an_item_drains_only_when_the_far_end_has_played_it() -> None:
    playout = Playout()
    playout.far_buffer_ms = 60
    playout.play("item", tone(40))
    playout.finish("item")
    drained_at = [tick for tick in range(8) for _ in [playout.tick()] if ItemDrained("item") in playout.take_events()]
    assert drained_at == [4]  # sent in ticks 0 and 1, heard three ticks later


def test_played_is_what_was_sent_less_what_the_far_end_holds() -> None:
    playout = Playout()
    playout.far_buffer_ms = 60
    playout.play("item", tone(400))
    for _ in range(10):
        playout.tick()
    assert playout.played_ms("item") == 140
    assert playout.flush() == Flushed("item", 140)
    assert playout.played_ms("item") is None


def test_a_flush_within_the_far_buffer_still_cuts_an_item_that_was_sent() -> None:
    playout = Playout()
    playout.far_buffer_ms = 100
    playout.play("item", tone(200))
    playout.finish("item")
    for _ in range(11):
        playout.tick()
    assert playout.flush() == Flushed("item", 120)
    playout.tick()
    assert ItemDrained("item") not in playout.take_events()


def test_a_flush_names_the_item_that_is_heard_and_drops_the_rest() -> None:
    playout = Playout()
    playout.far_buffer_ms = 40
    playout.play("a", tone(60))
    playout.finish("a")
    playout.play("b", tone(600))
    for _ in range(4):  # three of a, one of b sent; of a, 40 ms heard
        playout.tick()
    assert playout.flush() == Flushed("a", 40)
    assert playout.level_ms == 0


def test_a_flush_with_nothing_playing_is_none() -> None:
    playout = Playout()
    assert playout.flush() is None
    playout.play("item", tone(20))
    playout.finish("item")
    playout.tick()
    assert playout.flush() is None


def test_a_flush_fades_out_in_five_milliseconds_and_leaves_silence() -> None:
    playout = Playout()
    playout.play("item", b"\x10\x27" * (24 * 200))  # constant 10 000: any step would show
    playout.tick()
    playout.flush()
    frame = samples(playout.tick())
    assert frame[0] > 9_800
    assert np.abs(np.diff(frame)).max() < 200
    assert not frame[120:].any()
    assert playout.tick() == SILENCE
    assert not playout.is_playing


def test_what_is_queued_right_after_a_flush_is_played_whole() -> None:
    playout, pcm = Playout(), tone(40)
    playout.play("old", tone(100))
    playout.tick()
    playout.flush()
    playout.play("new", pcm)
    playout.tick()  # fades the old one out
    assert playout.tick() + playout.tick() == pcm


def test_audio_that_breaks_off_fades_and_counts_as_underrun() -> None:
    playout = Playout()
    playout.play("item", b"\x10\x27" * (24 * 30))
    playout.tick()
    frame = samples(playout.tick())
    assert np.abs(np.diff(frame)).max() < 200
    assert playout.tick() == SILENCE
    assert playout.underruns == 2
    playout.play("item", tone(20))
    assert playout.tick() == tone(20)


def test_the_end_of_a_complete_item_is_not_an_underrun() -> None:
    playout = Playout()
    playout.play("item", tone(30))
    playout.finish("item")
    assert playout.tick() + playout.tick() == tone(30) + bytes(480)
    assert playout.underruns == 0


def test_it_is_full_at_the_high_water_mark_and_refuses_at_capacity() -> None:
    playout = Playout(PlayoutSettings(high_water_ms=100, capacity_ms=200))
    assert playout.play("item", tone(100))
    assert playout.is_full
    assert not playout.play("item", tone(101))
    assert playout.refused_ms == pytest.approx(101, abs=0.1)
    playout.tick()
    assert not playout.is_full


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number"):
        Playout().play("item", b"\0")


Step = st.one_of(
    st.tuples(st.just("play"), st.sampled_from("abc"), st.integers(0, 2000)),
    st.tuples(st.just("finish"), st.sampled_from("abc"), st.just(0)),
    st.tuples(st.just("tick"), st.just(""), st.just(0)),
    st.tuples(st.just("flush"), st.just(""), st.just(0)),
    st.tuples(st.just("far"), st.just(""), st.integers(0, 200)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(Step, max_size=60))
def test_whatever_happens_every_tick_gives_one_frame_and_no_audio_is_lost_or_doubled(
    steps: list[tuple[str, str, int]],
) -> None:
    playout = Playout()
    queued = sent = 0
    for what, item, number in steps:
        match what:
            case "play":
                queued += number if playout.play(item, b"\1\0" * number) else 0
            case "finish":
                playout.finish(item)
            case "tick":
                before = playout.level_ms
                assert len(playout.tick()) == FRAME_BYTES
                sent += round((before - playout.level_ms) * 24)
            case "flush":
                queued -= round(playout.level_ms * 24)
                flushed = playout.flush()
                assert flushed is None or flushed.played_ms >= 0
            case "far":
                playout.far_buffer_ms = number
        assert queued - sent == round(playout.level_ms * 24)
    for item in "abc":
        playout.finish(item)
    for _ in range(queued // FRAME_SAMPLES + 20):
        playout.tick()
    assert playout.level_ms == 0
    assert not playout.is_playing
