"""Two instances in a row, the second one with the embedded models: people are understood and answered through both."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess, free_port

Frame = dict[str, Any]
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceProcess, int]]:
    """The first instance, and the port at which it looks for its upstream."""
    port, path = free_port(), tmp_path_factory.mktemp("front") / "config.yaml"
    line = f"type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: gpt-realtime"
    # Two instances on a machine that may be busy.
    slow = "connect_s: 10, answer_s: 20, next_s: 20, give_up_s: 20, words_after_s: 20"
    path.write_text(
        f"engines: {{ours: {{{line}, {slow}}}, upstream: {{{line}, {slow}, turns: upstream}}}}\n"
        "agents: {ours: {engine: ours}, upstream: {engine: upstream}}\naliases: {gpt-realtime: ours}\n"
        "log: {level: warning}\n"
    )
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service, port


def of(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == kind]


def words(frames: list[Frame]) -> str:
    return " ".join(frame["transcript"] for frame in of(frames, "response.output_audio_transcript.done"))


def cuts(frames: list[Frame]) -> list[tuple[str, int]]:
    return [(frame["item_id"], frame["audio_end_ms"]) for frame in of(frames, "conversation.item.truncated")]


@pytest.mark.parametrize("mode", ["ours", "upstream"])
async def test_a_spoken_conversation_with_a_tool_and_a_barge_in(
    stand_before: Any,
    mode: str,
    front: tuple[ServiceProcess, int],
    cascade: ServiceProcess,
    hold: Any,
    say: Callable[[str], Recording],
    violations: Callable[[list[Frame]], list[str]],
) -> None:
    service, port = front
    proxy = stand_before(cascade.url)
    # Spoken beforehand: the proxy runs in this process.
    city, capital = say("What is the weather in Paris?"), say("What is the capital of France?")
    story, stop = say("Tell me a long story about a ship."), say("Stop, please.")
    turns: list[list[Frame]] = []
    asked: list[str] = []

    def weather(arguments: Frame) -> str:
        asked.append(str(arguments.get("city")))
        return "sunny, 21 degrees"

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = weather
        heard = {"transcription": {"model": "gpt-4o-mini-transcribe"}}
        await client.connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": heard},
                "tools": [WEATHER],
                "instructions": "You are a friendly assistant. Answer in one sentence.",
            }
        )
        turns.append(await client.ask(city))
        turns.append(await client.ask(capital))
        start = len(client.frames)
        await client.say(story)
        await client.wait(lambda frames: of(frames[start:], "response.output_audio.delta"))
        delta = of(client.frames[start:], "response.output_audio.delta")[0]
        await client.say(stop)
        await client.connection.conversation.item.truncate(item_id=delta["item_id"], content_index=0, audio_end_ms=120)
        await client.wait(lambda frames: cuts(frames[start:]))
        await client.wait(lambda frames: len(of(frames[start:], "response.done")) >= 2)
        turns.append(client.frames[start:])

    async with proxy.serving(port=port):
        frames = await hold(service, mode, conversation)
    assert violations(frames) == []
    assert asked == ["Paris"]
    assert "21" in words(turns[0]) or "sunny" in words(turns[0])
    assert "Paris" in words(turns[1])
    written = of(frames, "conversation.item.input_audio_transcription.completed")
    assert "weather in paris" in written[0]["transcript"].lower()
    assert "capital of france" in written[1]["transcript"].lower()
    (passage,) = proxy.passages
    there = [json.loads(message) for message in passage.to_client]
    assert cuts(frames) == cuts(there)
    assert [ms for _, ms in cuts(frames)] == [120]
    assert not of(there, "error")
