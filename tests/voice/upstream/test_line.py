"""One session at an upstream: what is sent and what comes back find each other by their ids."""

import asyncio
import base64
from typing import Any

import pytest

from voice.engines.port import (
    EngineComplaint,
    EngineDone,
    EngineSettings,
    MessageStarted,
    RateLimitLeft,
    RateLimitsReported,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    TranscriptDelta,
    TranscriptDone,
)
from voice.errors import EngineError, EngineUnavailable
from voice.session.items import Message, TextPart
from voice.upstream.answering import Answering
from voice.upstream.line import Line
from voice.upstream.options import UpstreamOptions

SETTINGS = EngineSettings(instructions="Be brief.")
ASK = ResponseRequest("resp_ours", (Message("item_1", "user", (TextPart("hello"),)),), SETTINGS)


class Sent:
    """A line whose events are kept."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.line = Line(UpstreamOptions("ws://x/v1"), self.events.append)
        self.line.configure(SETTINGS)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def created(self, response_id: str = "resp_theirs", answers: str = "resp_ours") -> None:
        response = {"id": response_id, "metadata": {"voice_response_id": answers}}
        self.line.receive({"type": "response.created", "response": response})

    def done(self, response_id: str = "resp_theirs", status: str = "completed") -> None:
        self.line.receive({"type": "response.done", "response": {"id": response_id, "status": status}})

    def text(self, words: str, response_id: str = "resp_theirs") -> None:
        event = {"type": "response.output_text.delta", "response_id": response_id, "item_id": "item_t", "delta": words}
        self.line.receive(event)


@pytest.fixture
async def sent() -> Sent:
    return Sent()


async def drain(answering: Answering) -> list[Any]:
    events = []
    while True:
        events.append(await answering.next(1))
        if isinstance(events[-1], EngineDone):
            return events


async def test_an_answer_is_found_again_by_its_metadata(sent):
    answering = sent.line.ask(ASK)
    assert sent.types() == ["session.update", "conversation.item.create", "response.create"]
    sent.created("resp_other", answers="resp_of_somebody_else")
    sent.text("not ours", "resp_other")
    sent.created()
    sent.text("Hello.")
    sent.done()
    assert await drain(answering) == [MessageStarted("item_t"), TextDelta("Hello."), EngineDone()]
    assert not sent.line.is_answering


async def test_answers_beside_each_other_do_not_mix(sent):
    first = sent.line.ask(ASK)
    beside = sent.line.ask(ResponseRequest("resp_beside", ASK.items, SETTINGS, in_conversation=False))
    sent.created("resp_b", answers="resp_beside")
    sent.created("resp_a")
    sent.text("A", "resp_a")
    sent.text("B", "resp_b")
    sent.done("resp_b")
    sent.done("resp_a")
    assert TextDelta("A") in await drain(first)
    assert TextDelta("B") in await drain(beside)


async def test_what_is_appended_while_it_is_spoken_is_committed_under_the_upstreams_name(sent):
    sent.line.grow("item_7", b"\1\0", is_first=True)
    sent.line.grow("item_7", b"\2\0", is_first=False)
    sent.line.commit("item_7", b"\1\0\2\0")
    assert sent.types()[1:] == ["input_audio_buffer.append"] * 2 + ["input_audio_buffer.commit"]
    sent.line.receive({"type": "input_audio_buffer.committed", "item_id": "item_theirs"})
    kind = "conversation.item.input_audio_transcription"
    sent.line.receive({"type": f"{kind}.delta", "item_id": "item_theirs", "delta": "he"})
    sent.line.receive({"type": f"{kind}.completed", "item_id": "item_theirs", "transcript": "hello"})
    words = [event async for event in sent.line.transcript("item_7", 1)]
    assert words == [TranscriptDelta("he"), TranscriptDone("hello")]


async def test_an_utterance_whose_beginning_was_missed_is_handed_over_whole(sent):
    sent.line.grow("item_7", b"\2\0", is_first=False)
    sent.line.commit("item_7", b"\1\0\2\0")
    assert sent.types()[1:] == ["input_audio_buffer.append", "input_audio_buffer.commit"]
    assert base64.b64decode(sent.events[1]["audio"]) == b"\1\0\2\0"


async def test_the_next_utterance_clears_what_was_left_of_the_last(sent):
    sent.line.grow("item_7", b"\1\0", is_first=True)
    sent.line.grow("item_8", b"\1\0", is_first=True)
    assert sent.types()[1:] == [
        "input_audio_buffer.append", "input_audio_buffer.clear", "input_audio_buffer.append"
    ]  # fmt: skip


async def test_a_commit_that_is_refused_is_told_with_the_next_answer(sent):
    item = Message("item_7", "user", (TextPart("x"),))
    sent.line.commit("item_7", b"\1\0")
    error = {"code": "input_audio_buffer_commit_empty", "message": "too small", "event_id": "item_7"}
    sent.line.receive({"type": "error", "error": error})
    assert "item_7" not in sent.line.mirror
    sent.line.seed([item])
    assert sent.types()[-1] == "conversation.item.create"


async def test_an_error_about_an_answer_ends_that_answer(sent):
    answering = sent.line.ask(ASK)
    sent.line.receive({"type": "error", "error": {"code": "server_error", "message": "no", "event_id": "resp_ours"}})
    with pytest.raises(EngineUnavailable):
        await answering.next(1)
    assert not sent.line.is_answering


async def test_an_error_about_nothing_that_waits_ends_nothing(sent):
    answering = sent.line.ask(ASK)
    sent.line.receive({"type": "error", "error": {"code": "unsupported_content_type", "message": "no images"}})
    sent.created()
    sent.done()
    assert await drain(answering) == [EngineDone()]


async def test_cancelling_waits_for_the_end_before_the_next_is_asked(sent):
    answering = sent.line.ask(ASK)
    sent.created()
    sent.line.leave(ASK, answering)
    assert sent.events[-1] == {"type": "response.cancel", "response_id": "resp_theirs"}
    waiting = asyncio.create_task(sent.line.wait_idle(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    sent.done(status="cancelled")
    await waiting


async def test_an_upstream_that_does_not_stop_is_left(sent):
    answering = sent.line.ask(ASK)
    sent.created()
    sent.line.leave(ASK, answering)
    with pytest.raises(EngineUnavailable, match="does not end"):
        await sent.line.make_room(ASK, 0.0)
    assert not sent.line.is_usable


async def test_an_answer_that_was_broken_off_costs_what_it_cost(sent):
    counted: list[Any] = []
    sent.line.on_usage = counted.append
    answering = sent.line.ask(ASK)
    sent.created()
    sent.line.leave(ASK, answering)
    usage = {"input_token_details": {"text_tokens": 9}, "output_token_details": {"audio_tokens": 4}}
    sent.line.receive(
        {"type": "response.done", "response": {"id": "resp_theirs", "status": "cancelled", "usage": usage}}
    )
    assert counted == [TokenUsage(input_text=9, output_audio=4)]


async def test_cancelling_what_is_over_says_nothing(sent):
    answering = sent.line.ask(ASK)
    sent.created()
    sent.done()
    sent.line.leave(ASK, answering)
    assert "response.cancel" not in sent.types()


async def test_a_lost_line_fails_everything_that_waits(sent):
    answering = sent.line.ask(ASK)
    sent.line.commit("item_7", b"\1\0")
    words = asyncio.create_task(anext(sent.line.transcript("item_7", 1)))
    await asyncio.sleep(0)
    sent.line.lose(EngineUnavailable("gone"))
    with pytest.raises(EngineUnavailable, match="gone"):
        await answering.next(1)
    with pytest.raises(EngineError):
        await words


async def test_limits_come_through(sent):
    told: list[Any] = []
    sent.line.on_notice = told.append
    limit = {"name": "tokens", "limit": 100, "remaining": 60, "reset_seconds": 1.5}
    sent.line.receive({"type": "rate_limits.updated", "rate_limits": [limit]})
    assert told == [RateLimitsReported((RateLimitLeft("tokens", 100, 60, 1.5),))]


async def test_settings_that_are_not_taken_are_told(sent):
    told: list[Any] = []
    sent.line.on_notice = told.append
    (update,) = sent.events
    error = {"code": "invalid_value", "message": "Invalid voice.", "event_id": update["event_id"]}
    sent.line.receive({"type": "error", "error": error})
    assert told == [
        EngineComplaint("invalid_value", "The upstream does not take the session's settings: Invalid voice.")
    ]
    assert sent.line.is_usable


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error"},
        {"type": "error", "error": None},
        {"type": "rate_limits.updated", "rate_limits": [{}]},
        {"type": "response.created"},
        {"type": "response.done"},
        {"type": "input_audio_buffer.speech_started"},
        {"type": "input_audio_buffer.committed"},
        {"type": "session.created"},
        {"type": "something.new"},
    ],
)
async def test_what_lacks_its_fields_is_passed_over(sent, event):
    sent.line.receive(event)
    assert sent.line.is_usable
