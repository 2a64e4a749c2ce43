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
    async with AsyncOpenAI(api_key="none", base_url=f"{scripted.http_url}/v1") as client:
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
