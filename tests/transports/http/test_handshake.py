"""Who gets a session, and what everybody else is told before the upgrade (contract 2.1 to 2.3, 2.6)."""

import asyncio
import hashlib
from typing import Any

import pytest
import structlog
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from transports.port import Transport
from voice.errors import CapacityError, ContractError, EngineUnavailable, KeyLimitReached

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
KEY = "sk-ops.with-dots_and-more"
BEARER = {"Authorization": f"Bearer {KEY}"}


async def refusal(service: Any, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any], Any]:
    """Ask for the upgrade and return status, error and headers of the refusal."""
    async with service.client.get(path, headers=UPGRADE | (headers or {})) as answer:
        body = await answer.json()
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert answer.headers["x-request-id"].startswith("req_")
        return answer.status, body["error"], answer.headers


async def first_event(socket: ClientWebSocketResponse) -> dict[str, Any]:
    async with asyncio.timeout(5):
        event: dict[str, Any] = await socket.receive_json()
    return event


async def test_a_named_agent_answers(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime?model=receptionist") as socket:
        assert (await first_event(socket))["event_id"] == "event_0"
        assert socket._response.headers["x-request-id"].startswith("req_")
    await service.ended()
    assert service.sessions.admitted == [("receptionist", None)]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, None),
        ("", None),
        ("user-7f3a", "user-7f3a"),
        (65 * "x", hashlib.sha256(65 * b"x").hexdigest()),
        ("J\u00fcrgen", hashlib.sha256("J\u00fcrgen".encode()).hexdigest()),
    ],
)
async def test_whom_a_client_speaks_for_goes_with_its_session(
    service: Any, given: str | None, taken: str | None
) -> None:
    headers = {"OpenAI-Safety-Identifier": given} if given is not None else {}
    async with service.client.ws_connect("/v1/realtime", headers=headers) as socket:
        await first_event(socket)
    assert service.sessions.safety_identifiers == [taken]


@pytest.mark.parametrize("query", ["", "?model=", "?foo=bar&trace=1"])
async def test_without_a_model_the_default_agent_answers(service: Any, query: str) -> None:
    async with service.client.ws_connect(f"/v1/realtime{query}") as socket:
        await first_event(socket)
    assert service.sessions.admitted == [("receptionist", None)]


async def test_an_unknown_model_is_not_found(service: Any) -> None:
    status, error, _ = await refusal(service, "/v1/realtime?model=nobody")
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")


async def test_a_missing_model_is_refused_where_there_is_no_default(
    service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(model: str | None) -> None:
        raise ContractError("You must provide a model parameter.", code="missing_required_parameter", param="model")

    monkeypatch.setattr(service.sessions, "resolve", resolve)
    status, error, _ = await refusal(service, "/v1/realtime")
    assert (status, error["code"]) == (400, "missing_required_parameter")


async def test_a_full_service_says_when_to_come_back(service: Any) -> None:
    service.sessions.refusal = CapacityError("All places are taken.", retry_after_s=7)
    status, error, headers = await refusal(service, "/v1/realtime")
    assert (status, error["code"], error["type"]) == (503, "capacity_exceeded", "server_error")
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("7", "7000")


async def test_an_engine_that_is_away_is_named_before_the_upgrade(service: Any) -> None:
    service.sessions.refusal = EngineUnavailable("The embedded models are not loaded.")
    status, error, headers = await refusal(service, "/v1/realtime")
    assert (status, error["code"]) == (503, "engine_unavailable")
    assert "retry-after" in headers


async def test_an_agent_whose_engine_is_there_is_served_while_the_default_is_not(service: Any) -> None:
    service.sessions.problem = "The embedded models are loading."
    async with service.client.ws_connect("/v1/realtime?model=gpt-realtime") as socket:
        await first_event(socket)


async def test_a_plain_request_is_told_to_upgrade(service: Any) -> None:
    async with service.client.get("/v1/realtime") as answer:
        assert answer.status == 426
        assert (await answer.json())["error"]["code"] == "upgrade_required"


@pytest.mark.parametrize("broken", [{"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Version": "12"}])
async def test_a_broken_upgrade_gives_its_place_back(service: Any, broken: dict[str, str]) -> None:
    status, error, _ = await refusal(service, "/v1/realtime", broken)
    assert (status, error["code"]) == (400, "bad_request")
    assert service.sessions.active == 0


async def test_a_transcription_session_is_opened_by_its_intent_and_without_a_model(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime?intent=transcription") as socket:
        await socket.receive()
    assert [opening.type for opening in service.sessions.openings] == ["transcription"]
    status, error, _ = await refusal(service, "/v1/realtime?intent=transcription&model=gpt-realtime")
    assert (status, error["code"]) == (400, "invalid_model")
    assert error["message"] == "You must not provide a model parameter for transcription sessions"


@pytest.mark.parametrize("headers", [{}, {"OpenAI-Beta": "realtime=v1"}])
async def test_a_call_that_nobody_knows_is_not_found(service: Any, headers: dict[str, str]) -> None:
    status, error, _ = await refusal(service, "/v1/realtime?call_id=rtc_1&model=gpt-realtime", headers)
    assert (status, error["code"]) == (404, "call_id_not_found")


# ---- keys


async def test_a_bearer_key_opens(locked: Any) -> None:
    async with locked.client.ws_connect("/v1/realtime", headers=BEARER) as socket:
        await first_event(socket)
    assert locked.sessions.admitted == [("receptionist", "ops")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer sk-ops"},
        {"Sec-WebSocket-Protocol": "realtime"},
        {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.sk-wrong"},
        {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key."},
        {"Authorization": "Bearer sk-wrong", "Sec-WebSocket-Protocol": f"openai-insecure-api-key.{KEY}"},
    ],
)
async def test_without_the_right_key_there_is_no_upgrade(locked: Any, headers: dict[str, str]) -> None:
    status, error, answered = await refusal(locked, "/v1/realtime?model=receptionist", headers)
    assert (status, error["code"], error["type"]) == (401, "invalid_api_key", "invalid_request_error")
    assert answered["www-authenticate"] == "Bearer"
    assert "sk-" not in error["message"]
    assert locked.sessions.admitted == []


async def test_a_wrong_key_learns_nothing_about_models_or_load(locked: Any) -> None:
    locked.sessions.refusal = CapacityError("All places are taken.")
    assert (await refusal(locked, "/v1/realtime?model=nobody"))[0] == 401


@pytest.mark.parametrize(
    "offered",
    [
        ["realtime", f"openai-insecure-api-key.{KEY}", "openai-organization.org-1", "openai-project.proj_1"],
        [f"openai-insecure-api-key.{KEY}", "realtime", "openai-agents-sdk.0.20.0"],
        [f"openai-insecure-api-key.{KEY}", "realtime"],
    ],
)
async def test_a_browser_key_opens_and_only_realtime_is_selected(locked: Any, offered: list[str]) -> None:
    async with locked.client.ws_connect("/v1/realtime", protocols=offered) as socket:
        assert socket.protocol == "realtime"
        assert socket._response.headers.getall("Sec-WebSocket-Protocol") == ["realtime"]
        await first_event(socket)
    assert locked.sessions.admitted == [("receptionist", "ops")]


async def test_a_key_is_neither_echoed_nor_logged_even_when_realtime_was_not_offered(
    locked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    headers = UPGRADE | {"Sec-WebSocket-Protocol": f"openai-insecure-api-key.{KEY}"}
    async with locked.client.get("/v1/realtime", headers=headers) as answer:
        assert answer.status == 101
        assert KEY not in str(answer.headers)
        assert answer.headers.get("Sec-WebSocket-Protocol") == "realtime"
    assert KEY not in caplog.text


async def test_without_offered_subprotocols_none_is_selected(locked: Any) -> None:
    async with locked.client.ws_connect("/v1/realtime", headers=BEARER) as socket:
        assert "Sec-WebSocket-Protocol" not in socket._response.headers


async def test_compression_is_declined(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime", compress=15) as socket:
        assert socket.compress == 0
        await first_event(socket)


# ---- beta


@pytest.mark.parametrize("as_header", [True, False])
async def test_the_beta_shape_is_refused_on_the_open_socket(service: Any, as_header: bool) -> None:
    how: dict[str, Any] = (
        {"headers": {"OpenAI-Beta": "realtime=v1"}}
        if as_header
        else {"protocols": ["realtime", "openai-beta.realtime-v1"]}
    )
    async with service.client.ws_connect("/v1/realtime?model=receptionist", **how) as socket:
        event = await first_event(socket)
        assert (event["type"], event["error"]["code"]) == ("error", "beta_api_shape_disabled")
        assert "leave out the header 'OpenAI-Beta: realtime=v1'" in event["error"]["message"]
        assert "server.beta_clients: translate" in event["error"]["message"]
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 4000
    assert service.sessions.admitted == []


async def test_the_beta_shape_needs_a_key_too(locked: Any) -> None:
    assert (await refusal(locked, "/v1/realtime", {"OpenAI-Beta": "realtime=v1"}))[0] == 401


# ---- pages of others, where no key is configured


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "127.1.2.3:80", "[::1]:8080", "LOCALHOST.", "app.localhost"]
)
async def test_this_machine_is_let_in_under_any_of_its_names(service: Any, host: str) -> None:
    async with service.client.get("/healthz", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.4:8080", "[::2]", "[", ""]
)
@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/models", "/metrics"])
async def test_a_rebound_host_name_is_refused(service: Any, host: str, path: str) -> None:
    status, error, _ = await refusal(service, path, {"Host": host})
    assert (status, error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1:8080", "https://[::1]", "tauri://localhost"]
)
async def test_a_page_of_this_machine_may_connect(service: Any, origin: str) -> None:
    async with service.client.ws_connect("/v1/realtime", origin=origin) as socket:
        await first_event(socket)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://localhost.evil.example", "x"])
async def test_a_page_of_another_machine_may_not(service: Any, origin: str) -> None:
    status, error, _ = await refusal(service, "/v1/realtime", {"Origin": origin})
    assert (status, error["code"]) == (403, "origin_not_allowed")


async def test_with_keys_the_key_decides_and_not_the_name(locked: Any) -> None:
    headers = BEARER | {"Host": "voice.example", "Origin": "https://shop.example"}
    async with locked.client.ws_connect("/v1/realtime", headers=headers) as socket:
        await first_event(socket)


async def test_the_refusal_reaches_a_websocket_client_as_a_status(locked: Any) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await locked.client.ws_connect("/v1/realtime")
    assert refused.value.status == 401


async def test_a_key_with_all_its_sessions_is_told_to_wait(locked: Any) -> None:
    locked.sessions.refusal = KeyLimitReached("This key holds all 2 sessions that it may.", retry_after_s=5)
    status, error, headers = await refusal(locked, "/v1/realtime", BEARER)
    assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert headers["retry-after"] == "5"


async def test_every_line_of_a_session_names_its_call_and_itself(locked: Any) -> None:
    async def talk(transport: Transport) -> None:
        structlog.get_logger("engine").warning("engine slow")
        raise RuntimeError("a fault of ours")

    locked.sessions.talk = talk
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logs:
        async with locked.client.ws_connect("/v1/realtime", headers=BEARER) as socket:
            call_id = socket._response.headers["x-call-id"]
            await socket.receive()
        await locked.ended()
    assert [entry["event"] for entry in logs] == ["session opened", "engine slow", "session failed"]
    assert {(entry["call_id"], entry["session"]) for entry in logs} == {(call_id, "sess_fake")}


async def test_the_clients_own_request_id_is_logged(locked: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        async with locked.client.ws_connect("/v1/realtime", headers=BEARER | {"X-Client-Request-Id": "mine-7"}):
            pass
        await locked.ended()
        await refusal(locked, "/v1/realtime", {"X-Client-Request-Id": "mine-8"})
    ids = {entry["event"]: entry["client_request_id"] for entry in logs if "client_request_id" in entry}
    assert ids == {"session opened": "mine-7", "request refused": "mine-8"}
