"""What an upstream's translation session says, and how it ends; no socket."""

import pytest

from voice.engines.translator import SourceText, Translated, TranslatedAudio, TranslatedText, TranslatorSettings
from voice.errors import EngineProtocolError, EngineRefused, EngineUnavailable
from voice.upstream.translator import TranslationLine, session_of


async def taken(line: TranslationLine) -> list[Translated]:
    return [event async for event in line.take()]


async def test_words_and_sound_come_in_order_until_the_session_is_closed() -> None:
    line = TranslationLine()
    line.receive({"type": "session.created", "session": {}})
    line.receive({"type": "session.input_transcript.delta", "delta": "hello"})
    line.receive({"type": "session.output_transcript.delta", "delta": "hola"})
    line.receive({"type": "session.output_audio.delta", "delta": "AAAB"})  # three bytes: one sample and a half
    line.receive({"type": "session.news"})
    line.receive({"type": "session.closed"})
    source, words, sound = await taken(line)
    assert (source, words) == (SourceText("hello"), TranslatedText("hola"))
    assert isinstance(sound, TranslatedAudio)
    assert sound.frame.pcm == b"\0\0"
    line.lose(EngineUnavailable("The connection was closed."))  # which is what follows, and no loss
    assert line.error is None


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
