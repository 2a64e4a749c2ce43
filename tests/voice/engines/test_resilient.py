"""A list of engines answers as one: retried, replaced, excused; nothing is asked again that must not be."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from voice.audio.frames import AudioFrame
from voice.engines.breaker import Breaker
from voice.engines.port import (
    AudioDelta,
    Capabilities,
    EngineDone,
    EngineLost,
    EngineNotice,
    EngineReplaced,
    EngineSettings,
    HostedCall,
    MessageStarted,
    ResponseEvent,
    Take,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionEvent,
    TranscriptionRequest,
    TurnStarted,
)
from voice.engines.resilient import ResilientEngine
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.engines.standby import Standby
from voice.errors import EngineError, EngineRefused, EngineUnavailable
from voice.session.items import Item, Message

from .failing import AT_ONCE, Failing, answer, collect, of, words


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


async def test_a_request_that_is_refused_is_not_made_again_to_the_same_engine():
    first, second = Failing([EngineError("no such tool")]), Failing([TextDelta("Hello."), EngineDone()])
    assert words(await answer(of(first, second))) == "Hello."
    assert len(first.asked) == 1


async def test_an_engine_that_was_left_is_closed_and_asked_again_when_the_other_fails():
    first = Failing([EngineRefused("no")], [TextDelta("Back."), EngineDone()])
    second = Failing([TextDelta("Hello."), EngineDone()], [EngineRefused("no")])
    engine = ResilientEngine(
        [
            Standby("one", lambda: first, Breaker(threshold=9, open_s=0.0)),
            Standby("two", lambda: second, Breaker()),
        ],
        AT_ONCE,
    )
    await engine.open(EngineSettings())
    heard: list[ResponseEvent] = []
    await collect(engine, heard)
    await asyncio.sleep(0)
    assert first.is_closed
    await collect(engine, heard)
    assert words(heard) == "Hello.Back."
    await engine.aclose()


async def test_no_engine_is_asked_twice_when_all_fail():
    first, second = Failing([EngineRefused("no")]), Failing([EngineRefused("no")])
    engine = of(first, second)
    await engine.open(EngineSettings())
    with pytest.raises(EngineRefused):
        await collect(engine, [])
    assert (len(first.asked), len(second.asked)) == (1, 1)
    await engine.aclose()


class Listening(ScriptedEngine):
    """Detects turns, and says what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.said: asyncio.Queue[EngineNotice] = asyncio.Queue()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(detects_turns=True)

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        while True:
            yield await self.said.get()

    def offer_to(self, take: Take) -> None: ...

    def listen(self, frame: AudioFrame) -> None: ...

    def restart_listening(self) -> None: ...

    def cut(self, item: Item) -> None: ...

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None: ...


@pytest.mark.parametrize("errors", [[EngineRefused("no key")], [EngineUnavailable("gone"), EngineUnavailable("gone")]])
async def test_who_hears_the_caller_no_more_is_replaced_though_nobody_asks(errors):
    deaf, spare = Listening(), ScriptedEngine()
    engine = of(deaf, spare)
    await engine.open(EngineSettings())
    for error in errors:
        deaf.said.put_nowait(EngineLost(error))
    async with asyncio.timeout(5):
        assert await anext(engine.notices()) == EngineReplaced(spare.capabilities)
    await engine.aclose()


async def test_who_hears_the_caller_again_stays():
    deaf = Listening()
    engine = of(deaf, ScriptedEngine())
    await engine.open(EngineSettings())
    turn = TurnStarted(0, "item_a")
    for notice in (EngineLost(EngineUnavailable("gone")), turn, EngineLost(EngineUnavailable("gone")), turn):
        deaf.said.put_nowait(notice)
    notices = engine.notices()
    assert [await anext(notices), await anext(notices)] == [turn, turn]
    await notices.aclose()
    await engine.aclose()


async def test_an_approval_that_nobody_waits_for_any_more_ends_its_call():
    engine = of(ScriptedEngine())
    await engine.open(EngineSettings())
    engine.approve("mcp_1", approve=True, reason=None)
    notice = await anext(engine.notices())
    assert isinstance(notice, HostedCall)
    assert notice.result is not None
    assert notice.result.failed
    await engine.aclose()
