"""The input buffer: a bounded window on the session's audio clock."""

from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.tuples(st.integers(0, 90_000), st.integers(0, 60_000)), max_size=12))
def test_it_holds_what_one_run_of_bytes_would(steps: list[tuple[int, int]]) -> None:
    buffer, all_bytes = InputBuffer(capacity_s=5), b""
    for number, (appended, dropped) in enumerate(steps):
        pcm = bytes([number + 1, 0]) * appended
        all_bytes += pcm
        buffer.append(pcm)
        buffer.drop_until(buffer.start + dropped)
        start, end = buffer.start, buffer.end
        assert end == len(all_bytes) // 2
        assert buffer.duration_ms <= 5000
        assert buffer.read(start, end) == all_bytes[2 * start :]
        assert buffer.read(start + 7, end - 9) == all_bytes[2 * (start + 7) : max(2 * (end - 9), 0)]
        assert buffer.read(0, end + 100) == all_bytes[2 * start :]


def test_many_small_appends_cost_no_more_than_one() -> None:
    buffer = InputBuffer()
    for _ in range(100_000):
        buffer.append(b"\1\0")
    assert len(buffer._blocks) <= 4
    assert buffer.read(0, 100_000) == b"\1\0" * 100_000
