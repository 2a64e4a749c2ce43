"""Responses: the official types take every event, and the whole is what the stream said."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from voice.engines.port import EngineDone, ResponseEvent, TextDelta, ToolCallDelta, ToolCallDone, ToolCallStarted
from voice.errors import ContractError
from voice.rest.responses import ResponsesAnswer, ResponsesRequest
from voice.session.items import ImagePart, Message, ToolCall, ToolOutput

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def read(**body: Any) -> ResponsesRequest:
    return ResponsesRequest.from_json(json.dumps({"model": "m", "input": "Hello", **body}).encode())


def request_of(**body: Any) -> Any:
    return read(**body).response_request(lambda content: content)


def answer_to(events: list[ResponseEvent], **body: Any) -> tuple[ResponsesAnswer, list[dict[str, Any]]]:
    asked = read(**body)
    answer = ResponsesAnswer(asked, asked.response_request(lambda content: content), 1)
    sent = list(answer.begin())
    for event in events:
        sent += answer.feed(event)
    return answer, sent


def test_a_text_is_a_turn_of_the_user() -> None:
    request = request_of(instructions="Be brief.")
    assert request.settings.instructions == "Be brief."
    (item,) = request.items
    assert isinstance(item, Message)
    assert (item.role, item.text) == ("user", "Hello")


def test_items_keep_their_order() -> None:
    request = request_of(
        input=[
            {"role": "developer", "content": "Be kind."},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:x"}],
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Yes?", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}", "id": "fc_1"},
            {"type": "function_call_output", "call_id": "c", "output": "18"},
        ]
    )
    user, assistant, call, output = request.items
    assert request.settings.instructions == "Be kind."
    assert user.parts[1] == ImagePart("data:x")
    assert assistant.role == "assistant"
    assert isinstance(call, ToolCall)
    assert isinstance(output, ToolOutput)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "reasoning"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": "y"}]}, "input[0].call_id"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.type"),
        ({"background": True}, "background"),
    ],
)
def test_what_cannot_be_read_or_honoured_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ContractError) as refused:
        request_of(**body)
    assert refused.value.param == param


def test_words_and_a_call_make_a_stream_that_the_official_types_take() -> None:
    answer, sent = answer_to(
        [
            TextDelta("One"),
            TextDelta(" moment."),
            ToolCallStarted("c", "weather"),
            ToolCallDelta("c", "{}"),
            ToolCallDone("c", "weather", "{}"),
            EngineDone(),
        ],
        tools=[TOOL],
    )
    events = [adapter.validate_python(event) for event in sent]
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(14))
    whole = Response.model_validate(answer.to_wire())
    assert whole.output_text == "One moment."
    assert whole.output == events[-1].response.output
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    assert len({item.id for item in whole.output}) == 2


def test_an_answer_that_is_cut_says_why() -> None:
    answer, sent = answer_to([TextDelta("On"), EngineDone("max_output_tokens")])
    assert sent[-1]["type"] == "response.incomplete"
    whole = Response.model_validate(answer.to_wire())
    assert whole.incomplete_details is not None
    assert whole.incomplete_details.reason == "max_output_tokens"
    assert whole.output[0].status == "incomplete"  # type: ignore[union-attr]  # a message


def test_a_stream_whose_engine_fails_ends_with_the_reason() -> None:
    answer, _ = answer_to([TextDelta("On")])
    (failed,) = answer.fail("server_error", "The models are gone.")
    event = adapter.validate_python(failed)
    assert event.type == "response.failed"
    assert event.response.error.message == "The models are gone."
