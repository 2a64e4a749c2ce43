import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.models.settings import HostSettings, ScriptedModels
from voice.models.wire import (
    Cancel,
    Done,
    Failed,
    FromHost,
    Generate,
    Load,
    Loaded,
    Piece,
    Prefill,
    Release,
    Sound,
    Speak,
    ToHost,
    Transcribe,
    Unpacker,
    decode_from_host,
    decode_to_host,
    pack,
)

TO_HOST: list[ToHost] = [
    Load(HostSettings(scripted=ScriptedModels(reply="Hi")), "stt", "llm"),
    Transcribe(1, "s", b"\x00\xff", True),
    Generate(2, "s", "prompt", 10, 'root ::= "a"', ("x", "y"), 0.5),
    Prefill(3, "s", "prompt"),
    Speak(4, "s", "Hello", "heart", 1.5),
    Cancel(4),
    Release("s"),
]
FROM_HOST: list[FromHost] = [
    Loaded({"speech-to-text": 0.5}, 7),
    Piece(1, "é"),
    Sound(2, b"\x01\x02"),
    Done(3, "text", "length", 1, 2, 3),
    Failed(4, "no", True, 2.5),
]


@given(cuts=st.lists(st.integers(0, 400), max_size=20))
def test_messages_survive_any_cutting_of_the_stream(cuts: list[int]) -> None:
    stream = b"".join(pack(message) for message in TO_HOST)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    unpacker = Unpacker()
    bodies = [body for start, end in itertools.pairwise(edges) for body in unpacker.feed(stream[start:end])]
    assert [decode_to_host(body) for body in bodies] == TO_HOST


def test_answers_survive_the_wire() -> None:
    bodies = list(Unpacker().feed(b"".join(pack(message) for message in FROM_HOST)))
    assert [decode_from_host(body) for body in bodies] == FROM_HOST


def test_a_stream_out_of_step_is_noticed() -> None:
    with pytest.raises(ValueError, match="longer than any"):
        list(Unpacker().feed(b"\xff\xff\xff\xff"))
