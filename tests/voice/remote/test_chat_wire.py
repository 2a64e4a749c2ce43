"""Chat Completions from a client's side."""

from typing import Any

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from voice.engines.port import (
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineProtocolError
from voice.remote import responses_wire
from voice.remote.chat_wire import ChatReader, body, usage_of
from voice.remote.options import LanguageOptions
from voice.session.items import Message, TextPart
from voice.tooling import ToolSpec

ITEMS = (Message("item_1", "user", (TextPart("Hi"),)),)
TOOLS = (ToolSpec("weather", "of a city", {"type": "object", "properties": {}}),)
params = TypeAdapter(CompletionCreateParamsStreaming)


def chunk(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def part(index: int, **fields: Any) -> dict[str, Any]:
    return {"index": index, "function": fields.pop("function", {}), **fields}


def read(*chunks: dict[str, Any]) -> list[ResponseEvent]:
    reader = ChatReader()
    return [event for sent in chunks for event in reader.feed(sent)] + reader.finish()


def test_the_official_types_take_what_is_sent() -> None:
    settings = EngineSettings(instructions="Be brief.", tools=TOOLS, tool_choice="weather", max_output_tokens=9)
    options = LanguageOptions(
        "gpt-4o", temperature=0.5, reasoning_effort="low", verbosity="low", parallel_tool_calls=True
    )
    sent = body(options, ResponseRequest("resp_1", ITEMS, settings), {})
    params.validate_python(sent)
    assert sent["max_completion_tokens"] == 9
    assert sent["stream_options"] == {"include_usage": True}
    assert sent["parallel_tool_calls"] is True


@pytest.mark.parametrize("make_body", [body, responses_wire.body], ids=["chat", "responses"])
def test_what_the_client_says_of_parallel_calls_goes_before_what_the_operator_says(make_body: Any) -> None:
    options = LanguageOptions("gpt-4o", parallel_tool_calls=True)
    settings = EngineSettings(tools=TOOLS, passed_on={"parallel_tool_calls": False})
    assert make_body(options, ResponseRequest("resp_1", ITEMS, settings), {})["parallel_tool_calls"] is False


def test_what_is_not_set_is_not_sent() -> None:
    sent = body(LanguageOptions("m", extra={"seed": 7}), ResponseRequest("resp_1", ITEMS, EngineSettings()), {})
    assert sent.keys() == {"model", "messages", "stream", "stream_options", "seed"}


def test_words_and_usage_come_through() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    events = read(
        chunk(role="assistant", content=""), chunk(content="Hi"), chunk("stop"), {"choices": [], "usage": usage}
    )
    assert events == [TextDelta("Hi"), TokenUsage(input_text=9, cached_text=4, output_text=2), EngineDone()]


def test_interleaved_calls_come_one_after_the_other() -> None:
    events = read(
        chunk(tool_calls=[part(0, id="a", function={"name": "weather", "arguments": ""})]),
        chunk(tool_calls=[part(1, id="b", function={"name": "time"})]),
        chunk(tool_calls=[part(0, function={"arguments": '{"x":1}'}), part(1, function={"arguments": None})]),
        chunk("tool_calls"),
    )
    assert events == [
        ToolCallStarted("a", "weather"),
        ToolCallDelta("a", '{"x":1}'),
        ToolCallDone("a", "weather", '{"x":1}'),
        ToolCallStarted("b", "time"),
        ToolCallDelta("b", "{}"),
        ToolCallDone("b", "time", "{}"),
        EngineDone(),
    ]


def test_a_call_that_was_cut_is_none() -> None:
    events = read(
        chunk(tool_calls=[part(0, id="a", function={"name": "weather", "arguments": '{"x'})]), chunk("length")
    )
    assert events == [EngineDone("max_output_tokens")]


def test_a_filtered_answer_says_so() -> None:
    assert read(chunk("content_filter"))[-1] == EngineDone("content_filter")


def test_an_answer_without_an_end_is_a_fault() -> None:
    with pytest.raises(EngineProtocolError, match="middle"):
        read(chunk(content="Hi"))


@pytest.mark.parametrize(
    "garbage",
    [
        {"choices": 5},
        {"choices": ["x"]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]},
        {"choices": [{"delta": "x"}]},
        {"usage": {"prompt_tokens": "many"}},
    ],
)
def test_a_chunk_that_is_none_is_a_fault(garbage: dict[str, Any]) -> None:
    with pytest.raises(EngineProtocolError):
        ChatReader().feed(garbage)


def test_usage_of_either_api_is_read() -> None:
    assert usage_of(
        {"input_tokens": 5, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 3}}
    ) == TokenUsage(input_text=5, cached_text=3, output_text=1)
    assert usage_of({"prompt_tokens": 5, "prompt_tokens_details": {"audio_tokens": 2}}) == TokenUsage(
        input_text=3, input_audio=2
    )
