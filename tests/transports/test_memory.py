"""The transport without a wire keeps the promises of the port."""

import asyncio

import pytest

from transports.memory import MemoryTransport
from transports.port import Flushed, Transport
from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.protocol.client_events import InputAudioBufferAppend, InputAudioBufferCommit, InvalidEvent
from voice.protocol.server_events import InputAudioBufferCleared, ServerEvent
from voice.session.effects import FinishAudio, PlayAudio


def play(ms: int, item_id: str = "item_1") -> PlayAudio:
    frame = AudioFrame(bytes(2 * CORE_RATE_HZ * ms // 1000), CORE_RATE_HZ)
    return PlayAudio("resp_1", item_id, 0, 0, frame, "audio/pcm")


def finish(item_id: str = "item_1") -> FinishAudio:
    return FinishAudio("resp_1", item_id)


def cleared() -> ServerEvent:
    return InputAudioBufferCleared(event_id="event_1")


@pytest.fixture
def phone() -> MemoryTransport:
    return MemoryTransport(plays_in_real_time=True)


@pytest.fixture
def web() -> MemoryTransport:
    return MemoryTransport()


def test_it_is_a_transport(phone: MemoryTransport) -> None:
    as_port: Transport = phone
    assert as_port.plays_in_real_time


async def test_what_the_client_sends_comes_in_order_until_it_hangs_up(web: MemoryTransport) -> None:
    web.push(InputAudioBufferCommit(event_id="1"))
    web.push_audio(b"\x01\x00")
    web.push_text("{")
    web.hang_up()
    first, second, third = [event async for event in web.client_events()]
    assert isinstance(first, InputAudioBufferCommit)
    assert second == InputAudioBufferAppend(audio=b"\x01\x00", event_id=None)
    assert isinstance(third, InvalidEvent)
    assert [frame async for frame in web.frames()] == []


async def test_a_caller_in_real_time_is_heard_by_frames_on_its_clock(phone: MemoryTransport) -> None:
    phone.push_audio(bytes(40))
    phone.push_audio(bytes(20))
    phone.hang_up()
    assert [(frame.pts, frame.samples) async for frame in phone.frames()] == [(0, 20), (20, 10)]


def test_the_output_keeps_the_order_of_events_and_audio(web: MemoryTransport) -> None:
    web.send_event(cleared())
    web.play_audio(play(20))
    web.finish_audio(finish())
    web.send_event(cleared())
    assert [type(each).__name__ for each in web.output] == [
        "InputAudioBufferCleared",
        "PlayAudio",
        "FinishAudio",
        "InputAudioBufferCleared",
    ]
    assert (len(web.sent), len(web.played)) == (2, 1)


def test_a_flush_tells_what_was_heard(phone: MemoryTransport) -> None:
    phone.play_audio(play(300))
    phone.play_audio(play(300))
    phone.advance(350)
    assert phone.flush_audio() == Flushed("item_1", 350)
    assert phone.buffered_ms == 0


def test_a_flush_names_the_item_that_was_playing(phone: MemoryTransport) -> None:
    phone.play_audio(play(100, "item_1"))
    phone.finish_audio(finish("item_1"))
    phone.play_audio(play(100, "item_2"))
    phone.advance(130)
    assert phone.flush_audio() == Flushed("item_2", 30)


def test_there_is_nothing_to_flush_when_all_was_heard(phone: MemoryTransport) -> None:
    phone.play_audio(play(100))
    phone.advance(500)
    assert phone.flush_audio() is None


def test_where_the_client_plays_there_is_nothing_to_flush(web: MemoryTransport) -> None:
    web.play_audio(play(100))
    assert web.flush_audio() is None


async def test_an_item_has_drained_when_it_is_complete_and_played(phone: MemoryTransport) -> None:
    phone.play_audio(play(100))
    waiting = asyncio.create_task(phone.wait_drained())
    phone.advance(100)
    await asyncio.sleep(0)
    assert not waiting.done()
    phone.finish_audio(finish())
    async with asyncio.timeout(5):
        assert await waiting == "item_1"


async def test_items_drain_in_order(phone: MemoryTransport) -> None:
    for item_id in ("item_1", "item_2"):
        phone.play_audio(play(100, item_id))
        phone.finish_audio(finish(item_id))
    phone.advance(300)
    assert [await phone.wait_drained(), await phone.wait_drained()] == ["item_1", "item_2"]


async def test_a_flushed_item_never_drains(phone: MemoryTransport) -> None:
    phone.play_audio(play(100))
    phone.finish_audio(finish())
    phone.flush_audio()
    phone.advance(1000)
    waiting = asyncio.create_task(phone.wait_drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_a_full_buffer_holds_the_engine_until_some_of_it_is_played() -> None:
    phone = MemoryTransport(plays_in_real_time=True, buffer_ms=200)
    phone.play_audio(play(300))
    waiting = asyncio.create_task(phone.wait_playable())
    await asyncio.sleep(0)
    assert not waiting.done()
    phone.advance(150)
    async with asyncio.timeout(5):
        await waiting


async def test_until_waits_for_the_event(web: MemoryTransport) -> None:
    waiting = asyncio.create_task(web.until("input_audio_buffer.cleared", count=2))
    web.send_event(cleared())
    await asyncio.sleep(0)
    assert not waiting.done()
    web.send_event(cleared())
    async with asyncio.timeout(5):
        assert await waiting is web.sent[1]


async def test_closing_ends_everything_once(phone: MemoryTransport) -> None:
    phone.play_audio(play(100))
    await phone.aclose(1001, "bye")
    await phone.aclose(1000)
    assert phone.closed == (1001, "bye")
    assert [event async for event in phone.client_events()] == []
    assert [frame async for frame in phone.frames()] == []
    phone.send_event(cleared())
    assert phone.sent == []
    assert phone.flush_audio() is None
    with pytest.raises(EOFError):
        await phone.until("session.created")
