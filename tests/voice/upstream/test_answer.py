"""An upstream's events become the port's; what cannot be read is an error of the upstream's, never of ours."""

import base64

import pytest

from voice.engines.port import (
    AudioDelta,
    EngineDone,
    MessageStarted,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable
from voice.upstream.answer import Answer


def audio(pcm: bytes, item_id: str = "item_1") -> dict[str, object]:
    return {"type": "response.output_audio.delta", "item_id": item_id, "delta": base64.b64encode(pcm).decode()}


def done(status: str, **details: object) -> dict[str, object]:
    return {"type": "response.done", "response": {"id": "resp_1", "status": status, **details}}


def test_a_message_is_announced_once_whatever_comes_first():
    answer = Answer()
    first = answer.receive({"type": "response.output_audio_transcript.delta", "item_id": "item_1", "delta": "Hello"})
    assert first == [MessageStarted("item_1"), TextDelta("Hello")]
    assert answer.receive({"type": "response.output_item.added", "item": {"type": "message", "id": "item_1"}}) == []


def test_a_run_of_audio_keeps_its_length_and_half_a_sample_waits():
    answer = Answer()
    _, first = answer.receive(audio(b"\1\0\2\0\3"))
    (second,) = answer.receive(audio(b"\0"))
    assert isinstance(first, AudioDelta)
    assert isinstance(second, AudioDelta)
    assert (first.frame.pcm, second.frame.pcm) == (b"\1\0\2\0", b"\3\0")
    assert second.frame.pts == 2


def test_arguments_that_come_before_their_call_wait_for_it():
    answer = Answer()
    assert answer.receive({"type": "response.function_call_arguments.delta", "item_id": "item_2", "delta": "{"}) == []
    call = {"type": "function_call", "id": "item_2", "call_id": "call_1", "name": "book"}
    assert answer.receive({"type": "response.output_item.added", "item": call}) == [
        ToolCallStarted("call_1", "book"),
        ToolCallDelta("call_1", "{"),
    ]


def test_a_call_that_was_never_announced_is_a_call():
    event = {"type": "response.function_call_arguments.done", "item_id": "i", "call_id": "c", "name": "n"}
    assert Answer().receive(event | {"arguments": "{}"}) == [ToolCallStarted("c", "n"), ToolCallDone("c", "n", "{}")]


def test_usage_with_cached_tokens_comes_through():
    usage = {
        "input_token_details": {
            "text_tokens": 10,
            "audio_tokens": 20,
            "cached_tokens_details": {"text_tokens": 3, "audio_tokens": 4},
        },
        "output_token_details": {"text_tokens": 5, "audio_tokens": 6},
    }
    assert Answer().receive(done("completed", usage=usage)) == [
        TokenUsage(10, 20, 0, cached_text=3, cached_audio=4, output_text=5, output_audio=6),
        EngineDone(),
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_quota", EngineRefused),
        ("rate_limit_exceeded", EngineOverloaded),
        ("server_error", EngineUnavailable),
        (None, EngineUnavailable),
    ],
)
def test_a_failed_response_says_whether_to_ask_again(code, kind):
    with pytest.raises(kind):
        Answer().receive(done("failed", status_details={"error": {"code": code, "message": "no"}}))


def test_what_ends_for_a_reason_says_which():
    assert Answer().receive(done("incomplete", status_details={"reason": "content_filter"})) == [
        EngineDone("content_filter")
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.output_audio.delta", "item_id": "item_1", "delta": "not base64!"},
        {"type": "response.output_audio.delta", "delta": ""},
        {"type": "response.output_item.added", "item": None},
        {"type": "response.done", "response": None},
    ],
)
def test_what_cannot_be_read_is_the_upstreams_fault(event):
    with pytest.raises(EngineProtocolError):
        Answer().receive(event)


def test_a_name_that_would_break_our_frames_is_not_taken():
    event = {"type": "response.output_text.delta", "item_id": 'x","y":"', "delta": "Hi"}
    assert Answer().receive(event) == [MessageStarted(None), TextDelta("Hi")]
