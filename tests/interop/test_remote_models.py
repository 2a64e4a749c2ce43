"""Two instances in a row: one holds the calls, the other is its language model, its ears and its voice, over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

CONFIG = """
engines:
  chat:
    type: cascade
    llm: {{url: "{url}", model: gpt-4o-mini, first_token_s: 30}}
    stt: {{url: "{url}", model: whisper-1}}
    tts: {{url: "{url}", model: tts-1}}
  responses:
    type: cascade
    llm: {{url: "{url}", model: gpt-4o-mini, api: responses, first_token_s: 30}}
    stt: {{url: "{url}", model: whisper-1, stream: true}}
    tts: {{url: "{url}", model: tts-1}}
  nowhere:
    type: cascade
    llm: {{url: "http://127.0.0.1:9/v1", model: m}}
    stt: {{url: "{url}", model: whisper-1}}
    tts: {{url: "{url}", model: tts-1}}
  spared:
    type: cascade
    llm: {{url: "http://127.0.0.1:9/v1", model: m}}
    stt: {{url: "{url}", model: whisper-1}}
    tts: {{url: "{url}", model: tts-1}}
    fallback: [chat]
aliases: {{chat: chat, responses: responses, nowhere: nowhere, spared: spared}}
log: {{level: error}}
"""

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def front(cascade: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """An instance without models of its own."""
    path: Path = tmp_path_factory.mktemp("front") / "config.yaml"
    path.write_text(CONFIG.format(url=f"{cascade.http_url}/v1"), encoding="utf-8")
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service


def transcripts(frames: list[dict[str, Any]]) -> str:
    return " ".join(frame["transcript"] for frame in frames if frame["type"] == "response.output_audio_transcript.done")


@pytest.mark.parametrize("model", ["chat", "responses"])
async def test_a_spoken_question_is_answered_from_afar(
    front: ServiceProcess, hold: Any, say: Callable[[str], Recording], violations: Callable[..., list[str]], model: str
) -> None:
    async def talk(client: Any) -> None:
        frames = await client.ask(say("What is the capital of France?"))
        assert "Paris" in transcripts(frames)

    assert violations(await hold(front, model, talk)) == []


@pytest.mark.parametrize("model", ["chat", "responses"])
async def test_a_tool_of_the_client_is_called_from_afar(front: ServiceProcess, hold: Any, model: str) -> None:
    async def talk(client: Any) -> None:
        cities = []

        def weather(arguments: dict[str, Any]) -> str:
            cities.append(arguments["city"])
            return "18 degrees and sunny"

        client.tools["get_weather"] = weather
        await client.connection.session.update(session={"type": "realtime", "tools": [WEATHER]})
        await client.connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is the weather in Oslo?"}],
            }
        )
        await client.connection.response.create()
        await client.wait(lambda frames: "18" in transcripts(frames), 60)
        assert cities == ["Oslo"]

    await hold(front, model, talk)


async def test_a_server_that_is_gone_costs_the_answer_and_not_the_call(front: ServiceProcess, hold: Any) -> None:
    async def talk(client: Any) -> None:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}
        for _ in range(2):
            count = len(client.frames)
            await client.connection.conversation.item.create(item=item)
            await client.connection.response.create()
            done = await client.wait(
                lambda frames, count=count: [f for f in frames[count:] if f["type"] == "response.done"], 30
            )
            assert done[0]["response"]["status"] == "failed"
            assert "I am sorry" in transcripts(client.frames[count:])
            assert done[0]["response"]["status_details"]["error"]["code"] == "engine_unavailable"

    await hold(front, "nowhere", talk)


async def test_another_engine_goes_on_where_a_server_is_gone(front: ServiceProcess, hold: Any) -> None:
    async def talk(client: Any) -> None:
        text = [{"type": "input_text", "text": "What is the capital of France?"}]
        await client.connection.conversation.item.create(item={"type": "message", "role": "user", "content": text})
        await client.connection.response.create()
        done = await client.wait(lambda frames: [frame for frame in frames if frame["type"] == "response.done"], 30)
        assert done[0]["response"]["status"] == "completed"
        assert "Paris" in transcripts(client.frames)

    await hold(front, "spared", talk)
