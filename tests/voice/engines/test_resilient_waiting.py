"""How long a caller waits for a list of engines, and what is said meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from voice.audio.frames import AudioFrame
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineSettings,
    MessageStarted,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
)
from voice.engines.resilient import Patience
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.errors import EngineError, EngineOverloaded, EngineUnavailable
from voice.remote.retry import RetryPolicy

from .failing import ASK, Failing, answer, collect, of, words


async def test_who_waits_for_long_is_spoken_to_and_the_answer_is_a_message_of_its_own():
    slow = ScriptedEngine(
        Script.from_dict({"first_token_ms": 150, "turns": [{"reply": [{"say": "Here.", "audio": "none"}]}]})
    )
    events = await answer(of(slow, patience=Patience(words_after_s=0.02, words="One moment.")))
    texts = [event for event in events if isinstance(event, TextDelta | MessageStarted)]
    assert texts == [TextDelta("One moment."), MessageStarted(), TextDelta("Here.")]


class Slow(Failing):
    """Opens when it is told to."""

    def __init__(self, *answers: list[ResponseEvent | EngineError]) -> None:
        super().__init__(*answers)
        self.may_open = asyncio.Event()

    async def open(self, settings: EngineSettings) -> None:
        await self.may_open.wait()


IMPATIENT = Patience(words_after_s=0.02, words="One moment.", retries=RetryPolicy(attempts=1))


async def test_who_waits_while_another_engine_is_opened_is_spoken_to_as_well():
    first, second = Failing([EngineUnavailable("gone")]), Slow([TextDelta("Here."), EngineDone()])
    engine = of(first, second, patience=IMPATIENT)
    await engine.open(EngineSettings())
    heard: list[ResponseEvent] = []
    async for event in engine.respond(ASK):
        heard.append(event)
        if words(heard) == "One moment.":
            second.may_open.set()
    assert words(heard) == "One moment.Here."
    await engine.aclose()


async def test_the_wait_counts_over_all_attempts_and_words_come_once():
    class Hesitant(Failing):
        async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
            await asyncio.sleep(0.06)
            async for event in super().respond(request):
                yield event

    engine = Hesitant([EngineUnavailable("gone")], [EngineUnavailable("gone")], [TextDelta("Here."), EngineDone()])
    patience = Patience(words_after_s=0.1, words="One moment.", retries=RetryPolicy(attempts=3, base_s=0.0))
    assert words(await answer(of(engine, patience=patience))) == "One moment.Here."


async def test_who_still_hears_something_is_not_told_to_wait():
    spoken = AudioDelta(AudioFrame(bytes(48_000), 24_000))
    first = Failing([TextDelta("The table"), spoken, EngineUnavailable("gone")])
    second = Slow([TextDelta(" is booked."), EngineDone()])
    asyncio.get_running_loop().call_later(0.05, second.may_open.set)
    assert words(await answer(of(first, second, patience=IMPATIENT))) == "The table is booked."


class Silent(Failing):
    """Begins, and says nothing."""

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        self.asked.append(request)
        yield MessageStarted()
        yield TextDelta("never heard")
        await asyncio.Event().wait()


async def test_an_engine_that_is_not_heard_for_long_is_left():
    silent, second = Silent(), Failing([TextDelta("Hello."), EngineDone()])
    patience = Patience(give_up_s=0.02, retries=RetryPolicy(attempts=5, base_s=0.0))
    assert words(await answer(of(silent, second, patience=patience))).endswith("Hello.")
    assert len(silent.asked) == 1


async def test_when_the_only_engine_is_not_heard_for_long_the_caller_hears_an_apology():
    engine = of(Silent(), patience=Patience(give_up_s=0.02))
    await engine.open(EngineSettings())
    heard: list[ResponseEvent] = []
    with pytest.raises(EngineUnavailable, match="too long"):
        await collect(engine, heard)
    assert "sorry" in words(heard)
    await engine.aclose()


async def test_nobody_is_told_to_wait_for_an_answer_beside_the_conversation():
    class Hesitant(Failing):
        async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
            await asyncio.sleep(0.05)
            async for event in super().respond(request):
                yield event

    beside = replace(ASK, in_conversation=False)
    patience = Patience(words_after_s=0.01, give_up_s=0.02)
    engine = of(Hesitant([TextDelta("Here."), EngineDone()]), patience=patience)
    assert await answer(engine, beside) == [TextDelta("Here."), EngineDone()]


async def test_who_asks_for_a_longer_wait_than_a_caller_bears_is_not_waited_for():
    first, second = Failing([EngineOverloaded("busy", 30.0)]), Failing([TextDelta("Hello."), EngineDone()])
    assert words(await answer(of(first, second))) == "Hello."
    assert len(first.asked) == 1


async def test_the_wait_that_was_asked_for_is_kept():
    asked: list[float | None] = []

    class Noting(RetryPolicy):
        def wait_s(self, attempt: int, retry_after_s: float | None, chance: float) -> float | None:
            asked.append(retry_after_s)
            return 0.0

    engine = Failing([EngineOverloaded("busy", 0.75)], [TextDelta("Hello."), EngineDone()])
    assert words(await answer(of(engine, patience=Patience(retries=Noting())))) == "Hello."
    assert asked == [0.75]
