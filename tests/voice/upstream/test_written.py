"""The caller's turns in an upstream's words, with all that it says of them."""

import asyncio
from typing import Any

import pytest

from voice.engines.port import TokenLogprob, TokenUsage, TranscriptDelta, TranscriptDone, TranscriptSegment
from voice.errors import EngineError, EngineUnavailable
from voice.upstream.written import PREFIX, WrittenTurns


def receive(turns: WrittenTurns, kind: str, **fields: Any) -> None:
    turns.receive(PREFIX + kind, {"item_id": "item_theirs", **fields})


async def words(turns: WrittenTurns) -> list[Any]:
    return [event async for event in turns.words("item_ours", 1)]


@pytest.fixture
async def turns() -> WrittenTurns:
    turns = WrittenTurns()
    turns.expect("item_ours")
    turns.name("item_ours", "item_theirs")
    return turns


async def test_how_sure_it_is_and_who_spoke_come_through(turns):
    receive(turns, "delta", delta="Hi", logprobs=[{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}])
    receive(turns, "segment", id="seg_1", text="Hi", speaker="A", start=0.5, end=1)
    receive(turns, "completed", transcript="Hi", usage={"type": "duration", "seconds": 2})
    assert await words(turns) == [
        TranscriptDelta("Hi", (TokenLogprob("Hi", -0.5),)),
        TranscriptSegment("Hi", "A", 0.5, 1.0),
        TranscriptDone("Hi", (), 2.0),
    ]


async def test_what_it_has_counted_comes_through(turns):
    details = {"text_tokens": 2, "audio_tokens": 30}
    usage = {"type": "tokens", "input_tokens": 32, "output_tokens": 5, "input_token_details": details}
    receive(turns, "completed", transcript="Hi", usage=usage)
    assert await words(turns) == [TranscriptDone("Hi", (), TokenUsage(input_text=2, input_audio=30, output_text=5))]


@pytest.mark.parametrize("usage", [None, "cheap", {}, {"type": "tokens"}, {"type": "duration", "seconds": "long"}])
async def test_what_it_has_not_counted_is_counted_here(turns, usage):
    receive(turns, "completed", transcript="Hi", usage=usage, logprobs=[{"token": "Hi"}])
    assert await words(turns) == [TranscriptDone("Hi")]


async def test_words_that_come_before_the_turn_has_its_name_are_kept():
    turns = WrittenTurns()
    turns.expect("item_ours")
    receive(turns, "delta", delta="Hi")
    reading = asyncio.create_task(words(turns))
    await asyncio.sleep(0)
    turns.name("item_ours", "item_theirs")
    receive(turns, "completed", transcript="Hi")
    assert await reading == [TranscriptDelta("Hi"), TranscriptDone("Hi")]


async def test_whether_somebody_waits_for_words_is_known(turns):
    assert turns.is_idle
    reading = asyncio.create_task(words(turns))
    await asyncio.sleep(0)
    idle = asyncio.create_task(turns.wait_idle())
    await asyncio.sleep(0)
    assert not turns.is_idle
    assert not idle.done()
    receive(turns, "completed", transcript="Hi")
    await reading
    async with asyncio.timeout(1):
        await idle
    assert turns.is_idle


async def test_who_stops_waiting_for_words_waits_no_more(turns):
    reading = asyncio.create_task(words(turns))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading})
    assert turns.is_idle


async def test_who_stops_waiting_as_the_turn_gets_its_name_waits_no_more():
    turns = WrittenTurns()
    turns.expect("item_ours")
    reading = asyncio.create_task(words(turns))
    await asyncio.sleep(0)
    turns.name("item_ours", "item_theirs")
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait({reading}, timeout=0.5)
    assert reading.cancelled()
    assert turns.is_idle


async def test_a_turn_that_was_not_taken_has_no_words():
    turns = WrittenTurns()
    turns.expect("item_ours")
    turns.refuse("item_ours")
    with pytest.raises(EngineUnavailable):
        await words(turns)


async def test_words_that_could_not_be_had_say_so(turns):
    receive(turns, "failed", error={"message": "no"})
    with pytest.raises(EngineError):
        await words(turns)


async def test_only_so_many_turns_are_remembered():
    turns = WrittenTurns()
    turns.expect("item_ours")
    for number in range(40):
        turns.expect(f"item_{number}")
    with pytest.raises(EngineUnavailable):
        await words(turns)
