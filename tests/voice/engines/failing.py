"""Engines that fail as they are told to, and what answers as one of a list of them."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from voice.engines.breaker import Breaker
from voice.engines.port import (
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
)
from voice.engines.resilient import Patience, ResilientEngine
from voice.engines.scripted import ScriptedEngine
from voice.engines.standby import Standby
from voice.errors import EngineError
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
