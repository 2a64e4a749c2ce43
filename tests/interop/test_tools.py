"""Tools of the service while audio flows: slow, failing, endless and enormous ones."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from voice.talk.client import Caller, CallerOptions
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

Say = Callable[[str], Recording]


def kinds_between(caller: Caller, start: str, end: str) -> list[tuple[float, dict[str, Any]]]:
    kinds = [event["type"] for _, event in caller.events]
    first = kinds.index(start)
    return caller.events[first : kinds.index(end, first)]


def followed_up(caller: Caller) -> bool:
    """True when a response that was created after the tool's output has been spoken to its end."""
    kinds = [event["type"] for _, event in caller.events]
    after = caller.events[kinds.index("response.mcp_call.completed") :]
    made = {event["response"]["id"] for _, event in after if event["type"] == "response.created"}
    return any(event["type"] == "response.done" and event["response"]["id"] in made for _, event in after)


async def test_audio_flows_and_speech_is_heard_while_a_slow_tool_runs(scripted: ServiceProcess, say: Say) -> None:
    """The agent says that it will look, the kitchen takes three seconds, the caller talks over it meanwhile."""
    async with Caller(CallerOptions(scripted.url, "slow-tool")) as caller:
        turn = caller.say(say("Is there butter in the soup?"))
        await caller.wait_for(
            lambda: any(e["type"] == "response.mcp_call.in_progress" for _, e in caller.events), 20, "a call"
        )
        await asyncio.sleep(0.5)
        caller.microphone.say(say("Hello, are you there?"))
        await caller.wait_for(lambda: any(use.output for use in turn.tools), 20, "the tool's output")
        await caller.wait_for(lambda: followed_up(caller), 20, "an answer after the tool's output")
    assert "butter" in (turn.tools[0].output or "")
    meanwhile = [
        event["type"]
        for _, event in kinds_between(caller, "response.mcp_call.in_progress", "response.mcp_call.completed")
    ]
    assert "input_audio_buffer.speech_started" in meanwhile
    assert caller.error_events == []


async def test_an_answer_before_a_slow_tool_has_no_gap(scripted: ServiceProcess, say: Say) -> None:
    async with Caller(CallerOptions(scripted.url, "slow-tool")) as caller:
        turn = await caller.ask(say("Is there butter in the soup?"))
    assert "butter" in turn.answer
    before = kinds_between(caller, "response.created", "response.mcp_call.completed")
    spoken = [at_s for at_s, event in before if event["type"] == "response.output_audio.delta"]
    assert spoken, "nothing was said before the call"
    gaps = [after - at_s for at_s, after in pairwise(spoken)]
    assert max(gaps, default=0) < 0.25


@pytest.mark.parametrize(("agent", "failed"), [("broken-tool", True), ("endless-tool", True), ("enormous-tool", False)])
async def test_a_bad_tool_is_an_output_and_the_session_goes_on(
    scripted: ServiceProcess, say: Say, agent: str, failed: bool
) -> None:
    async with Caller(CallerOptions(scripted.url, agent)) as caller:
        turn = await caller.ask(say("Please try it."), 20)
        assert [use.failed for use in turn.tools] == [failed]
        assert turn.tools[0].output
        assert len(turn.tools[0].output) < 100_000
        assert turn.answer
        again = await caller.ask(say("Thank you."), 20)
        assert again.answer
    assert caller.error_events == []
