"""Chat completions: what clients send becomes items of ours, engine events become what clients read."""

import base64
import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from voice.engines.port import EngineDone, TextDelta, TokenUsage, ToolCallDelta, ToolCallDone, ToolCallStarted
from voice.errors import ContractError
from voice.rest.chat import ChatAnswer, ChatRequest
from voice.session.items import AudioPart, ImagePart, Message, TextPart, ToolCall, ToolOutput

USER = {"role": "user", "content": "Hello"}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": {"type": "object"}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def read(**body: Any) -> ChatRequest:
    return ChatRequest.from_json(json.dumps({"model": "m", "messages": [USER], **body}).encode())


def no_audio(content: bytes) -> bytes:
    raise ValueError("it cannot be decoded")


def request_of(**body: Any) -> Any:
    return read(**body).response_request(no_audio)


def test_a_conversation_keeps_its_order_and_its_roles() -> None:
    request = request_of(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "18"},
            {"role": "system", "content": "Now in French."},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
        ],
        tools=[WEATHER],
    )
    assert request.settings.instructions == "Be brief.\n\nBe kind."
    assert request.settings.output_modality == "text"
    assert not request.in_conversation
    user, call, output, system, shown = request.items
    assert isinstance(user, Message)
    assert user.parts == (TextPart("Hello"),)
    assert isinstance(call, ToolCall)
    assert (call.call_id, call.name, call.arguments) == ("call_1", "weather", "{}")
    assert isinstance(output, ToolOutput)
    assert output.output == "18"
    assert (system.role, system.text) == ("system", "Now in French.")
    assert shown.parts == (ImagePart("data:image/png;base64,AA"),)
    assert len({item.id for item in request.items}) == 5


def test_a_recording_becomes_speech_of_the_user() -> None:
    data = base64.b64encode(b"file").decode()
    content = [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]
    request = read(messages=[{"role": "user", "content": content}]).response_request(lambda content: content * 600)
    (part,) = request.items[0].parts  # type: ignore[union-attr]  # a message
    assert part == AudioPart(b"file" * 600, 50)


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
def test_the_choice_of_a_tool_is_taken(given: Any, choice: str) -> None:
    settings = request_of(tools=[WEATHER], tool_choice=given).settings
    assert settings.tool_choice == choice
    assert settings.tools[0].description == "of a city"


def test_the_newer_limit_goes_before_the_older() -> None:
    assert request_of(max_tokens=5, max_completion_tokens=7).settings.max_output_tokens == 7
    assert request_of(max_tokens=5).settings.max_output_tokens == 5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "y"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "%"}}]}]},
            "messages[0].content[0].input_audio.data",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "no"}}}, "tool_choice"),
        ({"n": 2}, "n"),
        ({"stop": "END"}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"modalities": ["text", "audio"]}, "modalities[1]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": 5}, "model"),
    ],
)
def test_what_cannot_be_read_or_honoured_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ContractError) as refused:
        request_of(**body)
    assert refused.value.param == param


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError):
        ChatRequest.from_json(body)


def test_what_other_services_know_is_let_pass() -> None:
    assert read(temperature=0.5, seed=7, user="u", store=False).model == "m"


def test_words_are_streamed_and_kept() -> None:
    answer = ChatAnswer(request_of(), "m", 1)
    chunks = [answer.begin()]
    for event in (TextDelta("Hi"), TextDelta(" there."), TokenUsage(input_text=9, output_text=3), EngineDone()):
        chunks += answer.feed(event)
    chunks.append(answer.usage_chunk())
    parsed = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in chunks]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in parsed if chunk.choices) == "Hi there."
    assert [chunk.choices[0].finish_reason for chunk in parsed if chunk.choices] == [None, None, None, "stop"]
    assert parsed[-1].usage is not None
    assert parsed[-1].usage.total_tokens == 12
    whole = ChatCompletion.model_validate(answer.to_wire(), strict=True)
    assert whole.choices[0].message.content == "Hi there."


def test_calls_are_streamed_and_kept() -> None:
    answer = ChatAnswer(request_of(tools=[WEATHER]), "m", 1)
    chunks: list[dict[str, Any]] = []
    for event in (
        ToolCallStarted("a", "weather"),
        ToolCallDelta("a", '{"city":'),
        ToolCallDelta("a", '"Oslo"}'),
        ToolCallDone("a", "weather", '{"city":"Oslo"}'),
        ToolCallStarted("b", "weather"),
        ToolCallDelta("b", "{}"),
        ToolCallDone("b", "weather", "{}"),
        EngineDone(),
    ):
        chunks += answer.feed(event)
    joined = {0: "", 1: ""}
    for chunk in map(ChatCompletionChunk.model_validate, chunks):
        for call in chunk.choices[0].delta.tool_calls or []:
            assert call.function is not None
            joined[call.index] += call.function.arguments or ""
    assert joined == {0: '{"city":"Oslo"}', 1: "{}"}
    whole = ChatCompletion.model_validate(answer.to_wire(), strict=True)
    assert whole.choices[0].finish_reason == "tool_calls"
    assert [call.id for call in whole.choices[0].message.tool_calls or []] == ["a", "b"]


@pytest.mark.parametrize(
    ("reason", "shown"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("completed", "stop")]
)
def test_why_an_answer_ends_is_said(reason: Any, shown: str) -> None:
    answer = ChatAnswer(request_of(), "m", 1)
    list(answer.feed(EngineDone(reason)))
    assert answer.to_wire()["choices"][0]["finish_reason"] == shown
