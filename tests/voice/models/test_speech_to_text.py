import numpy as np
import pytest

from voice.models.speech_to_text import _cut, _read_pieces


def test_the_tokenizers_table_is_read_with_short_empty_and_long_pieces() -> None:
    long = bytes(300)
    assert _read_pieces(b"\x02ab" + b"\x00" + bytes([0x80 + 300 % 128, 300 // 128]) + long) == [b"ab", b"", long]


@pytest.mark.parametrize("table", [b"\x05ab", b"\x81"])
def test_a_table_that_breaks_off_is_refused(table: bytes) -> None:
    with pytest.raises(ValueError, match="ends inside"):
        _read_pieces(table)


def test_less_than_a_tenth_of_a_second_is_nothing() -> None:
    assert _cut(np.zeros(1599, np.float32)) == []


def test_half_a_minute_is_one_piece() -> None:
    assert [len(piece) for piece in _cut(np.zeros(28 * 16_000, np.float32))] == [28 * 16_000]


def test_longer_audio_is_cut_where_it_is_quiet_and_loses_nothing() -> None:
    samples = np.ones(70 * 16_000, np.float32)
    samples[25 * 16_000 : 25 * 16_000 + 1600] = 0.0
    pieces = _cut(samples)
    assert np.array_equal(np.concatenate(pieces), samples)
    assert 25.0 <= len(pieces[0]) / 16_000 <= 25.1
    assert all(len(piece) <= 28 * 16_000 for piece in pieces)
