"""Sound in the runs that it came in."""

from voice.session.playback import SpokenPart
from voice.session.runs import append_run


def test_long_runs_are_kept_as_they_are_and_short_ones_put_together() -> None:
    runs: list[bytes | bytearray] = []
    long = bytes(960)
    for pcm in (b"\1\0", b"\2\0", long, long, b"\3\0", b"\4\0"):
        append_run(runs, pcm)
    assert runs == [b"\1\0\2\0", long, long, b"\3\0\4\0"]
    assert runs[1] is long


def test_what_is_put_together_has_a_bound() -> None:
    runs: list[bytes | bytearray] = []
    for _ in range(100_000):
        append_run(runs, b"\1\0")
    assert b"".join(runs) == b"\1\0" * 100_000
    assert max(map(len, runs)) <= 64 * 1024
    assert len(runs) <= 4


def test_speech_in_the_smallest_runs_is_whole() -> None:
    part = SpokenPart()
    for _ in range(1000):
        part.add_audio(b"\1\0")
    part.add_audio(bytes(960))
    assert part.freeze().pcm == b"\1\0" * 1000 + bytes(960)
    assert part.samples == 1480
