"""The port of what translates: speech goes in and speech of another language comes out, without turns.

    open ──► configure* ──► hear* ──► finish ──► (translate ends) ──► aclose

A translator serves one session. It is not an `Engine`: it has no conversation to mirror and is never asked; it says
what it has whenever it has it. An engine that cannot do this has no translator.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from voice.audio.frames import AudioFrame
from voice.engines.port import EngineComplaint


@dataclass(frozen=True, slots=True)
class TranslatorSettings:
    """What a translator works by. Sent at the start and after each change."""

    language: str | None = None
    """What is translated into, a BCP 47 tag (`es`); None: its own choice."""
    source_model: str | None = None
    """What is to write the caller's own words down; None: they are not wanted."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """The caller's next words."""

    text: str


@dataclass(frozen=True, slots=True)
class TranslatedText:
    """The next words of the translation."""

    text: str


@dataclass(frozen=True, slots=True)
class TranslatedAudio:
    """The next of its sound, 24 kHz, any length; keep it under 1 s."""

    frame: AudioFrame


Translated = SourceText | TranslatedText | TranslatedAudio | EngineComplaint
"""What a translator says; a complaint is for the client, and the translation goes on."""


class Translator(Protocol):
    """One session's view of what translates."""

    @property
    def languages(self) -> frozenset[str] | None:
        """What it can translate into; None: it does not say."""
        ...

    async def open(self, settings: TranslatorSettings) -> None:
        """Get ready. Raises: EngineError."""
        ...

    def configure(self, settings: TranslatorSettings) -> None:
        """Take new settings. Returns at once."""
        ...

    def hear(self, frame: AudioFrame) -> None:
        """Take the next 24 kHz audio; what comes is contiguous, whenever it comes. Returns at once."""
        ...

    async def wait_ready(self) -> None:
        """Return when more may be heard, or nothing ever will be: who sends faster than can be taken waits for it.

        Cancelling is safe.
        """
        ...

    def finish(self) -> None:
        """Nothing more comes: translate what is left. Returns at once."""
        ...

    def translate(self) -> AsyncGenerator[Translated, None]:
        """Yield the translation until all is translated after `finish`. Read by one task. Raises: EngineError."""
        ...

    async def aclose(self) -> None:
        """Let go of everything. Safe to call twice."""
        ...
