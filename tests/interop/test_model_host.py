"""The model host dies in mid-answer: the session stays, says so, and answers the next turn."""

import os
import signal
from collections.abc import Callable

import psutil

from voice.talk.client import Caller, CallerOptions
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess


def model_host(service: ServiceProcess) -> psutil.Process:
    """The child that holds the models: the largest one."""
    children = psutil.Process(service.pid).children(recursive=True)
    return max(children, key=lambda child: child.memory_info().rss)


async def test_a_killed_model_host_costs_one_answer(cascade: ServiceProcess, say: Callable[[str], Recording]) -> None:
    session = {"instructions": "You tell long stories of many sentences."}
    async with Caller(CallerOptions(cascade.url, "gpt-realtime", session=session)) as caller:
        turn = caller.say(say("Tell me a long story about a ship."))
        await caller.wait_for(lambda: turn.first_token_s is not None, 30, "the first words")
        host = model_host(cascade)
        os.kill(host.pid, signal.SIGKILL)
        await caller.wait_for(lambda: turn.answered, 30, "the end of the broken answer")
        assert turn.failure or caller.error_events
        done = next(event["response"] for _, event in caller.events if event["type"] == "response.done")
        assert done["status"] == "failed"
        assert done["status_details"]["error"]["code"]
        again = await caller.ask(say("Hello, are you still there?"), 60)
        assert again.answer
        assert again.failure is None
    assert model_host(cascade).pid != host.pid
