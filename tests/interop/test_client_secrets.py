"""The official client makes a secret with a key, and opens a session with the secret (contract 1.2)."""

import asyncio

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, PermissionDeniedError

from voice.talk.service import ServiceProcess


def client(service: ServiceProcess, key: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=key,
        base_url=f"{service.http_url}/v1",
        websocket_base_url=f"ws://{service.host}:{service.port}/v1",
    )


async def test_a_secret_opens_a_session_with_its_configuration(keyed: ServiceProcess) -> None:
    async with asyncio.timeout(30), client(keyed, "right-key") as backend:
        made = await backend.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "model": "plain", "instructions": "Be brief.", "max_output_tokens": 77},
        )
        async with client(keyed, made.value) as browser:
            async with browser.realtime.connect(model="plain") as connection:
                event = await connection.recv()
                assert event.type == "session.created"
                assert event.session.type == "realtime"
                assert (event.session.instructions, event.session.max_output_tokens) == ("Be brief.", 77)
            with pytest.raises(PermissionDeniedError):
                await browser.models.list()


async def test_a_bad_configuration_is_refused_by_its_path(keyed: ServiceProcess) -> None:
    async with asyncio.timeout(30), client(keyed, "right-key") as backend:
        with pytest.raises(BadRequestError) as refused:
            await backend.realtime.client_secrets.create(
                session={"type": "realtime", "model": "plain", "audio": {"output": {"speed": 9.0}}}
            )
        assert refused.value.param == "session.audio.output.speed"


async def test_a_session_is_watched_and_hung_up_from_aside(keyed: ServiceProcess) -> None:
    async with asyncio.timeout(30), client(keyed, "right-key") as openai:
        async with openai.realtime.connect(model="plain") as primary:
            await primary.recv()
            response = primary._connection.response
            assert response is not None
            call_id = response.headers["x-call-id"]
            async with openai.realtime.connect(call_id=call_id) as sideband:
                assert (await sideband.recv()).type == "session.created"
                await sideband.session.update(session={"type": "realtime", "instructions": "Steered."})
                for connection in (primary, sideband):
                    event = await connection.recv()
                    assert event.type == "session.updated"
                await openai.realtime.calls.hangup(call_id)
                with pytest.raises(Exception, match="1000"):
                    await sideband.recv()
        with pytest.raises(NotFoundError):
            await openai.realtime.calls.hangup(call_id)
