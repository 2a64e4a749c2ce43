import asyncio
import json
import re

import numpy as np
import pytest

from voice.audio.frames import AudioFrame
from voice.engines.cascade import CascadeEngine, CascadeOptions
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    TranscriptDelta,
    TranscriptDone,
    TranscriptionRequest,
)
from voice.errors import EngineUnavailable
from voice.session.items import AudioPart, Item, Message, TextPart, ToolCall
from voice.session.truncation import fitted
from voice.tooling import ToolSpec

from .conftest import FakeModels

PLAIN = EngineSettings(instructions="Be kind.")


def loud(length_ms: int) -> bytes:
    return (8000 * np.sin(np.arange(24 * length_ms) / 10)).astype("<i2").tobytes()


def quiet(length_ms: int) -> bytes:
    return bytes(48 * length_ms)


def spoken_item(pcm: bytes, item_id: str = "item_1") -> Message:
    return Message(item_id, "user", (AudioPart(pcm, len(pcm) // 48),))


def written_item(text: str) -> Message:
    return Message("item_w", "user", (TextPart(text),))


async def respond(
    engine: CascadeEngine, *items: Item, settings: EngineSettings = PLAIN, **more: object
) -> list[ResponseEvent]:
    request = ResponseRequest("resp_1", items, settings, **more)  # type: ignore[arg-type]
    return [event async for event in engine.respond(request)]


def words(events: list[ResponseEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_clause_is_written_before_it_is_spoken(models: FakeModels) -> None:
    events = await respond(CascadeEngine(models, "s"), spoken_item(loud(800)))
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "TextDelta",
        "AudioDelta",
        "AudioDelta",
        "TextDelta",
        "AudioDelta",
        "AudioDelta",
        "EngineDone",
    ] or (kinds[0] == "TextDelta" and kinds[-1] == "EngineDone")
    assert words(events) == "Hello. How can I help?"
    assert models.spoken == ["Hello.", "How can I help?"]
    assert "user\nhello there<|im_end|>" in models.prompts[0]


async def test_audio_runs_on_one_clock_and_pauses_are_short(models: FakeModels) -> None:
    events = await respond(CascadeEngine(models, "s"), spoken_item(loud(800)))
    frames = [event.frame for event in events if isinstance(event, AudioDelta)]
    assert [frame.pts for frame in frames] == [sum(f.samples for f in frames[:index]) for index in range(len(frames))]
    assert all(frame.duration_ms <= 250 for frame in frames)
    # Two clauses of 300 ms of sound; of the 400 ms of silence behind each, 220 stay.
    assert sum(frame.duration_ms for frame in frames) == pytest.approx(2 * 520, abs=1)


async def test_a_text_session_gets_no_audio(models: FakeModels) -> None:
    events = await respond(
        CascadeEngine(models, "s"), written_item("Hi"), settings=EngineSettings(output_modality="text")
    )
    assert words(events) == "Hello. How can I help?"
    assert models.spoken == []


async def test_a_greeting_is_spoken_word_for_word(models: FakeModels) -> None:
    events = await respond(CascadeEngine(models, "s"), say="Welcome. Who is there?")
    assert words(events) == "Welcome. Who is there?"
    assert models.prompts == []


async def test_a_greeting_is_worked_into_the_cache_behind_the_instructions(models: FakeModels) -> None:
    engine = CascadeEngine(models, "s")
    await respond(engine, say="Welcome. Who is there?")
    await asyncio.sleep(0.03)
    greeted = models.prefilled[-1]
    assert greeted.endswith("<|im_start|>assistant\nWelcome. Who is there?<|im_end|>\n")
    await respond(engine, Message("item_0", "assistant", (TextPart("Welcome. Who is there?"),)), written_item("Me"))
    assert models.prompts[-1].startswith(greeted)
    await engine.aclose()


async def test_the_transcript_is_made_once_for_the_answer_and_the_item(models: FakeModels) -> None:
    engine, pcm = CascadeEngine(models, "s"), loud(800)
    engine.hear("item_1", AudioFrame(pcm[:1000], 24_000))
    await respond(engine, spoken_item(pcm))
    events = [event async for event in engine.transcribe(TranscriptionRequest("item_1", pcm + quiet(200)))]
    assert events == [TranscriptDelta("hello there"), TranscriptDone("hello there")]
    assert len([1 for _, partial in models.transcribed if not partial]) == 1


async def test_more_speech_makes_a_new_transcript(models: FakeModels) -> None:
    models.transcripts = ["hello", "hello again"]
    engine, pcm = CascadeEngine(models, "s"), loud(800)
    await respond(engine, spoken_item(pcm))
    events = [event async for event in engine.transcribe(TranscriptionRequest("item_1", pcm + loud(600)))]
    assert events[-1] == TranscriptDone("hello again")


async def test_what_has_no_words_is_not_thought_about(models: FakeModels) -> None:
    models.transcripts = [""]
    events = await respond(CascadeEngine(models, "s"), spoken_item(loud(300)))
    assert words(events) == "Sorry, I didn't catch that."
    assert models.prompts == []


async def test_who_has_said_nothing_is_asked_without_the_model(models: FakeModels) -> None:
    silence = Message("item_1", "user", (AudioPart(duration_ms=6000, is_silence=True),))
    events = await respond(CascadeEngine(models, "s"), silence)
    assert words(events) == "Are you still there?"
    assert models.prompts == []


async def test_stable_words_are_prefilled_while_the_caller_speaks(models: FakeModels) -> None:
    models.transcripts = ["could I book", "could I book a table", "could I book a table for four"]
    engine = CascadeEngine(models, "s")
    engine.configure(PLAIN)
    await asyncio.sleep(0.03)
    prefix = models.prefilled[0]
    for part in range(4):
        engine.hear("item_1", AudioFrame(loud(600), 24_000, part * 14_400))
        await settle()
    assert [partial for _, partial in models.transcribed] == [True, True, True]
    user = prefix + "<|im_start|>user\n"
    assert models.prefilled[1:] == [user, f"{user}could", f"{user}could I", f"{user}could I book a"]
    await engine.aclose()


async def test_little_new_audio_is_not_looked_at(models: FakeModels) -> None:
    engine = CascadeEngine(models, "s")
    for part in range(24):
        engine.hear("item_1", AudioFrame(loud(20), 24_000, part * 480))
    await settle()
    assert models.transcribed == []


async def test_closing_the_stream_frees_the_model_and_leaves_no_task(models: FakeModels) -> None:
    models.gate = asyncio.Event()
    before = asyncio.all_tasks()
    engine = CascadeEngine(models, "s")
    stream = engine.respond(ResponseRequest("r", (written_item("Hi"),), PLAIN))
    task = asyncio.ensure_future(anext(stream))
    await settle()
    assert models.generating == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.aclose()
    assert models.generating == 0
    await engine.aclose()
    assert asyncio.all_tasks() == before
    assert models.released == ["s"]


async def test_a_dropped_speculation_changes_nothing(models: FakeModels) -> None:
    engine, pcm = CascadeEngine(models, "s"), loud(800)
    once = await respond(engine, spoken_item(pcm), speculative=True)
    again = await respond(engine, spoken_item(pcm + quiet(200)))
    assert [type(event) for event in once] == [type(event) for event in again]
    assert models.prompts[0] == models.prompts[1]


async def test_models_that_are_gone_are_told_and_the_next_turn_works(models: FakeModels) -> None:
    models.error = EngineUnavailable("gone")
    engine = CascadeEngine(models, "s")
    with pytest.raises(EngineUnavailable):
        await respond(engine, written_item("Hi"))
    models.error = None
    assert words(await respond(engine, written_item("Hi"))) == "Hello. How can I help?"


async def test_the_token_limit_is_passed_on_and_told(models: FakeModels) -> None:
    models.reason = "length"
    events = await respond(CascadeEngine(models, "s"), written_item("Hi"), settings=EngineSettings(max_output_tokens=7))
    assert models.limits == [7]
    assert events[-1] == EngineDone("max_output_tokens")


async def test_a_call_is_complete_as_soon_as_it_leaves_no_choice(models: FakeModels, book_table: ToolSpec) -> None:
    models.replies = ['{"nam']
    item = written_item("Could I book a table for four on Friday at seven? The name is Baker.")
    events = await respond(CascadeEngine(models, "s"), item, settings=EngineSettings(tools=(book_table,)))
    done = [event for event in events if isinstance(event, ToolCallDone)]
    assert json.loads(done[0].arguments) == {"name": "Baker", "people": 4, "day": "Friday", "time": "19:00"}
    assert models.spoken == []


async def test_a_call_that_was_not_said_becomes_words(models: FakeModels, get_weather: ToolSpec) -> None:
    models.replies = ['{"name": "get_weather", "arguments": {"city": "London"}}', "Which city do you mean?"]
    item = written_item("Tell me the weather in Paris. Or in Oslo.")
    events = await respond(CascadeEngine(models, "s"), item, settings=EngineSettings(tools=(get_weather,)))
    assert words(events) == "Which city do you mean?"
    assert not [event for event in events if isinstance(event, ToolCallDone)]


async def test_the_machinery_is_not_spoken_of(models: FakeModels, get_weather: ToolSpec) -> None:
    models.replies = ['Call the function "getWeather" now.']
    events = await respond(
        CascadeEngine(models, "s"), written_item("Ten of clubs."), settings=EngineSettings(tools=(get_weather,))
    )
    assert words(events) == "Sorry, I didn't get that. Could you say it again?"
    assert models.generating == 0


@pytest.mark.parametrize(
    ("result", "spoken"),
    [
        ("In Oslo it is sunny.", "In Oslo it is sunny."),
        ('{"sky": "sunny"}', "Sorry, I didn't get that. Could you say it again?"),
    ],
)
async def test_a_result_that_is_a_sentence_is_read_out_where_the_model_has_no_words(
    models: FakeModels, get_weather: ToolSpec, result: str, spoken: str
) -> None:
    models.replies = ["Call a function to get the weather."]
    call = ToolCall("item_c", "call_1", "get_weather", '{"city": "Oslo"}', server_label="tools", output=result)
    settings = EngineSettings(tools=(get_weather,))
    assert words(await respond(CascadeEngine(models, "s"), written_item("Oslo?"), call, settings=settings)) == spoken


async def test_a_missing_value_is_asked_for_without_the_model(models: FakeModels, book_table: ToolSpec) -> None:
    settings = EngineSettings(tools=(book_table,))
    item = written_item("I want to book a table for four on Friday at seven.")
    assert words(await respond(CascadeEngine(models, "s"), item, settings=settings)).startswith(
        "Could you tell me the name"
    )
    assert models.prompts == []
    engine = CascadeEngine(models, "s", CascadeOptions(asks_for_missing=False))
    assert words(await respond(engine, item, settings=settings)) == "Hello. How can I help?"


async def test_an_answer_out_of_band_has_a_slot_of_its_own(models: FakeModels) -> None:
    engine = CascadeEngine(models, "s")
    await respond(engine, written_item("Hi"), in_conversation=False)
    assert models.sessions == ["s/resp_1"]
    assert models.released == ["s/resp_1"]


async def test_a_stream_that_is_closed_after_the_engine_begins_nothing(
    models: FakeModels, book_table: ToolSpec
) -> None:
    before = asyncio.all_tasks()
    engine = CascadeEngine(models, "s")
    item = written_item("I want to book a table for four on Friday at seven.")
    stream = engine.respond(ResponseRequest("r", (item,), EngineSettings(tools=(book_table,))))
    while not isinstance(await anext(stream), EngineDone):
        pass
    await engine.aclose()
    await stream.aclose()
    assert asyncio.all_tasks() == before


async def test_a_conversation_that_outgrows_the_slot_is_cut_until_it_fits(models: FakeModels) -> None:
    engine = CascadeEngine(models, "s", CascadeOptions(history_chars=1_000_000), slot_tokens=1024)
    items: tuple[Item, ...] = tuple(
        Message(f"item_{number}", "user", (TextPart(f"{number}: " + "so it was " * 20),)) for number in range(50)
    )
    settings = EngineSettings(instructions="Be kind. " * 100)
    await respond(engine, *fitted(items, settings, "auto", engine.capabilities.context_tokens), settings=settings)
    assert "49: so it was" in models.prompts[0]
    text = re.sub(r"<\|im_(start|end)\|>", "", models.prompts[0])  # a token each
    assert 2_000 < len(text) < (1024 - models.limits[0]) * 4


async def test_words_are_given_while_they_are_being_said_once_two_looks_agree(models: FakeModels) -> None:
    models.transcripts = ["We open at", "We open at seven o'", "We open at seven o'clock sharp"]
    engine = CascadeEngine(models, "s")
    assert engine.capabilities.follows_speech
    given: list[str] = []

    async def follow() -> None:
        async for event in engine.transcribe(TranscriptionRequest("item_1", b"", is_growing=True)):
            assert isinstance(event, TranscriptDelta)
            given.append(event.delta)

    following = asyncio.create_task(follow())
    for _ in range(8):
        engine.hear("item_1", AudioFrame(loud(500), 24_000))
        await settle()
    assert "".join(given) == "We open at seven o'clock"
    assert len(given) > 1
    following.cancel()
    await asyncio.wait({following})
    await engine.aclose()
