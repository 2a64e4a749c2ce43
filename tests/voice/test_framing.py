"""A WebSocket stream cut at its frames, and the text frames of either side."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from voice.framing import Cutter, Masks, text_frame, unmasked

MAX_BYTES = 100_000


def server_frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def text(data: bytes) -> bytes:
    return server_frame(Opcode.TEXT, data)


def cut(cutter: Cutter, stream: bytes, run_bytes: int) -> list[tuple[bytes, bytes | None]]:
    found = []
    for at in range(0, len(stream), run_bytes):
        for frame, start in cutter.feed(stream[at : at + run_bytes]):
            found.append((frame, frame[start:] if start else None))
    return found


@pytest.mark.parametrize("run_bytes", [1, 2, 3, 7, 1000, 10**6])
def test_texts_of_every_length_are_found_however_the_stream_comes(run_bytes: int) -> None:
    texts = [b"", b"x", b"a" * 125, b"b" * 126, b"c" * 1400, b"d" * 65_535, b"e" * 65_536]
    found = cut(Cutter(MAX_BYTES), b"".join(text(each) for each in texts), run_bytes)
    assert [words for _, words in found] == texts


@pytest.mark.parametrize("run_bytes", [1, 5, 10**6])
def test_everything_else_is_handed_on_frame_by_frame_as_it_came(run_bytes: int) -> None:
    frames = [
        server_frame(Opcode.PING, b"are you there"),
        server_frame(Opcode.BINARY, b"\0" * 300),
        Frame(Opcode.TEXT, b"masked, which a server must not").serialize(mask=True),
        server_frame(Opcode.CLOSE, b"\x03\xe8"),
    ]
    assert cut(Cutter(MAX_BYTES), b"".join(frames), run_bytes) == [(frame, None) for frame in frames]


def test_a_message_in_fragments_is_not_a_text_and_neither_is_one_within_it() -> None:
    inside = text(b"a whole message between fragments is a fault, and the library's to judge")
    frames = [
        server_frame(Opcode.TEXT, b"first", fin=False),
        server_frame(Opcode.PING, b""),
        server_frame(Opcode.CONT, b"more", fin=False),
        inside,
        server_frame(Opcode.CONT, b"last"),
    ]
    cutter = Cutter(MAX_BYTES)
    assert all(words is None for _, words in cut(cutter, b"".join(frames[:3]), 4))
    assert cut(cutter, inside, 10**6) == [(inside, None)]


def test_a_text_after_a_message_in_fragments_is_found() -> None:
    stream = server_frame(Opcode.TEXT, b"one ", fin=False) + server_frame(Opcode.CONT, b"two") + text(b"three")
    assert cut(Cutter(MAX_BYTES), stream, 3)[-1][1] == b"three"


def test_a_frame_that_is_too_long_is_handed_on_without_waiting_for_its_end() -> None:
    cutter = Cutter(1000)
    header = text(b"x" * 2000)[:4]
    assert cutter.feed(header) == [(header, 0)]
    assert cutter.feed(b"x" * 10) == [(b"x" * 10, 0)]


@pytest.mark.parametrize("run_bytes", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("fin", [True, False])
def test_what_comes_behind_a_frame_that_is_too_long_is_cut_as_before(run_bytes: int, fin: bool) -> None:
    cutter, long = Cutter(100), server_frame(Opcode.TEXT, b"x" * 2000, fin=fin)
    found = cut(cutter, long + server_frame(Opcode.PING, b"") + text(b"short"), run_bytes)
    assert b"".join(frame for frame, _ in found[:-2]) == long
    assert [words for _, words in found[:-1]] == [None] * (len(found) - 1)
    assert found[-1][1] == (b"short" if fin else None)  # in the middle of a message, it is the library's to judge


@pytest.mark.parametrize("run_bytes", [1, 5, 10**6])
def test_a_clients_texts_are_unmasked_and_one_without_a_mask_is_handed_on(run_bytes: int) -> None:
    texts = [b"", b"x", b"b" * 126, b"e" * 65_536]
    stream = b"".join(Frame(Opcode.TEXT, each).serialize(mask=True) for each in texts) + text(b"not masked")
    cutter, found = Cutter(MAX_BYTES, masked=True), []
    for at in range(0, len(stream), run_bytes):
        found += [
            unmasked(frame, start) if start else None for frame, start in cutter.feed(stream[at : at + run_bytes])
        ]
    assert found == [*texts, None]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 1400, 65_535, 65_536])
@pytest.mark.parametrize("by_client", [True, False])
def test_a_frame_that_is_sent_is_what_the_library_reads(length: int, by_client: bool) -> None:
    words = "é" + "x" * (length - 2) if length >= 2 else "x" * length
    reader = StreamReader()
    reader.feed_data(Masks().text_frame(words) if by_client else text_frame(words))
    parsing = Frame.parse(reader.read_exact, mask=by_client)
    with pytest.raises(StopIteration) as stopped:
        next(parsing)
    frame = stopped.value.value
    assert (frame.opcode, frame.fin, bytes(frame.data).decode()) == (Opcode.TEXT, True, words)


def test_no_masking_key_is_used_twice() -> None:
    masks = Masks()
    keys = {masks.text_frame("x")[2:6] for _ in range(3000)}
    assert len(keys) > 2990  # 32 bits drawn at random may meet, and hardly ever do
