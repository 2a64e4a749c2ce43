"""A list of engines answers as one: retried, replaced, excused; nothing is asked again that must not be."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest

from voice.engines.breaker import Breaker
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineReplaced,
    EngineSettings,
    MessageStarted,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
)
from voice.engines.resilient import Patience, ResilientEngine
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.engines.standby import Standby
from voice.errors import EngineError, EngineRefused, EngineUnavailable
from voice.remote.retry import RetryPolicy
from voice.session.items import Message, TextPart

ASK = ResponseRequest("resp_1", (Message("item_1", "user", (TextPart("hello"),)),), EngineSettings(instructions="Be."))
AT_ONCE = Patience(words_after_s=5.0, retries=RetryPolicy(attempts=2, base_s=0.0, longest_s=0.0))


class Failing(ScriptedEngine):
    """Does what each entry says, one for each time that it is asked: events, then an error or the end."""

    def __init__(self, *answers: list[ResponseEvent | EngineError], refuses: EngineError | None = None) -> None:
        super().__init__()
        self.answers = list(answers)
        self.asked: list[ResponseRequest] = []
        self.refuses = refuses

    async def open(self, settings: EngineSettings) -> None:
        if self.refuses is not None:
            raise self.refuses

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        self.asked.append(request)
        for each in self.answers.pop(0):
            if isinstance(each, EngineError):
                raise each
            yield each


def of(
    *engines: Failing | ScriptedEngine, patience: Patience = AT_ONCE, **noted: list[tuple[str, str]]
) -> ResilientEngine:
    standbys = [Standby(f"engine-{number}", partial(_same, each), Breaker()) for number, each in enumerate(engines)]
    notes = noted.get("notes", [])
    return ResilientEngine(standbys, patience, note=lambda engine, what: notes.append((engine, what)))


def _same(engine: ScriptedEngine) -> ScriptedEngine:
    return engine


async def answer(engine: ResilientEngine, request: ResponseRequest = ASK) -> list[ResponseEvent]:
    await engine.open(request.settings)
    try:
        async with asyncio.timeout(5):
            return [event async for event in engine.respond(request)]
    finally:
        await engine.aclose()


async def collect(engine: ResilientEngine, heard: list[ResponseEvent]) -> None:
    async for event in engine.respond(ASK):
        heard.append(event)


def words(events: list[ResponseEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_a_failure_before_the_first_word_is_not_heard():
    engine = Failing([EngineUnavailable("gone")], [TextDelta("Hello."), EngineDone()])
    assert await answer(of(engine)) == [TextDelta("Hello."), EngineDone()]


async def test_the_next_engine_goes_on_when_one_fails_again():
    first = Failing([EngineUnavailable("gone")], [EngineUnavailable("gone")])
    second = Failing([TextDelta("Hello."), EngineDone()])
    notes: list[tuple[str, str]] = []
    assert words(await answer(of(first, second, notes=notes))) == "Hello."
    assert notes == [
        ("engine-0", "failed"), ("engine-0", "retried"), ("engine-0", "failed"), ("engine-0", "replaced")
    ]  # fmt: skip


async def test_a_refusal_is_not_tried_again():
    first, second = Failing([EngineRefused("no key")]), Failing([TextDelta("Hello."), EngineDone()])
    assert words(await answer(of(first, second))) == "Hello."
    assert len(first.asked) == 1


async def test_what_was_said_stands_and_whoever_goes_on_is_told():
    first = Failing(
        [MessageStarted("item_9"), TextDelta("The table"), EngineUnavailable("gone")], [EngineRefused("no")]
    )
    second = Failing([TextDelta("is booked."), EngineDone()])
    events = await answer(of(first, second))
    assert words(events) == "The tableis booked."
    assert MessageStarted() in events
    partial = second.asked[0].items[-1]
    assert isinstance(partial, Message)
    assert (partial.id, partial.role, partial.text) == ("item_9", "assistant", "The table")
    assert "do not repeat" in second.asked[0].settings.instructions


async def test_a_call_that_was_made_is_not_made_again():
    call: list[ResponseEvent | EngineError] = [ToolCallStarted("c", "pay"), ToolCallDone("c", "pay", "{}")]
    first = Failing([*call, EngineUnavailable("gone")])
    second = Failing([TextDelta("never"), EngineDone()])
    with pytest.raises(EngineUnavailable):
        await answer(of(first, second))
    assert second.asked == []


async def test_when_nobody_answers_the_caller_hears_an_apology_and_the_response_fails():
    engine = of(Failing([EngineRefused("no")]))
    await engine.open(EngineSettings())
    heard: list[ResponseEvent] = []
    with pytest.raises(EngineRefused):
        await collect(engine, heard)
    await engine.aclose()
    assert "sorry" in words(heard)
    assert any(isinstance(event, AudioDelta) for event in heard)


async def test_who_waits_for_long_is_spoken_to_and_the_answer_is_a_message_of_its_own():
    slow = ScriptedEngine(
        Script.from_dict({"first_token_ms": 150, "turns": [{"reply": [{"say": "Here.", "audio": "none"}]}]})
    )
    events = await answer(of(slow, patience=Patience(words_after_s=0.02, words="One moment.")))
    texts = [event for event in events if isinstance(event, TextDelta | MessageStarted)]
    assert texts == [TextDelta("One moment."), MessageStarted(), TextDelta("Here.")]


async def test_an_engine_that_cannot_be_opened_is_passed_over():
    closed = Failing(refuses=EngineUnavailable("away"))
    assert words(await answer(of(closed, Failing([TextDelta("Hi."), EngineDone()])))) == "Hi."


async def test_a_session_is_refused_when_none_can_be_opened():
    with pytest.raises(EngineUnavailable):
        await answer(of(Failing(refuses=EngineUnavailable("away"))))


async def test_a_breaker_is_shared_and_spares_the_next_session_the_wait():
    breaker = Breaker()
    for _ in range(breaker.threshold):
        breaker.note_failure(asyncio.get_running_loop().time())
    broken, spare = Failing([EngineRefused("never asked")]), Failing([TextDelta("Hi."), EngineDone()])
    engine = ResilientEngine(
        [Standby("one", lambda: broken, breaker), Standby("two", lambda: spare, Breaker())], AT_ONCE
    )
    assert words(await answer(engine)) == "Hi."
    assert broken.asked == []


async def test_the_only_engine_is_tried_whatever_its_breaker_says():
    breaker = Breaker()
    breaker.note_failure(asyncio.get_running_loop().time(), is_final=True)
    only = Failing([TextDelta("Hi."), EngineDone()])
    assert words(await answer(ResilientEngine([Standby("one", lambda: only, breaker)], AT_ONCE))) == "Hi."


async def test_who_takes_over_with_other_abilities_says_so():
    from voice.engines.upstream import UpstreamEngine
    from voice.upstream.options import UpstreamOptions

    class Away:
        line = None

        async def open(self) -> None:
            raise EngineRefused("away")

        async def aclose(self) -> None:
            """Nothing is open."""

    upstream = UpstreamEngine(UpstreamOptions("ws://x/v1", turns="upstream"), connect=Away)  # type: ignore[arg-type]
    spare = ScriptedEngine()
    engine = ResilientEngine(
        [Standby("one", lambda: upstream, Breaker()), Standby("two", lambda: spare, Breaker())], AT_ONCE
    )
    assert engine.capabilities.detects_turns
    await engine.open(EngineSettings())
    notice = await anext(engine.notices())
    await engine.aclose()
    assert notice == EngineReplaced(spare.capabilities)


class Deaf(ScriptedEngine):
    """Cannot write anything down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        self.asked += 1
        raise EngineUnavailable("gone")
        yield TranscriptDone("")


async def written(engine: ResilientEngine) -> list[TranscriptionEvent]:
    return [event async for event in engine.transcribe(TranscriptionRequest("item_1", bytes(4800)))]


async def test_a_session_that_only_transcribes_gets_its_words_from_whoever_can():
    deaf = Deaf()
    engine = of(deaf, ScriptedEngine(Script.from_dict({"transcripts": ["hello"]})))
    await engine.open(EngineSettings(only_transcribes=True))
    assert await written(engine) == [TranscriptDelta("hello"), TranscriptDone("hello")]
    assert deaf.asked == 2
    await engine.aclose()


async def test_words_of_a_conversation_are_asked_for_once():
    deaf = Deaf()
    engine = of(deaf, ScriptedEngine())
    await engine.open(EngineSettings())
    with pytest.raises(EngineUnavailable):
        await written(engine)
    assert deaf.asked == 1
    await engine.aclose()
