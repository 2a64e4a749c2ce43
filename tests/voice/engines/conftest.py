"""A double of the models that answers from lists, and the tools of a restaurant."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from voice.engines.model_port import Finished
from voice.errors import EngineError
from voice.tooling import ToolSpec


@dataclass(frozen=True)
class Done:
    """How a generation of the double ends."""

    reason: str = "stop"
    prompt_tokens: int = 10
    cached_tokens: int = 5
    output_tokens: int = 3


@dataclass
class FakeModels:
    """Answers at once; notes what it was asked, and what was cut short."""

    transcripts: list[str] = field(default_factory=lambda: ["hello there"])
    replies: list[str] = field(default_factory=lambda: ["Hello. How can I help?"])
    reason: str = "stop"
    error: EngineError | None = None
    gate: asyncio.Event | None = None
    """If set, generations stop in front of their second piece until it is."""
    prompts: list[str] = field(default_factory=list)
    grammars: list[str | None] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    prefilled: list[str] = field(default_factory=list)
    transcribed: list[tuple[int, bool]] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    generating: int = 0
    sessions: list[str] = field(default_factory=list)

    async def transcribe(self, session: str, pcm: bytes, *, partial: bool = False) -> str:
        """Give the next transcript; the last one repeats."""
        self.transcribed.append((len(pcm) // 2, partial))
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return self.transcripts.pop(0) if len(self.transcripts) > 1 else self.transcripts[0]

    async def generate(
        self,
        session: str,
        prompt: str,
        *,
        max_tokens: int,
        grammar: str | None = None,
        stop: Sequence[str] = (),
        temperature: float = 0.0,
    ) -> AsyncGenerator[str | Finished, None]:
        """Give the next reply, a few letters at a time."""
        self.prompts.append(prompt)
        self.grammars.append(grammar)
        self.limits.append(max_tokens)
        self.sessions.append(session)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.generating += 1
        try:
            for start in range(0, len(reply), 4):
                if start and self.gate:
                    await self.gate.wait()
                await asyncio.sleep(0)
                if self.error:
                    raise self.error
                yield reply[start : start + 4]
            yield Done(self.reason)
        finally:
            self.generating -= 1

    async def prefill(self, session: str, prompt: str) -> None:
        """Note the prompt."""
        self.prefilled.append(prompt)

    async def speak(self, session: str, text: str, *, voice: str, speed: float) -> AsyncGenerator[bytes, None]:
        """Give 300 ms of sound and 400 ms of silence."""
        self.spoken.append(text)
        await asyncio.sleep(0)
        yield np.full(7200, 5000, "<i2").tobytes()
        yield bytes(9600 * 2)

    def release(self, session: str) -> None:
        """Note the session."""
        self.released.append(session)


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def book_table() -> ToolSpec:
    text = {"type": "string"}
    properties = {
        "name": text | {"description": "Name of the caller"},
        "people": {"type": "integer", "minimum": 1, "maximum": 12, "description": "Number of guests"},
        "day": text | {"enum": ["Friday", "Saturday", "Sunday"]},
        "time": text | {"format": "time", "formatMinimum": "12:00", "formatMaximum": "22:00"},
    }
    schema = {"type": "object", "properties": properties, "required": ["name", "people", "day", "time"]}
    return ToolSpec("book_table", "Book a table for a caller.", schema)


@pytest.fixture
def get_weather() -> ToolSpec:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return ToolSpec("get_weather", "Get the weather in a city.", schema)
