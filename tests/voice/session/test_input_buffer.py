"""The input buffer: a bounded window on the session's audio clock."""

from voice.session.input_buffer import InputBuffer, to_ms, to_samples

MS = b"\x01\x00" * 24


def test_the_clock_counts_what_was_written_and_goes_on_after_a_clear():
    buffer = InputBuffer()
    buffer.append(MS * 100)
    buffer.clear()
    buffer.append(MS * 20)
    assert (to_ms(buffer.start), to_ms(buffer.end), buffer.duration_ms) == (100, 120, 20)


def test_reading_gives_what_is_still_kept():
    buffer = InputBuffer()
    buffer.append(b"\x01\x00" * 10 + b"\x02\x00" * 10)
    buffer.drop_until(8)
    assert buffer.read(0, 12) == b"\x01\x00" * 2 + b"\x02\x00" * 2
    assert buffer.read(30, 40) == b""


def test_a_full_buffer_drops_the_oldest_and_counts_it():
    buffer = InputBuffer(capacity_s=0.1)
    buffer.append(MS * 90)
    buffer.append(MS * 60)
    assert buffer.duration_ms == 100
    assert to_ms(buffer.dropped_samples) == 50
    assert buffer.end == to_samples(150)


def test_dropping_behind_the_end_leaves_the_clock_where_it_is():
    buffer = InputBuffer()
    buffer.append(MS)
    buffer.drop_until(1_000_000)
    assert buffer.start == buffer.end == 24
