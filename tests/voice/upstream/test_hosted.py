"""Hosted tools: what the upstream runs itself is shown as it goes on, and its answer is not lost."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from voice.engines.port import (
    EngineDone,
    EngineSettings,
    HostedCall,
    MessageStarted,
    ResponseRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineUnavailable
from voice.session.items import Message, TextPart, ToolCall
from voice.tooling import ToolResult, ToolSpec
from voice.upstream.answering import Answering
from voice.upstream.line import Line
from voice.upstream.options import UpstreamOptions

TOOLS = ({"type": "mcp", "server_label": "shop", "server_url": "https://shop.example/mcp"},)
SETTINGS = EngineSettings(instructions="Be brief.")
USER = Message("item_1", "user", (TextPart("hello"),))
ASK = ResponseRequest("resp_1", (USER,), SETTINGS)
CALL = {"type": "mcp_call", "id": "mcp_1", "server_label": "shop", "name": "price", "arguments": ""}
WHOLE = CALL | {"arguments": "{}"}
BEGUN = [ToolCallStarted("mcp_1", "price", "shop"), ToolCallDelta("mcp_1", "{}"), ToolCallDone("mcp_1", "price", "{}")]
RUNNING = HostedCall("mcp_1", "running")
OVER = HostedCall("mcp_1", "over", ToolResult("3 euros"))


class Upstream:
    """The other side of a line."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.told: list[Any] = []
        self.line = Line(UpstreamOptions("ws://x/v1", tools=TOOLS), self.events.append)
        self.line.on_notice = self.told.append
        self.line.configure(SETTINGS)

    def create(self, response_id: str, answers: str | None = None, conversation_id: str | None = "conv_1") -> None:
        metadata = {"voice_response_id": answers} if answers else None
        response = {"id": response_id, "conversation_id": conversation_id, "metadata": metadata}
        self.line.receive({"type": "response.created", "response": response})

    def of_item(self, kind: str, item: dict[str, Any], response_id: str | None = None) -> None:
        event: dict[str, Any] = {"type": kind, "item": item}
        self.line.receive(event | ({"response_id": response_id} if response_id else {}))

    def call(self, response_id: str = "r_1") -> None:
        self.of_item("response.output_item.added", CALL, response_id)
        self.of_item("conversation.item.added", CALL)
        ids = {"response_id": response_id, "item_id": "mcp_1"}
        self.line.receive({"type": "response.mcp_call_arguments.delta", "delta": "{}"} | ids)
        self.line.receive({"type": "response.mcp_call_arguments.done", "arguments": "{}"} | ids)

    def run(self) -> None:
        self.line.receive({"type": "response.mcp_call.in_progress", "item_id": "mcp_1"})

    def end(self, **result: Any) -> None:
        self.line.receive({"type": "response.mcp_call.completed", "item_id": "mcp_1"})
        self.of_item("conversation.item.done", WHOLE | (result or {"output": "3 euros"}))

    def ask(self) -> None:
        request = {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "shop", "name": "price"}
        self.of_item("conversation.item.added", request | {"arguments": "{}"})

    def done(self, response_id: str = "r_1", status: str = "completed") -> None:
        self.line.receive({"type": "response.done", "response": {"id": response_id, "status": status}})

    def say(self, words: str, response_id: str) -> None:
        ids = {"response_id": response_id, "item_id": "item_t"}
        self.line.receive({"type": "response.output_text.delta", "delta": words} | ids)

    def answer_with_a_call(self) -> None:
        """Be asked, answer by a call of the hosted tool, and be done with both."""
        self.line.ask(ASK)
        self.create("r_1", "resp_1")
        self.call()
        self.end()
        self.done()

    def sent(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


async def drain(answering: Answering) -> list[Any]:
    events: list[Any] = []
    while not events or not isinstance(events[-1], EngineDone):
        events.append(await answering.next(1))
    return events


def following_up() -> ResponseRequest:
    call = ToolCall("mcp_ours", "mcp_1", "price", "{}", server_label="shop", output="3 euros")
    return ResponseRequest("resp_2", (USER, call), SETTINGS)


async def test_a_call_is_part_of_the_answer_while_that_is_read(upstream):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.run()
    upstream.end()
    upstream.say("It is 3 euros.", "r_1")
    upstream.done()
    words = [MessageStarted("item_t"), TextDelta("It is 3 euros.")]
    assert await drain(answering) == [*BEGUN, RUNNING, OVER, *words, EngineDone()]
    assert upstream.told == []


async def test_what_comes_of_a_call_after_its_answer_is_told(upstream):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.done()
    assert await drain(answering) == [*BEGUN, EngineDone()]
    assert upstream.line.is_answering, "a tool still runs there"
    upstream.run()
    upstream.end()
    assert upstream.told == [RUNNING, OVER]
    assert not upstream.line.is_answering


async def test_what_comes_before_the_end_was_read_stands_before_the_end(upstream):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.done()
    upstream.end()
    assert await drain(answering) == [*BEGUN, RUNNING, OVER, EngineDone()]


async def test_a_call_of_an_answer_that_nobody_reads_any_more_goes_on(upstream):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.run()
    for _ in BEGUN:
        await answering.next(1)
    upstream.line.leave(ASK, answering)
    upstream.end()
    assert upstream.told == [RUNNING, OVER]


@pytest.mark.parametrize(
    ("error", "result"),
    [
        ({"type": "tool_execution_error", "message": "sold out"}, ToolResult("sold out", True)),
        ({"type": "http_error", "code": 502, "message": "bad"}, ToolResult("bad", True, "http_error", 502)),
        ({"type": "protocol_error", "code": -1, "message": "bad"}, ToolResult("bad", True, "protocol_error", -1)),
        ({"type": "http_error", "message": "no code"}, ToolResult("no code", True)),
    ],
)
async def test_why_a_call_failed_is_told(upstream, error, result):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.end(error=error)
    upstream.done()
    assert HostedCall("mcp_1", "over", result) in await drain(answering)


async def test_an_approval_is_asked_for_and_answered_there(upstream):
    answering = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.ask()
    upstream.done()
    assert await drain(answering) == [*BEGUN, HostedCall("mcp_1", "asks"), EngineDone()]
    assert upstream.line.approve("mcp_1", approve=True, reason=None)
    item = upstream.sent("conversation.item.create")[-1]["item"]
    assert (item["type"], item["approval_request_id"], item["approve"]) == ("mcp_approval_response", "mcpr_1", True)
    upstream.end()
    assert upstream.told == [RUNNING, OVER]
    assert not upstream.line.approve("mcp_1", approve=True, reason=None)


async def test_an_approval_that_nobody_asked_for_is_not_sent(upstream):
    assert not upstream.line.approve("mcp_9", approve=True, reason=None)
    assert not upstream.sent("conversation.item.create")


async def test_a_lost_line_ends_its_calls(upstream):
    upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.run()
    upstream.line.lose(EngineUnavailable("gone"))
    (lost,) = upstream.told
    assert (lost.call_id, lost.state, lost.result.failed) == ("mcp_1", "over", True)


async def test_the_upstream_holds_the_call_already_and_is_told_nothing_of_it(upstream):
    upstream.answer_with_a_call()
    upstream.line.ask(following_up())
    assert [event["item"]["id"] for event in upstream.sent("conversation.item.create")] == ["item_1"]
    assert not upstream.sent("conversation.item.delete")


async def test_another_upstream_is_told_the_call_and_its_output(upstream):
    upstream.line.ask(following_up())
    kinds = [event["item"]["type"] for event in upstream.sent("conversation.item.create")]
    assert kinds == ["message", "function_call", "function_call_output"]


async def test_an_upstream_that_goes_on_by_itself_is_not_asked_again(upstream):
    upstream.answer_with_a_call()
    upstream.create("r_2")
    upstream.say("It is 3 euros.", "r_2")
    await upstream.line.make_room(following_up(), 1)
    answering = upstream.line.ask(following_up())
    upstream.done("r_2")
    assert await drain(answering) == [MessageStarted("item_t"), TextDelta("It is 3 euros."), EngineDone()]
    assert len(upstream.sent("response.create")) == 1
    assert not upstream.line.is_answering


async def test_an_upstream_that_goes_on_by_itself_while_it_is_asked_answers_once(upstream):
    upstream.answer_with_a_call()
    await upstream.line.make_room(following_up(), 1)
    answering = upstream.line.ask(following_up())
    upstream.create("r_2")
    upstream.say("It is", "r_2")
    error = {"code": "conversation_already_has_active_response", "message": "busy", "event_id": "resp_2"}
    upstream.line.receive({"type": "error", "error": error})
    upstream.say(" 3 euros.", "r_2")
    upstream.done("r_2")
    assert await drain(answering) == [
        MessageStarted("item_t"), TextDelta("It is"), TextDelta(" 3 euros."), EngineDone()
    ]  # fmt: skip
    assert not upstream.line.is_answering


async def test_an_upstream_that_has_answered_by_itself_before_it_hears_the_question_is_heard_once(upstream):
    upstream.answer_with_a_call()
    await upstream.line.make_room(following_up(), 1)
    answering = upstream.line.ask(following_up())
    upstream.create("r_2")
    upstream.say("It is 3 euros.", "r_2")
    upstream.done("r_2")
    assert await drain(answering) == [MessageStarted("item_t"), TextDelta("It is 3 euros."), EngineDone()]
    upstream.create("r_3", "resp_2")  # now it has heard the question
    assert upstream.sent("response.cancel") == [{"type": "response.cancel", "response_id": "r_3"}]
    assert upstream.line.is_answering
    upstream.say("It is", "r_3")
    upstream.done("r_3", "cancelled")
    assert not upstream.line.is_answering


async def test_who_asks_beside_the_conversation_is_not_given_what_the_upstream_says_in_it(upstream):
    upstream.answer_with_a_call()
    beside = upstream.line.ask(replace(following_up(), in_conversation=False))
    upstream.create("r_2")
    upstream.say("It is 3 euros.", "r_2")
    upstream.create("r_3", "resp_2", conversation_id=None)
    upstream.say("Beside.", "r_3")
    upstream.done("r_3")
    assert await drain(beside) == [MessageStarted("item_t"), TextDelta("Beside."), EngineDone()]
    await upstream.line.make_room(following_up(), 1)
    answering = upstream.line.ask(following_up())
    upstream.done("r_2")
    assert await drain(answering) == [MessageStarted("item_t"), TextDelta("It is 3 euros."), EngineDone()]


async def test_a_refusal_of_what_was_asked_besides_does_not_end_the_answer_that_goes_on(upstream):
    upstream.answer_with_a_call()
    await upstream.line.make_room(following_up(), 1)
    answering = upstream.line.ask(following_up())
    upstream.create("r_2")
    error = {"code": "rate_limit_exceeded", "message": "slowly", "event_id": "resp_2"}
    upstream.line.receive({"type": "error", "error": error})
    assert upstream.line.is_answering
    upstream.say("It is 3 euros.", "r_2")
    upstream.done("r_2")
    assert await drain(answering) == [MessageStarted("item_t"), TextDelta("It is 3 euros."), EngineDone()]


async def test_what_begins_by_itself_while_the_end_of_another_is_awaited_is_stopped_as_well(upstream):
    first = upstream.line.ask(ASK)
    upstream.create("r_1", "resp_1")
    upstream.call()
    upstream.line.leave(ASK, first)
    turn = ResponseRequest("resp_3", (USER, Message("item_3", "user", (TextPart("wait"),))), SETTINGS)
    waiting = asyncio.create_task(upstream.line.make_room(turn, 1))
    await asyncio.sleep(0)
    upstream.end()
    upstream.done("r_1", "cancelled")
    upstream.create("r_2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert upstream.sent("response.cancel")[-1] == {"type": "response.cancel", "response_id": "r_2"}
    assert not waiting.done()
    assert upstream.line.is_busy
    upstream.done("r_2", "cancelled")
    await waiting
    assert not upstream.line.is_busy


async def test_an_upstream_that_goes_on_by_itself_is_given_a_moment_to(upstream):
    upstream.answer_with_a_call()
    making_room = asyncio.create_task(upstream.line.make_room(following_up(), 1))
    await asyncio.sleep(0)
    assert not making_room.done()
    upstream.create("r_2")
    await making_room
    upstream.line.ask(following_up())
    assert len(upstream.sent("response.create")) == 1


async def test_what_the_upstream_began_by_itself_is_stopped_when_the_caller_has_gone_on(upstream):
    upstream.answer_with_a_call()
    upstream.create("r_2")
    upstream.of_item("response.output_item.added", {"type": "message", "id": "item_t"}, "r_2")
    turn = ResponseRequest("resp_3", (*following_up().items, Message("item_3", "user", (TextPart("wait"),))), SETTINGS)
    waiting = asyncio.create_task(upstream.line.make_room(turn, 1))
    await asyncio.sleep(0)
    assert upstream.sent("response.cancel") == [{"type": "response.cancel", "response_id": "r_2"}]
    assert not waiting.done()
    upstream.done("r_2", "cancelled")
    await waiting
    upstream.line.ask(turn)
    assert [event["item_id"] for event in upstream.sent("conversation.item.delete")] == ["item_t"]


async def test_hosted_tools_stay_when_a_response_has_tools_of_its_own(upstream):
    settings = replace(SETTINGS, tools=(ToolSpec("now", "", {}),))
    upstream.line.ask(ResponseRequest("resp_9", (USER,), settings))
    named = upstream.sent("response.create")[-1]["response"]["tools"]
    assert [tool["type"] for tool in named] == ["function", "mcp"]
