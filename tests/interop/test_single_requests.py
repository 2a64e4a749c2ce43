"""The official client's audio, chat and responses calls, streamed and not, against the whole service."""

import io
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI

from voice.audio.files import decode
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

SENTENCE = "Hello, how can I help you today?"
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def client_of(service: ServiceProcess, key: str = "none") -> OpenAI:
    return OpenAI(api_key=key, base_url=f"{service.http_url}/v1", max_retries=0, timeout=60)


@pytest.fixture
def client(cascade: ServiceProcess) -> OpenAI:
    return client_of(cascade)


@pytest.fixture
def scripted_client(scripted: ServiceProcess) -> OpenAI:
    return client_of(scripted)


def plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalpha() or letter == " ").strip()


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav"])
def test_what_is_spoken_is_written_down_again(client: OpenAI, form: Any) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=SENTENCE, response_format=form)
    words = client.audio.transcriptions.create(model="whisper-1", file=(f"speech.{form}", speech.content))
    assert plain(words.text) == plain(SENTENCE)


def test_speech_comes_as_it_is_made(client: OpenAI) -> None:
    text = f"{SENTENCE} We are open until ten in the evening, every day but Monday."
    create = client.audio.speech.with_streaming_response.create
    with create(model="tts-1", voice="alloy", input=text, response_format="pcm") as response:
        pieces = list(response.iter_bytes())
    assert len(pieces) > 1
    assert sum(map(len, pieces)) > 2 * 24_000 * 2


def test_a_recording_is_written_down_in_every_form(client: OpenAI, say: Callable[[str], Recording]) -> None:
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=SENTENCE, response_format="wav")

    def write(**options: Any) -> Any:
        return client.audio.transcriptions.create(model="whisper-1", file=("a.wav", speech.content), **options)

    verbose = write(response_format="verbose_json")
    assert plain(verbose.text) == plain(SENTENCE)
    assert 0 <= verbose.segments[0].start < verbose.segments[-1].end <= verbose.duration + 0.01
    assert plain(write(response_format="text")) == plain(SENTENCE)
    assert "-->" in write(response_format="srt")
    assert write(response_format="vtt").startswith("WEBVTT")
    events = list(write(stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


def test_a_chat_is_answered(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    assert "Paris" in (whole.choices[0].message.content or "")
    assert whole.choices[0].finish_reason == "stop"
    chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True))
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_a_tool_is_called_and_its_output_spoken_of(client: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    tools: Any = [{"type": "function", "function": WEATHER}]
    asked = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    assert asked.choices[0].finish_reason == "tool_calls"
    (call,) = asked.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == '{"city": "Oslo"}'
    messages.append(asked.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"})
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    assert "18" in (answer.choices[0].message.content or "")


def test_a_response_is_made(client: OpenAI) -> None:
    whole = client.responses.create(model="gpt-4o-mini", input="What is the capital of Italy?")
    assert "Rome" in whole.output_text
    with client.responses.stream(model="gpt-4o-mini", input="What is the capital of Italy?") as stream:
        kinds = [event.type for event in stream]
        assert "Rome" in stream.get_final_response().output_text
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    tools: Any = [{"type": "function", "strict": False, **WEATHER}]
    called = client.responses.create(model="gpt-4o-mini", input="What is the weather in Oslo?", tools=tools)
    assert [item.type for item in called.output] == ["function_call"]


def test_a_speech_stream_of_events_ends_with_its_usage(scripted_client: OpenAI) -> None:
    create = scripted_client.audio.speech.with_streaming_response.create
    with create(model="tts-1", voice="alloy", input="One two", stream_format="sse", response_format="wav") as response:
        lines = [line for line in response.iter_lines() if line]
    assert '"speech.audio.delta"' in lines[0]
    assert '"speech.audio.done"' in lines[-1]


def test_scripted_agents_chat_too(scripted_client: OpenAI) -> None:
    for model in scripted_client.models.list():
        messages: Any = [{"role": "user", "content": "Hello"}]
        answer = scripted_client.chat.completions.create(model=model.id, messages=messages)
        assert answer.model == model.id


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda c: c.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"garbage")), 400, "invalid_file"),
        (
            lambda c: c.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(30_000_000))),
            413,
            "content_size_limit_exceeded",
        ),
        (lambda c: c.audio.speech.create(model="tts-1", voice="nobody", input="x"), 400, "invalid_value"),
        (lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input=""), 400, "string_below_min_length"),
        (lambda c: c.audio.speech.create(model="tts-1", voice="alloy", input=" "), 400, "empty_text"),
        (lambda c: c.audio.speech.create(model="nobody", voice="alloy", input="x"), 404, "model_not_found"),
        (lambda c: c.chat.completions.create(model="gpt-4o", messages=[]), 400, "array_below_min_length"),
        (
            lambda c: c.responses.create(model="gpt-4o", input="x", previous_response_id="resp_1"),
            400,
            "unsupported_parameter",
        ),
    ],
)
def test_what_is_wrong_is_answered_in_the_contracts_words(
    scripted_client: OpenAI, ask: Callable[[OpenAI], Any], status: int, code: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        ask(scripted_client)
    assert (refused.value.status_code, refused.value.code) == (status, code)


def test_speech_is_not_translated_and_that_is_said(scripted_client: OpenAI) -> None:
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(openai.BadRequestError, match="writes it down as it was said"),
    ):
        scripted_client.audio.translations.create(model="whisper-1", file=("a.wav", io.BytesIO(b"x")))


def test_a_key_is_asked_for(keyed: ServiceProcess) -> None:
    messages: Any = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.AuthenticationError):
        client_of(keyed, "wrong-key").chat.completions.create(model="gpt-4o", messages=messages)
    with pytest.raises(openai.AuthenticationError):
        client_of(keyed, "wrong-key").audio.speech.create(model="tts-1", voice="alloy", input="x")
    assert client_of(keyed, "right-key").chat.completions.create(model="gpt-4o", messages=messages).choices


def test_flac_holds_what_was_spoken(scripted_client: OpenAI) -> None:
    speech = scripted_client.audio.speech.create(model="tts-1", voice="alloy", input="One", response_format="flac")
    assert len(decode(speech.content)) > 2 * 2400
