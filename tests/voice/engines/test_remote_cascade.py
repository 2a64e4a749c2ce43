"""A cascade whose language model is elsewhere: clauses are spoken as they come, calls keep their place."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDone,
    TranscriptionRequest,
)
from voice.engines.remote_cascade import RemoteCascadeEngine
from voice.errors import EngineUnavailable
from voice.session.items import AudioPart, ImagePart, Item, Message, TextPart

SPEECH = (np.sin(np.arange(24_000) / 10) * 9000).astype("<i2").tobytes()
CALL: list[ResponseEvent] = [
    ToolCallStarted("c", "weather"),
    ToolCallDelta("c", "{}"),
    ToolCallDone("c", "weather", "{}"),
]


class FakeModels:
    """Hears `words`, and says a text as one sample for each of its letters."""

    def __init__(self, words: str = "Hello") -> None:
        self.words = words
        self.spoken: list[str] = []
        self.released: list[str] = []

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        return self.words

    def generate(self, *_: Any, **__: Any) -> AsyncGenerator[Any, None]:
        raise AssertionError("the language model is elsewhere")

    async def prefill(self, session: str, prompt: str) -> None:
        raise AssertionError("nothing is prefilled")

    async def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        self.spoken.append(text)
        yield b"\xff\x0f" * len(text)

    def release(self, session: str) -> None:
        self.released.append(session)


class FakeThinking:
    """Gives events; a float is waited for, an exception raised."""

    def __init__(self, *events: ResponseEvent | float | Exception) -> None:
        self.events = events
        self.asked: list[tuple[ResponseRequest, dict[str, str]]] = []
        self.is_closed = False

    async def respond(
        self, request: ResponseRequest, transcripts: Mapping[str, str]
    ) -> AsyncGenerator[ResponseEvent, None]:
        self.asked.append((request, dict(transcripts)))
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, float):
                    await asyncio.sleep(event)
                else:
                    yield event
        finally:
            self.is_closed = True


def request(*items: Item, modality: Any = "audio", **fields: Any) -> ResponseRequest:
    return ResponseRequest("resp_1", items, EngineSettings(output_modality=modality), **fields)


def heard(item_id: str = "item_1") -> Message:
    return Message(item_id, "user", (AudioPart(SPEECH, 1000),))


async def answer(engine: RemoteCascadeEngine, asked: ResponseRequest) -> list[ResponseEvent]:
    async with aclosing(engine.respond(asked)) as events:
        return [event async for event in events]


def words(events: list[ResponseEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_clauses_are_spoken_in_their_order_and_words_come_before_their_sound() -> None:
    models = FakeModels()
    thinking = FakeThinking(TextDelta("Yes, we "), TextDelta("are open. **Until** ten."), TokenUsage(5), EngineDone())
    events = await answer(RemoteCascadeEngine(models, thinking, "s"), request(heard()))
    assert words(events) == "Yes, we are open. Until ten."
    assert models.spoken == ["Yes,", "we are open.", "Until ten."]
    kinds = [type(event) for event in events]
    assert kinds == [TextDelta, AudioDelta] * 3 + [TokenUsage, EngineDone]
    assert thinking.asked[0][1] == {"item_1": "Hello"}


async def test_a_call_stands_behind_the_words_that_announce_it() -> None:
    thinking = FakeThinking(TextDelta("One moment"), *CALL, EngineDone())
    events = await answer(RemoteCascadeEngine(FakeModels(), thinking, "s"), request(heard()))
    assert words(events) == "One moment"
    assert events[2:] == [*CALL, EngineDone()]


async def test_text_is_not_spoken() -> None:
    models = FakeModels()
    thinking = FakeThinking(TextDelta("Hello there."), EngineDone())
    events = await answer(RemoteCascadeEngine(models, thinking, "s"), request(heard(), modality="text"))
    assert words(events) == "Hello there."
    assert models.spoken == []


async def test_a_greeting_needs_no_thought() -> None:
    models, thinking = FakeModels(), FakeThinking()
    events = await answer(RemoteCascadeEngine(models, thinking, "s"), request(say="Hello."))
    assert (words(events), events[-1]) == ("Hello.", EngineDone())
    assert thinking.asked == []


@pytest.mark.parametrize("is_silence", [False, True])
async def test_what_had_no_words_is_not_thought_about(is_silence: bool) -> None:
    item = Message("item_1", "user", (AudioPart(b"" if is_silence else SPEECH, 1000, is_silence=is_silence),))
    events = await answer(RemoteCascadeEngine(FakeModels(""), FakeThinking(), "s"), request(item))
    assert words(events) == ("Are you still there?" if is_silence else "Sorry, I didn't catch that.")


async def test_a_picture_may_stand_without_words_where_it_is_seen() -> None:
    shown = Message("item_1", "user", (ImagePart("data:image/png;base64,AA"),))
    thinking = FakeThinking(TextDelta("A cat."), EngineDone())
    engine = RemoteCascadeEngine(FakeModels(), thinking, "s", sees_images=True)
    assert engine.capabilities.takes_images
    assert words(await answer(engine, request(shown))) == "A cat."


async def test_a_failure_comes_behind_what_was_said() -> None:
    engine = RemoteCascadeEngine(FakeModels(), FakeThinking(TextDelta("Well, "), EngineUnavailable("gone")), "s")
    said: list[ResponseEvent] = []

    async def listen() -> None:
        async with aclosing(engine.respond(request(heard()))) as events:
            async for event in events:
                said.append(event)

    with pytest.raises(EngineUnavailable):
        await listen()
    assert words(said) == "Well,"


async def test_leaving_early_stops_the_thought() -> None:
    thinking = FakeThinking(TextDelta("Well, "), 60.0, EngineDone())
    async with aclosing(RemoteCascadeEngine(FakeModels(), thinking, "s").respond(request(heard()))) as events:
        await anext(events)
    assert thinking.is_closed


async def test_an_item_is_written_down_once_for_transcript_and_answer() -> None:
    models = FakeModels("Hello.")
    engine = RemoteCascadeEngine(models, FakeThinking(EngineDone()), "s")
    async with aclosing(engine.transcribe(TranscriptionRequest("item_1", SPEECH))) as events:
        assert [event async for event in events][-1] == TranscriptDone("Hello.")
    await engine.aclose()
    assert models.released == ["s"]


async def test_typed_words_need_no_transcript() -> None:
    thinking = FakeThinking(EngineDone())
    typed = Message("item_1", "user", (TextPart("Hi"),))
    await answer(RemoteCascadeEngine(FakeModels(), thinking, "s"), request(typed))
    assert thinking.asked[0][1] == {}
