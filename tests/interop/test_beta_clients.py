"""The official client's beta interface, which nobody else answers any more: its own types read every frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from openai import AsyncOpenAI, BadRequestError
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from voice.talk.service import ServiceProcess

DATA = Path(__file__).parents[1] / "data" / "interop"
TYPED: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture(scope="module")
def translating() -> Iterator[ServiceProcess]:
    """The scripted service, which serves clients of the beta."""
    environment = {"VOICE__SERVER__BETA_CLIENTS": "translate"}
    config = str(DATA / "config.yaml")
    with ServiceProcess("--config", config, environment=environment, ready_timeout_s=30) as service:
        yield service


async def configure(client: Any, **session: Any) -> None:
    heard = {"input_audio_transcription": {"model": "whisper-1"}, "modalities": ["text", "audio"], "temperature": 0.7}
    await client.connection.session.update(session={**heard, **session})
    await client.wait(lambda frames: any(frame["type"] == "session.updated" for frame in frames))


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    for frame in frames:
        known = {"session": {**frame["session"], "model": "gpt-realtime"}} if "session" in frame else {}
        TYPED.validate_python({**frame, **known})  # the beta knew eight models by name
    return [frame["type"] for frame in frames]


async def test_a_spoken_turn_with_a_tool_of_the_client(translating: ServiceProcess, hold: Any, say: Any) -> None:
    asked: list[str] = []

    def weather(arguments: dict[str, Any]) -> str:
        asked.append(arguments["city"])
        return "sunny, 21 degrees"

    async def conversation(client: Any) -> None:
        client.tools["get_weather"] = weather
        await configure(client, tools=[WEATHER])
        await client.ask(say("Good evening."))
        await client.ask(say("What is the weather in Paris?"))

    frames = await hold(translating, "client-tool", conversation, beta=True)
    assert asked == ["Paris"]
    said = kinds(frames)
    for kind in ("response.audio.delta", "response.audio_transcript.done", "conversation.item.created"):
        assert kind in said
    assert not [kind for kind in said if "response.output_audio" in kind]
    assert not {"conversation.item.added", "conversation.item.done"} & set(said)
    words = [frame["transcript"] for frame in frames if frame["type"] == "response.audio_transcript.done"]
    assert "sunny" in words[-1]
    done = [frame["response"] for frame in frames if frame["type"] == "response.done"][-1]
    assert (done["modalities"], done["output"][0]["content"][0]["type"]) == (["text", "audio"], "audio")


async def test_talking_over_an_answer_cuts_it(translating: ServiceProcess, hold: Any, say: Any) -> None:
    async def conversation(client: Any) -> None:
        await configure(client)
        await client.say(say("Tell me a long story."))
        delta = await client.wait(lambda frames: [f for f in frames if f["type"] == "response.audio.delta"][30:31])
        await client.say(say("Stop, please."))
        await client.connection.conversation.item.truncate(
            item_id=delta[0]["item_id"], content_index=0, audio_end_ms=500
        )
        await client.wait(lambda frames: any(f["type"] == "conversation.item.truncated" for f in frames))
        await client.wait(lambda frames: sum(f["type"] == "response.done" for f in frames) >= 2)

    frames = await hold(translating, "long-answer", conversation, beta=True)
    assert "conversation.item.truncated" in kinds(frames)
    done = next(frame["response"] for frame in frames if frame["type"] == "response.done")
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")


async def test_a_bad_field_is_named_as_the_client_wrote_it(translating: ServiceProcess, hold: Any) -> None:
    async def conversation(client: Any) -> None:
        await client.connection.session.update(session={"turn_detection": {"type": "server_vad", "threshold": 7.0}})
        await client.wait(lambda frames: any(frame["type"] == "error" for frame in frames))

    frames = await hold(translating, "long-answer", conversation, beta=True)
    (error,) = [frame["error"] for frame in frames if frame["type"] == "error"]
    assert error["param"] == "session.turn_detection.threshold"


async def test_a_secret_of_the_beta_opens_a_session_of_the_beta(translating: ServiceProcess) -> None:
    async with AsyncOpenAI(api_key="none", base_url=f"{translating.http_url}/v1") as client:
        made = await client.beta.realtime.sessions.create(
            model="gpt-realtime", modalities=["text"], input_audio_format="g711_ulaw", voice="alloy"
        )
    assert (made.modalities, made.input_audio_format) == (["text"], "g711_ulaw")
    assert made.client_secret.value.startswith("ek_")
    url = f"ws://{translating.host}:{translating.port}/v1"
    client = AsyncOpenAI(api_key=made.client_secret.value, websocket_base_url=url)
    # By the interface of today: it is the secret that tells.
    async with client, client.realtime.connect(model="gpt-realtime") as connection:
        created = (await connection.recv()).to_dict()
    session: Any = created["session"]
    assert (session["modalities"], session["input_audio_format"]) == (["text"], "g711_ulaw")


async def test_a_transcription_session_of_the_beta(translating: ServiceProcess) -> None:
    async with AsyncOpenAI(api_key="none", base_url=f"{translating.http_url}/v1") as client:
        made = await client.beta.realtime.transcription_sessions.create(
            input_audio_format="pcm16", input_audio_transcription={"model": "gpt-4o-transcribe"}
        )
        assert made.input_audio_transcription is not None
        assert made.input_audio_transcription.model == "gpt-4o-transcribe"
        with pytest.raises(BadRequestError) as refused:
            await client.beta.realtime.sessions.create(voice="alloy", speed=9.0)
    assert refused.value.param == "speed"
