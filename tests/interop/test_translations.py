"""The official client translates speech, and its own types read every frame."""

import base64
import json
from typing import Any

from openai import AsyncOpenAI
from openai.types.realtime import RealtimeTranslationServerEvent
from pydantic import TypeAdapter

from voice.talk.service import ServiceProcess

TYPED: TypeAdapter[Any] = TypeAdapter(RealtimeTranslationServerEvent)
STEP = base64.b64encode(bytes(9600)).decode()


async def test_the_official_client_translates(scripted: ServiceProcess) -> None:
    await translate(scripted)


async def test_an_upstream_translates(scripted: ServiceProcess) -> None:
    """A second instance in front of it passes all of it on, both ways."""
    with ServiceProcess("--engine", "upstream", "--upstream", scripted.url) as service:
        await translate(service)


async def test_an_upstream_that_does_not_translate_is_told_in_words(keyed: ServiceProcess) -> None:
    with ServiceProcess("--engine", "upstream", "--upstream", keyed.url) as service:
        client = AsyncOpenAI(api_key="none", base_url=f"{service.http_url}/v1")
        async with client, client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
            frame = json.loads(await connection.recv_bytes())
    assert (frame["type"], frame["error"]["code"]) == ("error", "engine_refused")


async def translate(service: ServiceProcess) -> None:
    async with AsyncOpenAI(api_key="none", base_url=f"{service.http_url}/v1") as client:
        secret = await client.realtime.translations.client_secrets.create(
            session={"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}}
        )
        assert secret.session.type == "translation"
        async with client.realtime.translations.connect(model="gpt-realtime-translate") as connection:
            await connection.session.update(
                session={
                    "audio": {
                        "input": {"transcription": {"model": "gpt-realtime-whisper"}},
                        "output": {"language": "es"},
                    }
                }
            )
            for _ in range(10):
                await connection.session.input_audio_buffer.append(audio=STEP)
            await connection.session.close()
            frames = [json.loads(await connection.recv_bytes())]
            while frames[-1]["type"] != "session.closed":
                frames.append(json.loads(await connection.recv_bytes()))
    for frame in frames:
        TYPED.validate_python(frame, strict=True)
    kinds = {frame["type"] for frame in frames}
    assert kinds == {
        "session.created",
        "session.updated",
        "session.input_transcript.delta",
        "session.output_transcript.delta",
        "session.output_audio.delta",
        "session.closed",
    }
    words = "".join(frame["delta"] for frame in frames if frame["type"] == "session.output_transcript.delta")
    assert words == "hola cómo estás hoy hola cómo estás"
