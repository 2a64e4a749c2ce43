"""The microphone: one chunk each 20 ms, on time, in the format of the wire."""

import asyncio
from itertools import pairwise

import pytest

from voice.talk.microphone import Microphone
from voice.talk.recording import from_pcm


class Clock:
    """Time that passes when someone sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Line:
    """Takes chunks until there are enough; sending takes 3 ms each, which must not add up."""

    def __init__(self, clock: Clock, enough: int) -> None:
        self.clock = clock
        self.enough = enough
        self.chunks: list[bytes] = []
        self.times_s: list[float] = []

    async def send(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.times_s.append(self.clock.now_s)
        self.clock.now_s += 0.003
        if len(self.chunks) == self.enough:
            raise asyncio.CancelledError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("voice.talk.microphone.time.monotonic", clock.monotonic)
    monkeypatch.setattr("voice.talk.microphone.asyncio.sleep", clock.sleep)
    return clock


async def run(line: Line, mouth: Microphone) -> None:
    with pytest.raises(asyncio.CancelledError):
        await mouth.run()


async def test_chunks_keep_to_the_grid_however_long_sending_takes(clock: Clock) -> None:
    line = Line(clock, 50)
    await run(line, Microphone(line.send))
    assert line.times_s[0] == pytest.approx(100.02)
    assert all(after - before == pytest.approx(0.02) for before, after in pairwise(line.times_s))
    assert set(line.chunks) == {bytes(960)}


async def test_a_recording_is_sent_whole_and_silence_follows(clock: Clock) -> None:
    line = Line(clock, 5)
    mouth = Microphone(line.send)
    pcm = b"\x07\x00" * 700
    utterance = mouth.say(from_pcm("short", pcm))
    await run(line, mouth)
    assert b"".join(line.chunks) == pcm + bytes(5 * 960 - len(pcm))
    assert utterance.spoken.is_set()


async def test_mu_law_has_its_own_chunks_and_silence(clock: Clock) -> None:
    line = Line(clock, 3)
    await run(line, Microphone(line.send, "audio/pcmu"))
    assert set(line.chunks) == {b"\xff" * 160}


async def test_a_muted_microphone_sends_what_is_said_and_no_more(clock: Clock) -> None:
    line = Line(clock, 2)
    mouth = Microphone(line.send, muted=True)
    mouth.say(from_pcm("short", bytes(2 * 960)))
    await run(line, mouth)
    assert len(line.chunks) == 2
