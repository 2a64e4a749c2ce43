"""The session's side of a leg: frames in, items out, nothing that waits for ever."""

import asyncio

from transports.live_audio import MAX_FRAMES, LiveAudio
from transports.playout import FRAME_BYTES, Playout, PlayoutSettings
from voice.audio.frames import AudioFrame
from voice.session.effects import FinishAudio, PlayAudio
from voice.transport import Flushed


def speech(frames: int, item_id: str = "item") -> PlayAudio:
    return PlayAudio("resp", item_id, 0, 0, AudioFrame(b"\x01\x00" * 480 * frames, 24_000, 0), "audio/pcm")


async def test_a_session_that_is_late_hears_the_present() -> None:
    audio = LiveAudio()
    for number in range(MAX_FRAMES + 10):
        audio.hear(bytes([number]) * FRAME_BYTES)
    audio.end()
    heard = [frame async for frame in audio.frames()]
    assert audio.dropped_frames == 10
    assert [frame.pcm[0] for frame in heard] == list(range(10, MAX_FRAMES + 10))
    assert heard[0].pts == 10 * 480


async def test_an_item_drains_when_its_last_frame_has_been_heard() -> None:
    audio = LiveAudio()
    audio.play(speech(2))
    audio.finish(FinishAudio("resp", "item"))
    drained = asyncio.ensure_future(audio.wait_drained())
    audio.next_frame()
    await asyncio.sleep(0)
    assert not drained.done()
    audio.next_frame()
    assert await drained == "item"


async def test_who_plays_more_than_is_let_in_waits() -> None:
    audio = LiveAudio(Playout(PlayoutSettings(high_water_ms=40)))
    audio.play(speech(2))
    waiting = asyncio.ensure_future(audio.wait_playable())
    await asyncio.sleep(0)
    assert not waiting.done()
    audio.next_frame()
    await waiting


async def test_a_flush_lets_the_next_answer_in_and_says_what_was_heard() -> None:
    audio = LiveAudio(Playout(PlayoutSettings(high_water_ms=40)))
    audio.play(speech(10))
    audio.next_frame()
    assert audio.flush() == Flushed("item", 20)
    await audio.wait_playable()


async def test_nobody_waits_for_a_call_that_is_over() -> None:
    audio = LiveAudio(Playout(PlayoutSettings(high_water_ms=20)))
    audio.play(speech(10))
    audio.end()
    audio.hear(bytes(FRAME_BYTES))
    assert [frame async for frame in audio.frames()] == []
    await audio.wait_playable()
