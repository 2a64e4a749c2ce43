import asyncio

import numpy as np
import pytest

from voice.audio.frames import AudioFrame
from voice.engines.utterance import SEGMENT_S, Hearing

from .conftest import FakeModels


def loud(length_ms: int) -> bytes:
    return (8000 * np.sin(np.arange(24 * length_ms) / 10)).astype("<i2").tobytes()


async def test_all_who_ask_at_the_same_time_share_one_transcription(models: FakeModels) -> None:
    hearing, pcm = Hearing(models, "s"), loud(500)
    texts = await asyncio.gather(*(hearing.final("i", pcm) for _ in range(3)))
    assert texts == ["hello there"] * 3
    assert len(models.transcribed) == 1


async def test_of_long_speech_that_was_not_heard_there_is_one_transcription_too(models: FakeModels) -> None:
    hearing, pcm = Hearing(models, "s"), loud(12_000)
    assert await asyncio.gather(*(hearing.final("i", pcm) for _ in range(3))) == ["hello there"] * 3
    assert len(models.transcribed) == 1


async def test_one_who_leaves_does_not_take_it_from_the_others(models: FakeModels) -> None:
    hearing, pcm = Hearing(models, "s"), loud(500)
    leaving, staying = (asyncio.ensure_future(hearing.final("i", pcm)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "hello there"


async def test_when_all_have_left_it_stops(models: FakeModels) -> None:
    before = asyncio.all_tasks()
    task = asyncio.ensure_future(Hearing(models, "s").final("i", loud(500)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_long_speech_is_cut_where_it_is_quiet(models: FakeModels) -> None:
    models.transcripts = ["one", "two"]
    pcm = loud(13_000) + bytes(48 * 400) + loud(6_000)
    assert await Hearing(models, "s").final("i", pcm) == "one two"
    lengths = [samples / 16_000 for samples, _ in models.transcribed]
    assert all(length <= SEGMENT_S for length in lengths)
    assert 13.0 <= lengths[0] <= 13.4


async def test_a_partial_that_saw_the_pause_is_the_final_one(models: FakeModels) -> None:
    hearing = Hearing(models, "s")
    pcm = loud(600) + bytes(48 * 150)
    await hearing.partial(hearing.hear("i", AudioFrame(pcm, 24_000)))
    hearing.hear("i", AudioFrame(bytes(48 * 100), 24_000))
    assert await hearing.final("i", pcm + bytes(48 * 100)) == "hello there"
    assert [partial for _, partial in models.transcribed] == [True]


async def test_words_outlive_the_sound(models: FakeModels) -> None:
    hearing = Hearing(models, "s")
    await hearing.final("i", loud(500))
    hearing.drop("i")
    assert hearing.transcript("i") == "hello there"


@pytest.mark.parametrize("seconds", [119, 121, 300])
async def test_a_turn_of_any_length_is_written_down_whole(models: FakeModels, seconds: int) -> None:
    pcm, hearing = loud(seconds * 1000), Hearing(models, "s")
    for start in range(0, len(pcm), 48_000):
        hearing.hear("i", AudioFrame(pcm[start : start + 48_000], 24_000))
    assert await hearing.final("i", pcm)
    assert abs(sum(samples for samples, _ in models.transcribed) - seconds * 16_000) < 100
