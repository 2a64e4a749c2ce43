"""What a live session hears: long appends between which the others go on, and pauses that are judged beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from prometheus_client import CollectorRegistry

from tools.dispatch import Dispatcher
from transports.memory import MemoryTransport
from voice.activity import ActivityService
from voice.agent import Agent
from voice.audio.frames import CORE_RATE_HZ
from voice.engines.script import Script
from voice.engines.scripted import ScriptedEngine
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, SessionLimits
from voice.turn_judge import TurnJudge

SPEECH = b"\x00\x20" * CORE_RATE_HZ
HALF_A_SECOND = bytes(CORE_RATE_HZ)
PUSH_TO_TALK = '{"type":"session.update","session":{"type":"realtime","audio":{"input":{"turn_detection":null}}}}'
SEMANTIC = PUSH_TO_TALK.replace("null", '{"type":"semantic_vad"}')

Client = Callable[[MemoryTransport], Awaitable[None]]


class LoudIsVoice:
    """A gate that takes every loud window for speech."""

    def open_stream(self) -> None:
        """Nothing is remembered."""

    def reset(self, stream: None) -> None:
        """Nothing to forget."""

    def judge(self, streams: Sequence[None], windows: npt.NDArray[np.int16]) -> list[float]:
        return [float(np.abs(window).max() > 1000) for window in windows]


class FakeModel:
    def __init__(self, *answers: float) -> None:
        self._answers = iter(answers)
        self.heard_s: list[float] = []

    def judge(self, pcm_16k: npt.NDArray[np.int16]) -> float:
        self.heard_s.append(len(pcm_16k) / 16_000)
        answer = next(self._answers, None)
        if answer is None:
            raise RuntimeError("broken")
        return answer


async def run(
    client: Client, judge: TurnJudge | None = None, turn_detection: dict[str, Any] | None = None
) -> MemoryTransport:
    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    runtime = AgentRuntime(
        Agent("test", "scripted", turn_detection=turn_detection),
        lambda _: ScriptedEngine(Script(), sleep=at_once),
        Dispatcher(()),
    )
    manager = SessionManager(
        {"test": runtime},
        "test",
        ActivityService(None, gate=LoudIsVoice()),
        SessionLimits(),
        Metrics(CollectorRegistry()),
        judge=judge,
    )
    transport = MemoryTransport()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(manager.admit(manager.resolve(None)).run(transport))
        await client(transport)
        transport.hang_up()
    return transport


def sent(transport: MemoryTransport, kind: str) -> list[Any]:
    return [event for event in transport.sent if event.type == kind]


@pytest.mark.parametrize("format_name", ["audio/pcm", "audio/pcmu"])
async def test_a_long_append_is_heard_whole_and_the_loop_goes_on_meanwhile(format_name: str) -> None:
    turns = 0

    async def client(transport: MemoryTransport) -> None:
        nonlocal turns
        rate = ',"rate":24000' if format_name == "audio/pcm" else ""
        audio_format = f'"format":{{"type":"{format_name}"{rate}}},"turn_detection":null'
        transport.push_text(PUSH_TO_TALK.replace('"turn_detection":null', audio_format))
        await transport.until("session.updated")
        transport.push_audio(bytes(480_000))
        transport.push_text('{"type":"input_audio_buffer.commit"}')
        while not sent(transport, "conversation.item.done"):
            turns += 1
            await asyncio.sleep(0)

    transport = await run(client)
    assert turns > 480_000 // 8192
    assert not sent(transport, "error")


async def test_what_is_sent_faster_than_it_is_judged_is_not_lost() -> None:
    async def client(transport: MemoryTransport) -> None:
        await transport.until("session.created")
        transport.push_audio((SPEECH + HALF_A_SECOND) * 80)
        await transport.until("input_audio_buffer.committed", 80)

    await run(client)


async def test_a_turn_ends_when_the_judge_takes_it_for_complete() -> None:
    model = FakeModel(0.1, 0.9)
    judge = TurnJudge(model)

    async def client(transport: MemoryTransport) -> None:
        transport.push_text(SEMANTIC)
        transport.push_audio(SPEECH + HALF_A_SECOND + SPEECH + HALF_A_SECOND)
        await transport.until("response.done")

    transport = await run(client, judge)
    judge.close()
    (committed,) = sent(transport, "input_audio_buffer.committed")
    assert committed.item_id == sent(transport, "input_audio_buffer.speech_started")[0].item_id
    first_s, second_s = model.heard_s
    assert 1.1 < first_s < 1.4
    assert 2.5 < second_s < 2.9


async def test_a_judge_that_fails_leaves_the_turn_to_its_longest_wait() -> None:
    judge = TurnJudge(FakeModel())

    async def client(transport: MemoryTransport) -> None:
        transport.push_text(SEMANTIC)
        transport.push_audio(SPEECH + HALF_A_SECOND * 9)
        await transport.until("response.done")

    transport = await run(client, judge)
    judge.close()
    (stopped,) = sent(transport, "input_audio_buffer.speech_stopped")
    assert stopped.audio_end_ms >= 4900


@pytest.mark.parametrize("judges", [True, False])
async def test_an_agent_may_want_semantic_turns_and_is_served_by_silence_where_there_is_no_judge(judges: bool) -> None:
    judge = TurnJudge(FakeModel()) if judges else None
    wanted = {"type": "semantic_vad", "eagerness": "low", "interrupt_response": False}

    async def client(transport: MemoryTransport) -> None:
        await transport.until("session.created")

    transport = await run(client, judge, turn_detection=wanted)
    if judge is not None:
        judge.close()
    detection = sent(transport, "session.created")[0].session["audio"]["input"]["turn_detection"]
    assert detection["interrupt_response"] is False
    assert detection["type"] == ("semantic_vad" if judges else "server_vad")
    assert detection.get("eagerness") == ("low" if judges else None)


async def test_without_a_judge_the_client_is_told() -> None:
    async def client(transport: MemoryTransport) -> None:
        transport.push_text(SEMANTIC)
        await transport.until("error")

    transport = await run(client)
    assert "not on this machine" in sent(transport, "error")[0].error.message
