"""What the official client's beta interface can do besides a conversation, which `test_official_clients.py` holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from voice.talk.service import ServiceProcess

DATA = Path(__file__).parents[1] / "data" / "interop"


@pytest.fixture(scope="module")
def translating() -> Iterator[ServiceProcess]:
    """The scripted service, which serves clients of the beta."""
    environment = {"VOICE__SERVER__BETA_CLIENTS": "translate"}
    config = str(DATA / "config.yaml")
    with ServiceProcess("--config", config, environment=environment, ready_timeout_s=30) as service:
        yield service


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
