"""Responses from a client's side."""

from typing import Any

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
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
from voice.errors import EngineError, EngineProtocolError
from voice.remote.options import LanguageOptions
from voice.remote.responses_wire import PreviousResponse, ResponsesReader, body
from voice.session.items import Message, Role, TextPart
from voice.tooling import ToolSpec

OPTIONS = LanguageOptions("gpt-4o", api="responses", refers_to_previous=True, reasoning_effort="low", verbosity="low")
CALL = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "weather", "arguments": ""}
CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
USAGE = {"input_tokens": 9, "output_tokens": 2}
params = TypeAdapter(ResponseCreateParamsStreaming)


def said(number: int, role: Role, text: str) -> Message:
    return Message(f"item_{number}", role, (TextPart(text),))


def sent(*items: Message) -> dict[str, Any]:
    tools = (ToolSpec("weather", "of a city", {"type": "object"}),)
    return body(OPTIONS, ResponseRequest("r", items, EngineSettings(instructions="Be brief.", tools=tools)), {})


def read(*events: dict[str, Any]) -> list[ResponseEvent]:
    reader = ResponsesReader()
    return [ours for event in events for ours in reader.feed(event)] + reader.finish()


def completed(**fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": {"id": "resp_1", "usage": USAGE, **fields}}


def test_the_official_types_take_what_is_sent() -> None:
    params.validate_python(sent(said(1, "user", "Hi"), said(2, "assistant", "Hello")))


def test_words_calls_and_usage_come_through() -> None:
    assert read(
        CREATED,
        {"type": "response.output_text.delta", "delta": "One moment."},
        {"type": "response.something.new"},
        {"type": "response.output_item.added", "item": CALL},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": "{}"},
        {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": "{}"},
        completed(),
    ) == [
        TextDelta("One moment."),
        ToolCallStarted("c", "weather"),
        ToolCallDelta("c", "{}"),
        ToolCallDone("c", "weather", "{}"),
        TokenUsage(input_text=9, output_text=2),
        EngineDone(),
    ]


def test_an_answer_that_was_cut_says_why() -> None:
    cut = {"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}}
    assert read(cut) == [EngineDone("max_output_tokens")]


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "response.failed", "response": {}}, EngineError),
        ({"type": "error", "message": "x"}, EngineError),
        ({"type": "response.created"}, EngineProtocolError),
        ({"type": "response.function_call_arguments.delta", "item_id": "fc_9", "delta": ""}, EngineProtocolError),
    ],
)
def test_a_failure_and_an_event_that_is_none_are_faults(event: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ResponsesReader().feed(event)


def test_an_answer_without_an_end_is_a_fault() -> None:
    with pytest.raises(EngineProtocolError, match="middle"):
        read(CREATED)


def test_only_what_is_new_is_sent_while_the_conversation_only_grows() -> None:
    previous = PreviousResponse()
    first = sent(said(1, "user", "Hi"))
    assert previous.shorten(first) is first
    reader = ResponsesReader()
    reader.feed({"type": "response.output_text.delta", "delta": "Hello\nthere."})
    previous.note("resp_1", first, reader.answer_items())
    second = sent(said(1, "user", "Hi"), said(2, "assistant", "Hello there."), said(3, "user", "Bye"))
    shortened = previous.shorten(second)
    assert shortened["previous_response_id"] == "resp_1"
    assert [item["content"] for item in shortened["input"]] == ["Bye"]


def test_a_conversation_that_was_changed_is_sent_whole() -> None:
    previous = PreviousResponse()
    previous.note("resp_1", sent(said(1, "user", "Hi")), [])
    truncated = sent(said(1, "user", "Ho"), said(3, "user", "Bye"))
    assert previous.shorten(truncated) is truncated
    previous.forget()
    same = sent(said(1, "user", "Hi"), said(3, "user", "Bye"))
    assert previous.shorten(same) is same
