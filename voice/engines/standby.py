"""The engines that stand by for each other, and ready sentences that one of them speaks for all."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

import structlog

from voice.audio.frames import AudioFrame
from voice.engines.breaker import Breaker
from voice.engines.port import AudioDelta, Engine, ResponseEvent, ResponseRequest, TextDelta
from voice.engines.script_audio import speech_runs
from voice.errors import EngineError

_log = structlog.get_logger(__name__)

_SPEAK_S: Final = 3.0
"""What a ready sentence may take: who waits for it hears nothing."""

_TONE_HZ: Final = 440
_TONE_MS: Final = 180


@dataclass(frozen=True, slots=True)
class Standby:
    """One engine of the list."""

    name: str
    make: Callable[[], Engine]
    """Raises: EngineUnavailable."""
    breaker: Breaker
    """Shared by all sessions."""
    speaks_alone: bool = False
    """Needs no one else to say a ready sentence: it can apologise for the others."""


async def speak(
    standbys: Sequence[Standby], words: str, request: ResponseRequest
) -> AsyncGenerator[ResponseEvent, None]:
    """Speak ready words: by an engine that needs no other, else a tone stands for them. No words, no sound."""
    if not words:
        return
    if request.settings.output_modality == "audio":
        for standby in standbys:
            if standby.speaks_alone and (spoken := await _spoken(standby, replace(request, say=words))):
                for event in spoken:
                    yield event
                return
    yield TextDelta(words)
    if request.settings.output_modality == "audio":
        for run in speech_runs("tone", _TONE_HZ, _TONE_MS, 60):
            yield AudioDelta(AudioFrame(run, 24_000))


async def _spoken(standby: Standby, request: ResponseRequest) -> list[ResponseEvent]:
    """Return all of it; nothing where it cannot be had soon."""
    spoken: list[ResponseEvent] = []
    try:
        engine = standby.make()
        try:
            async with asyncio.timeout(_SPEAK_S):
                await engine.open(request.settings)
                async with aclosing(engine.respond(request)) as events:
                    spoken = [event async for event in events if isinstance(event, TextDelta | AudioDelta)]
        finally:
            await engine.aclose()
    except EngineError as error:
        _log.warning("nobody speaks for the engine", why=error.message)
    except TimeoutError:
        _log.warning("nobody speaks for the engine", why="a sentence took too long to speak")
    return spoken
