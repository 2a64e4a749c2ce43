"""A live translation session: whatever happens, it ends with its transport and its translator closed."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.script import Translation
from voice.engines.scripted_translator import ScriptedTranslator
from voice.engines.translator import Translated, TranslatedText, TranslatorSettings
from voice.errors import EngineUnavailable
from voice.ids import Ids
from voice.protocol.server_events import ServerEvent
from voice.protocol.translation import TranslationConfig, TranslationEvent, decode_translation_event
from voice.session.translation import TranslationSession
from voice.translation_runner import TranslationRunner

SCRIPT = Translation(source="good morning", into={"es": "buenos días"})


def append(milliseconds: int) -> str:
    audio = base64.b64encode(bytes(CORE_RATE_HZ * 2 * milliseconds // 1000)).decode()
    return json.dumps({"type": "session.input_audio_buffer.append", "audio": audio})


class Client:
    """A client that says its lines and stays until it is closed, or leaves."""

    def __init__(self, *lines: str, stays: bool = True) -> None:
        self._lines = lines
        self._stays = stays
        self.events: list[ServerEvent] = []
        self.closed: tuple[int, str] | None = None

    async def client_events(self) -> AsyncIterator[TranslationEvent]:
        for line in self._lines:
            yield decode_translation_event(line)
        if self._stays:
            await asyncio.Event().wait()

    def send_event(self, event: ServerEvent) -> None:
        self.events.append(event)

    async def wait_playable(self) -> None:
        await asyncio.sleep(0)

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)

    def kinds(self) -> list[str]:
        return [event.type for event in self.events]


class FailingTranslator(ScriptedTranslator):
    is_closed = False

    async def translate(self) -> AsyncGenerator[Translated, None]:
        yield TranslatedText("bue")
        raise EngineUnavailable("The translator is gone.")

    async def aclose(self) -> None:
        self.is_closed = True


def runner_of(client: Client, translator: ScriptedTranslator, *, max_duration_s: float = 60.0) -> TranslationRunner:
    config = TranslationConfig(id="sess_1", model="m", expires_at=0)
    session = TranslationSession(config, Ids(), languages=translator.languages, max_duration_s=max_duration_s)
    return TranslationRunner(session, translator, client)


async def run(client: Client, translator: ScriptedTranslator | None = None, *, max_duration_s: float = 60.0) -> None:
    async with asyncio.timeout(5):
        await runner_of(client, translator or ScriptedTranslator(SCRIPT), max_duration_s=max_duration_s).run()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_speech_comes_out_as_it_goes_in_and_closing_ends_it() -> None:
    client = Client(append(1000), '{"type":"session.close"}')
    await run(client)
    assert client.kinds() == [
        "session.created",
        *["session.output_transcript.delta", "session.output_audio.delta"] * 4,
        "session.closed",
    ]
    assert client.closed == (1000, "")


class Waiting(ScriptedTranslator):
    """Has its last word when it is told to."""

    def __init__(self) -> None:
        super().__init__(SCRIPT)
        self.may_end = asyncio.Event()

    async def translate(self) -> AsyncGenerator[Translated, None]:
        await self.may_end.wait()
        return
        yield


async def test_an_append_that_comes_too_late_is_refused_once_however_long_it_is() -> None:
    client, translator = Client('{"type":"session.close"}', append(3000)), Waiting()
    runner = runner_of(client, translator)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        for _ in range(100):
            await asyncio.sleep(0)
        translator.may_end.set()
    assert client.kinds() == ["session.created", "error", "session.closed"]


async def test_a_fault_in_a_timer_ends_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_session: object, _now: float) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TranslationSession, "handle_timer", broken)
    with pytest.raises(ExceptionGroup) as raised:
        await run(Client(), Waiting(), max_duration_s=0.01)
    assert raised.group_contains(ZeroDivisionError)


class Busy(ScriptedTranslator):
    """Takes what it hears when it is let."""

    def __init__(self) -> None:
        super().__init__(SCRIPT)
        self.heard = 0
        self.may_hear = asyncio.Event()

    def hear(self, frame: AudioFrame) -> None:
        self.heard += 1
        super().hear(frame)

    async def wait_ready(self) -> None:
        await self.may_hear.wait()


async def test_a_client_that_sends_faster_than_can_be_taken_is_read_from_no_further() -> None:
    client, translator = Client(append(200), append(200), '{"type":"session.close"}'), Busy()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(runner_of(client, translator).run())
        for _ in range(100):
            await asyncio.sleep(0)
        assert translator.heard <= 1
        translator.may_hear.set()
    assert translator.heard == 2
    assert client.kinds()[-1] == "session.closed"


async def test_a_client_that_leaves_ends_it() -> None:
    client = Client(append(1000), stays=False)
    await run(client)
    assert client.closed is not None


async def test_a_long_append_lets_others_run() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    client = Client(append(60_000), '{"type":"session.close"}')
    async with asyncio.timeout(5):
        await runner_of(client, ScriptedTranslator(SCRIPT)).run()
    ticker.cancel()
    assert ticks > 300
    assert client.kinds().count("session.output_audio.delta") == 200


async def test_a_translator_that_fails_ends_it_and_is_closed() -> None:
    client, translator = Client(), FailingTranslator(SCRIPT)
    await run(client, translator)
    assert client.kinds()[-1] == "error"
    assert client.closed == (1011, "The translator is gone.")
    assert translator.is_closed


async def test_its_time_ends_it() -> None:
    client = Client()
    await run(client, max_duration_s=0.01)
    assert client.kinds() == ["session.created", "error"]
    assert client.closed is not None
    assert client.closed[0] == 1001


async def test_stopping_ends_it() -> None:
    client = Client()
    runner = runner_of(client, ScriptedTranslator(SCRIPT))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        await asyncio.sleep(0)
        runner.stop(1001, "The service is stopping.")
    assert client.closed == (1001, "The service is stopping.")


@pytest.mark.parametrize(("language", "word"), [("es", "buenos"), (None, "buenos")])
async def test_the_script_speaks_the_language_asked_for(language: str | None, word: str) -> None:
    translator = ScriptedTranslator(SCRIPT)
    await translator.open(TranslatorSettings(language))
    translator.hear(AudioFrame(bytes(100), CORE_RATE_HZ))
    translator.finish()
    said = [event.text async for event in translator.translate() if isinstance(event, TranslatedText)]
    assert said == [word]
