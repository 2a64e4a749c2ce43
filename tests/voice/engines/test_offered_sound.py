"""Sound that an engine offers where it arrives, past the tasks between it and the session."""

from collections.abc import AsyncGenerator
from functools import partial

from voice.audio.frames import AudioFrame
from voice.engines.breaker import Breaker
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineNotice,
    EngineSettings,
    LiveEngine,
    ResponseEvent,
    ResponseRequest,
    Take,
)
from voice.engines.resilient import ResilientEngine
from voice.engines.scripted import ScriptedEngine
from voice.engines.standby import Standby
from voice.session.items import Item, Message, TextPart

ASK = ResponseRequest("resp_1", (Message("item_1", "user", (TextPart("hello"),)),), EngineSettings())


def sound(value: int) -> AudioDelta:
    return AudioDelta(AudioFrame(bytes([value, 0]) * 480, 24_000))


class Offering(ScriptedEngine):
    """Offers each run of sound, and yields what is declined."""

    def __init__(self, *answer: ResponseEvent) -> None:
        super().__init__()
        self.answer = answer
        self.offer: Take = lambda _id, _event: False

    def offer_to(self, take: Take) -> None:
        self.offer = take

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        for event in self.answer:
            if not isinstance(event, AudioDelta) or not self.offer(request.response_id, event):
                yield event

    async def notices(self) -> AsyncGenerator[EngineNotice, None]:
        return
        yield

    def listen(self, frame: AudioFrame) -> None: ...

    def restart_listening(self) -> None: ...

    def cut(self, item: Item) -> None: ...

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None: ...


async def test_sound_is_taken_once_the_answer_has_begun_and_never_after_its_end() -> None:
    engine = Offering(sound(1), sound(2), sound(3), EngineDone())
    assert isinstance(engine, LiveEngine)
    resilient = ResilientEngine([Standby("one", partial(_same, engine), Breaker())])
    taken: list[tuple[str, AudioDelta]] = []

    def take(response_id: str, event: AudioDelta) -> bool:
        taken.append((response_id, event))
        return True

    resilient.offer_to(take)
    await resilient.open(EngineSettings())
    assert [event async for event in resilient.respond(ASK)] == [sound(1), EngineDone()]
    assert taken == [("resp_1", sound(2)), ("resp_1", sound(3))]
    assert not engine.offer("resp_1", sound(4))
    await resilient.aclose()


async def test_sound_that_is_declined_comes_in_its_place() -> None:
    answer = (sound(1), sound(2), EngineDone())
    resilient = ResilientEngine([Standby("one", partial(_same, Offering(*answer)), Breaker())])
    resilient.offer_to(lambda _id, _event: False)
    await resilient.open(EngineSettings())
    assert [event async for event in resilient.respond(ASK)] == list(answer)
    await resilient.aclose()


def _same(engine: Offering) -> Offering:
    return engine
