"""The plain routes, and errors as JSON everywhere."""

from typing import Any

import pytest

from voice.protocol.server_events import InputAudioBufferCleared

BEARER = {"Authorization": "Bearer sk-kiosk"}


async def get(service: Any, path: str, **options: Any) -> tuple[int, Any]:
    async with service.client.request(options.pop("method", "GET"), path, **options) as answer:
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["Server"] == "realtime-voice-agent"
        return answer.status, await answer.json()


async def test_models_lists_agents_and_aliases(service: Any) -> None:
    status, body = await get(service, "/v1/models")
    assert status == 200
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["receptionist", "gpt-realtime"]
    for model in body["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert isinstance(model["created"], int)


async def test_one_model_is_shown_or_not_found(service: Any) -> None:
    status, body = await get(service, "/v1/models/receptionist")
    assert (status, body["id"], body["object"]) == (200, "receptionist", "model")
    status, body = await get(service, "/v1/models/no/body")
    assert (status, body["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/receptionist"])
async def test_models_need_a_key(locked: Any, path: str) -> None:
    assert (await get(locked, path))[0] == 401
    assert (await get(locked, path, headers={"Authorization": "bearer sk-kiosk"}))[0] == 200


async def test_health_readiness_and_metrics_need_no_key(locked: Any) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        async with locked.client.get(path) as answer:
            assert answer.status == 200


async def test_readiness_follows_the_sessions(service: Any) -> None:
    assert await get(service, "/readyz") == (200, {"status": "ready", "sessions": 0})
    service.sessions.problem = "The embedded models are loading."
    reason = {"status": "not ready", "sessions": 0, "reason": "The embedded models are loading."}
    assert await get(service, "/readyz") == (503, reason)
    assert (await get(service, "/healthz"))[0] == 200


async def test_an_unknown_url_and_a_wrong_method_are_json(service: Any) -> None:
    status, body = await get(service, "/v1/nothing")
    assert (status, body["error"]["code"]) == (404, "unknown_url")
    assert body["error"]["message"] == "Unknown request URL: GET /v1/nothing."
    async with service.client.post("/v1/models") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"
        assert (await answer.json())["error"]["code"] == "method_not_allowed"


async def test_a_fault_of_ours_is_a_500_that_shows_nothing_and_is_logged_once(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transports.http import middleware

    logged: list[str] = []
    monkeypatch.setattr(middleware.log, "exception", lambda event, **_: logged.append(event), raising=False)
    monkeypatch.setattr(service.sessions, "models", lambda: 1 / 0)
    status, body = await get(service, "/v1/models")
    assert (status, body["error"]["type"]) == (500, "server_error")
    assert "division" not in str(body)
    assert logged == ["request failed"]


async def test_metrics_count_the_traffic(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime") as socket:
        await socket.receive()
        await socket.send_str('{"type":"input_audio_buffer.clear"}')
        await socket.receive()
    async with service.client.get("/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'voice_websocket_events_total{direction="received"} 1.0' in text
    assert 'voice_websocket_events_total{direction="sent"} 2.0' in text


async def test_every_answer_has_an_id_of_its_own(service: Any) -> None:
    ids = set()
    for _ in range(3):
        async with service.client.get("/healthz") as answer:
            ids.add(answer.headers["x-request-id"])
    assert len(ids) == 3


async def test_a_session_that_fails_closes_with_1011_and_harms_no_other(service: Any) -> None:
    async def fail(transport: Any) -> None:
        transport.send_event(InputAudioBufferCleared(event_id="event_0"))
        raise RuntimeError("boom")

    service.sessions.talk = fail
    async with service.client.ws_connect("/v1/realtime") as socket:
        await socket.receive()
        assert (await socket.receive()).data == 1011
    assert (await get(service, "/healthz"))[0] == 200
