"""A translator that follows a script: so many words for so much audio, each with a tone, in the language asked for."""

import asyncio
from collections.abc import AsyncGenerator
from itertools import count

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.script import WORD_MS, Translation
from voice.engines.script_audio import speech_runs
from voice.engines.translator import SourceText, Translated, TranslatedAudio, TranslatedText, TranslatorSettings

_WORD_SAMPLES = CORE_RATE_HZ * WORD_MS // 1000
_HZ = 330


class ScriptedTranslator:
    """One session's. It says a word for each 300 ms that it hears, and begins anew after the last one."""

    def __init__(self, script: Translation | None = None) -> None:
        """Without a script, `Translation()`."""
        self._script = script or Translation()
        self._settings = TranslatorSettings()
        self._heard_samples = 0
        self._is_finished = False
        self._news = asyncio.Event()

    @property
    def languages(self) -> frozenset[str] | None:
        """Those of the script."""
        return frozenset(self._script.into)

    async def open(self, settings: TranslatorSettings) -> None:
        """Nothing has to be loaded."""
        self._settings = settings

    def configure(self, settings: TranslatorSettings) -> None:
        """Take new settings: the next word is in the new language."""
        self._settings = settings

    def hear(self, frame: AudioFrame) -> None:
        """Count what is said."""
        self._heard_samples += frame.samples
        self._news.set()

    async def wait_ready(self) -> None:
        """Counting keeps up with everybody."""

    def finish(self) -> None:
        """Say the word that is begun, and no other."""
        self._is_finished = True
        self._news.set()

    async def translate(self) -> AsyncGenerator[Translated, None]:
        """Yield word after word, as they are heard."""
        for number in count():
            while self._heard_samples < (number + 1) * _WORD_SAMPLES and not self._is_finished:
                self._news.clear()
                await self._news.wait()
            if self._heard_samples <= number * _WORD_SAMPLES:
                return
            source, target = self._script.source.split(), self._target.split()
            yield SourceText(_spaced(source[number % len(source)], number))
            yield TranslatedText(_spaced(target[number % len(target)], number))
            for run in speech_runs("tone", _HZ, WORD_MS, WORD_MS):
                yield TranslatedAudio(AudioFrame(run, CORE_RATE_HZ, number * _WORD_SAMPLES))

    async def aclose(self) -> None:
        """Nothing has to be let go."""

    @property
    def _target(self) -> str:
        into = self._script.into
        return into[self._settings.language] if self._settings.language in into else next(iter(into.values()))


def _spaced(word: str, number: int) -> str:
    return word if number == 0 else f" {word}"
