"""What an upstream's translation session says, and how it ends; no socket."""

import asyncio
from typing import cast

import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import EngineComplaint
from voice.engines.translator import SourceText, Translated, TranslatedAudio, TranslatedText, TranslatorSettings
from voice.errors import EngineError, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.upstream.direct import DirectConnection
from voice.upstream.options import UpstreamOptions
from voice.upstream.translator import TranslationLine, UpstreamTranslator, session_of


class Stuck:
    """A connection whose other side reads nothing."""

    def __init__(self) -> None:
        self.waiting_bytes = 0
        self.transport = self

    def send_now(self, text: str) -> None:
        self.waiting_bytes += len(text)

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes


async def taken(line: TranslationLine) -> list[Translated]:
    return [event async for event in line.take()]


async def test_words_and_sound_come_in_order_until_the_session_is_closed() -> None:
    line = TranslationLine()
    line.receive({"type": "session.created", "session": {}})
    line.receive({"type": "session.input_transcript.delta", "delta": "hello"})
    line.receive({"type": "session.output_transcript.delta", "delta": "hola"})
    line.receive({"type": "session.output_audio.delta", "delta": "AAAB"})  # three bytes: one sample and a half
    line.receive({"type": "session.output_audio.delta", "delta": "AgIC"})  # the other half, and one more
    line.receive({"type": "session.news"})
    line.receive({"type": "session.closed"})
    source, words, *sound = await taken(line)
    assert (source, words) == (SourceText("hello"), TranslatedText("hola"))
    assert [event.frame.pcm for event in sound if isinstance(event, TranslatedAudio)] == [b"\0\0", b"\1\2\2\2"]
    line.lose(EngineUnavailable("The connection was closed."))  # which is what follows, and no loss
    assert line.error is None


@pytest.mark.parametrize("is_lost", [False, True])
async def test_who_waits_for_the_next_words_hears_them_and_the_end(is_lost: bool) -> None:
    line, heard = TranslationLine(), list[Translated]()

    async def listen() -> None:
        async for event in line.take():
            heard.append(event)

    async with asyncio.timeout(5):
        listening = asyncio.create_task(listen())
        for word in ("hola", " amigo"):
            await settled()
            line.receive({"type": "session.output_transcript.delta", "delta": word})
        await settled()
        if is_lost:
            line.lose(EngineUnavailable("gone"))
            with pytest.raises(EngineUnavailable, match="gone"):
                await listening
        else:
            line.receive({"type": "session.closed"})
            await listening
    assert heard == [TranslatedText("hola"), TranslatedText(" amigo")]


async def settled() -> None:
    """Let whoever is ready go on until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_was_said_before_a_loss_is_heard() -> None:
    line = TranslationLine()
    line.receive({"type": "session.output_transcript.delta", "delta": "hola"})
    line.lose(EngineUnavailable("gone"))
    taking = line.take()
    assert await anext(taking) == TranslatedText("hola")
    with pytest.raises(EngineUnavailable, match="gone"):
        await anext(taking)


async def test_a_refusal_ends_it_by_its_name() -> None:
    line = TranslationLine()
    line.receive({"type": "error", "error": {"code": "invalid_api_key", "message": "Wrong key."}})
    assert line.created.is_set()
    with pytest.raises(EngineRefused, match="Wrong key"):
        await taken(line)


async def test_what_it_complains_of_is_passed_on_and_the_translation_goes_on() -> None:
    line = TranslationLine()
    line.receive({"type": "session.created"})
    line.receive({"type": "error", "error": {"code": "invalid_value", "message": "No such language.", "param": None}})
    line.receive({"type": "session.output_transcript.delta", "delta": "hola"})
    line.receive({"type": "session.closed"})
    complaint, words = await taken(line)
    assert complaint == EngineComplaint("invalid_value", "The upstream complains: No such language.")
    assert words == TranslatedText("hola")


@pytest.mark.parametrize(
    ("code", "how"), [("session_expired", EngineUnavailable), ("insufficient_quota", EngineRefused)]
)
async def test_what_it_may_not_go_on_after_ends_it(code: str, how: type[EngineError]) -> None:
    line = TranslationLine()
    line.receive({"type": "session.created"})
    line.receive({"type": "error", "error": {"code": code, "message": "It is over."}})
    assert not line.is_usable
    with pytest.raises(how):
        await taken(line)


async def test_an_upstream_that_takes_no_sound_is_given_up_however_much_was_said_before() -> None:
    translator, server = UpstreamTranslator(UpstreamOptions(url="ws://127.0.0.1:1/v1")), Stuck()
    translator._socket._socket = cast("DirectConnection", server)
    for _ in range(10 * 60 * 5):  # ten minutes, in steps of 200 ms
        translator.hear(AudioFrame(bytes(9600), CORE_RATE_HZ))
    with pytest.raises(EngineUnavailable, match="does not take"):
        await anext(translator.translate())
    assert server.waiting_bytes < 9_000_000


async def test_who_sends_faster_than_the_upstream_takes_waits_for_it_or_for_its_end() -> None:
    translator, server = UpstreamTranslator(UpstreamOptions(url="ws://127.0.0.1:1/v1")), Stuck()
    translator._socket._socket = cast("DirectConnection", server)
    for _ in range(5 * 5):
        translator.hear(AudioFrame(bytes(9600), CORE_RATE_HZ))
        await translator.wait_ready()  # five seconds may wait
    for _ in range(5 * 5):
        translator.hear(AudioFrame(bytes(9600), CORE_RATE_HZ))
    waiting = asyncio.create_task(translator.wait_ready())
    await settled()
    assert not waiting.done()
    server.waiting_bytes = 0
    async with asyncio.timeout(5):
        await waiting
        server.waiting_bytes = 1_000_000
        waiting = asyncio.create_task(translator.wait_ready())
        await settled()
        translator._socket.line.lose(EngineUnavailable("gone"))
        await waiting


async def test_sound_that_is_no_base64_ends_it() -> None:
    line = TranslationLine()
    line.receive({"type": "session.output_audio.delta", "delta": "?"})
    with pytest.raises(EngineProtocolError):
        await taken(line)


async def test_a_translation_that_nobody_takes_is_bounded() -> None:
    line = TranslationLine()
    for _ in range(5000):
        line.receive({"type": "session.output_transcript.delta", "delta": "x"})
    assert not line.is_usable


@pytest.mark.parametrize(
    ("settings", "session"),
    [
        (TranslatorSettings(), {"audio": {"input": {"transcription": None}}}),
        (
            TranslatorSettings("es", "gpt-realtime-whisper"),
            {"audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "es"}}},
        ),
    ],
)
def test_the_update_says_what_is_wanted(settings: TranslatorSettings, session: dict[str, object]) -> None:
    assert session_of(settings) == session
