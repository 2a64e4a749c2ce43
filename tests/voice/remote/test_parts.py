"""The parts of a cascade on a server: hearing, thinking, speaking, over an API that is scripted here."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp
import pytest

from voice.engines.port import EngineDone, EngineSettings, ResponseRequest, TextDelta
from voice.errors import EngineProtocolError, EngineUnavailable
from voice.prices import CostBook, PriceList
from voice.remote.api import Api, Pool, Server
from voice.remote.listening import RemoteListening, wav
from voice.remote.options import LanguageOptions, ListeningOptions, SpeakingOptions
from voice.remote.speaking import RUN_BYTES, RemoteSpeaking
from voice.remote.thinking import RemoteThinking
from voice.session.items import Message, TextPart

COSTS = CostBook(PriceList.read())
REQUEST = ResponseRequest("resp_1", (Message("item_1", "user", (TextPart("Hi"),)),), EngineSettings())
CREATED = {"type": "response.created", "response": {"id": "resp_9"}}
DELTA = {"type": "response.output_text.delta", "delta": "Hello."}
COMPLETED = {"type": "response.completed", "response": {}}


class ScriptedApi(Api):
    """Answers from lists; an exception among the answers is raised, and a number is waited for."""

    def __init__(self, *answers: list[Any]) -> None:
        super().__init__(Pool(), Server("http://server.invalid/v1"))
        self._answers = list(answers)
        self.bodies: list[dict[str, Any]] = []

    async def fetch_json(
        self,
        path: str,
        *,
        json_body: Mapping[str, Any] | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> dict[str, Any]:
        async with aclosing(self._play(json_body)) as answers:
            return await anext(answers)

    async def stream_events(
        self,
        path: str,
        *,
        json_body: Mapping[str, Any] | None = None,
        form: Callable[[], aiohttp.FormData] | None = None,
    ) -> AsyncGenerator[dict[str, Any], None]:
        async with aclosing(self._play(json_body)) as answers:
            async for answer in answers:
                yield answer

    async def stream_bytes(self, path: str, *, json_body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._play(json_body)) as answers:
            async for answer in answers:
                yield answer

    async def _play(self, body: Mapping[str, Any] | None) -> AsyncGenerator[Any, None]:
        self.bodies.append(dict(body or {}))
        for answer in self._answers.pop(0):
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, float):
                await asyncio.sleep(answer)
            else:
                yield answer


async def test_a_transcript_is_fetched() -> None:
    listening = RemoteListening(ScriptedApi([{"text": " Hello. "}]), ListeningOptions("whisper-1"), COSTS.meter)
    assert await listening.transcribe("s", b"\0\0") == "Hello."


async def test_partials_and_silence_cost_no_request() -> None:
    api = ScriptedApi()
    listening = RemoteListening(api, ListeningOptions("whisper-1"), COSTS.meter)
    assert await listening.transcribe("s", b"\0\0", partial=True) == ""
    assert await listening.transcribe("s", b"") == ""
    assert api.bodies == []


async def test_a_streamed_transcript_is_read_to_its_end() -> None:
    options = ListeningOptions("m", stream=True)
    events = [{"type": "transcript.text.delta", "delta": "Hel"}, {"type": "transcript.text.done", "text": "Hello."}]
    assert await RemoteListening(ScriptedApi(events), options, COSTS.meter).transcribe("s", b"\0\0") == "Hello."
    with pytest.raises(EngineProtocolError):
        await RemoteListening(ScriptedApi(events[:1]), options, COSTS.meter).transcribe("s", b"\0\0")


async def test_a_transcript_that_takes_too_long_is_given_up() -> None:
    listening = RemoteListening(ScriptedApi([5.0]), ListeningOptions("m", timeout_s=0.01), COSTS.meter)
    with pytest.raises(EngineUnavailable, match="took too long"):
        await listening.transcribe("s", b"\0\0")


async def test_an_answer_without_a_text_is_a_fault() -> None:
    with pytest.raises(EngineProtocolError):
        await RemoteListening(ScriptedApi([{}]), ListeningOptions("m"), COSTS.meter).transcribe("s", b"\0\0")


def test_a_wav_file_says_how_long_it_is() -> None:
    file = wav(b"\1\2" * 10, 16_000)
    assert file[:4] == b"RIFF"
    assert int.from_bytes(file[40:44], "little") == 20
    assert len(file) == 64


async def speak(api: ScriptedApi, **options: Any) -> list[bytes]:
    speaking = RemoteSpeaking(api, SpeakingOptions("tts-1", **options), COSTS.meter)
    async with aclosing(speaking.speak("s", "Hello.", voice="alloy", speed=1.5)) as runs:
        return [run async for run in runs]


async def test_speech_is_handed_on_in_whole_samples_and_short_runs() -> None:
    api = ScriptedApi([b"\1\2\3", b"\4" + b"\0" * RUN_BYTES * 2])
    runs = await speak(api, instructions="Cheerful")
    assert runs[0] == b"\1\2"
    assert all(len(run) <= RUN_BYTES and len(run) % 2 == 0 for run in runs)
    assert sum(map(len, runs)) == RUN_BYTES * 2 + 4
    assert api.bodies[0] == {
        "model": "tts-1",
        "input": "Hello.",
        "voice": "alloy",
        "response_format": "pcm",
        "speed": 1.5,
        "instructions": "Cheerful",
    }


async def test_the_configured_voice_goes_before_the_sessions() -> None:
    api = ScriptedApi([b"\0\0"])
    await speak(api, voice="nova")
    assert api.bodies[0]["voice"] == "nova"


async def test_a_file_is_not_played_as_noise() -> None:
    with pytest.raises(EngineProtocolError, match="file"):
        await speak(ScriptedApi([b"RIFF...."]))


async def test_speech_that_stalls_is_given_up() -> None:
    with pytest.raises(EngineUnavailable, match="took too long"):
        await speak(ScriptedApi([b"\0\0", 5.0]), next_sound_s=0.01)


async def think(scripted: ScriptedApi, **options: Any) -> list[Any]:
    return await answer(RemoteThinking(scripted, LanguageOptions("m", **options), COSTS.meter("s")), REQUEST)


async def answer(thinking: RemoteThinking, request: ResponseRequest) -> list[Any]:
    async with aclosing(thinking.respond(request, {})) as events:
        return [event async for event in events]


async def test_both_apis_give_the_same_events() -> None:
    chat = [{"choices": [{"delta": {"content": "Hello."}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    wanted = [TextDelta("Hello."), EngineDone()]
    assert await think(ScriptedApi(chat)) == wanted
    assert await think(ScriptedApi([CREATED, DELTA, COMPLETED]), api="responses") == wanted


async def test_a_character_that_a_server_cut_in_two_is_said_whole() -> None:
    halves = [{"type": "response.output_text.delta", "delta": half} for half in ("\ud83d", "\ude00 Hello.")]
    events = await think(ScriptedApi([CREATED, *halves, COMPLETED]), api="responses")
    assert events == [TextDelta("😀 Hello."), EngineDone()]


@pytest.mark.parametrize("options", [{"first_token_s": 0.01}, {"next_token_s": 0.01}])
async def test_a_model_that_stalls_is_given_up(options: dict[str, float]) -> None:
    script: list[Any] = [5.0] if "first_token_s" in options else [CREATED, 5.0]
    with pytest.raises(EngineUnavailable, match="took too long"):
        await think(ScriptedApi(script), api="responses", **options)


async def test_a_server_that_forgot_the_answer_before_is_told_everything() -> None:
    api = ScriptedApi([CREATED, DELTA, COMPLETED], [EngineUnavailable("gone")], [CREATED, DELTA, COMPLETED])
    thinking = RemoteThinking(api, LanguageOptions("m", api="responses", refers_to_previous=True), COSTS.meter("s"))
    await answer(thinking, REQUEST)
    said = Message("item_2", "assistant", (TextPart("Hello."),))
    more = Message("item_3", "user", (TextPart("Bye"),))
    request = ResponseRequest("resp_2", (*REQUEST.items, said, more), EngineSettings())
    assert await answer(thinking, request) == [TextDelta("Hello."), EngineDone()]
    assert [len(body["input"]) for body in api.bodies] == [1, 1, 3]
    assert [body.get("previous_response_id") for body in api.bodies] == [None, "resp_9", None]


async def test_what_each_part_costs_is_counted_for_its_session() -> None:
    book = CostBook(PriceList.read())
    meter = book.open("sess_1")
    await RemoteListening(ScriptedApi([{"text": "Hi"}]), ListeningOptions("whisper-1"), book.meter).transcribe(
        "sess_1", bytes(16_000 * 2 * 60)
    )
    speaking = RemoteSpeaking(ScriptedApi([b"\0" * 48_000]), SpeakingOptions("tts-1"), book.meter)
    async with aclosing(speaking.speak("sess_1", "x" * 1000, voice="alloy", speed=1.0)) as runs:
        assert [run async for run in runs]
    usage = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 100}}
    script = [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, usage]
    await answer(RemoteThinking(ScriptedApi(script), LanguageOptions("gpt-4o-mini"), meter), REQUEST)
    assert {model: str(cost.normalize()) for model, cost in meter.by_model.items()} == {
        "whisper-1": "0.006",
        "tts-1": "0.015",
        "gpt-4o-mini": "0.00021",
    }
