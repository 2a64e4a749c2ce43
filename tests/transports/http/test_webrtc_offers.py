"""Offers of calls: who may make them, what they say, and every bad one."""

from pathlib import Path

import pytest
from aiohttp import FormData

from tests.transports.http.conftest import Service, Start
from tests.transports.http.webrtc_calls import CALLS, LOOPBACK, SETTINGS, call, next_event, offer, post
from transports.webrtc.errors import CallRefused
from transports.webrtc.settings import WebRtcSettings
from voice.config_webrtc import IceServerConfig


@pytest.fixture
async def calls(start: Start) -> Service:
    """A service without keys that takes calls."""
    return await start(webrtc=SETTINGS)


async def test_the_answer_tells_where_the_call_is(calls: Service) -> None:
    async with post(calls, await offer(), Origin="http://localhost:3000") as answer:
        assert answer.status == 201
        assert answer.content_type == "application/sdp"
        assert answer.headers["Location"].startswith("/v1/realtime/calls/rtc_")
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_preflight_is_answered(calls: Service) -> None:
    async with calls.client.options(CALLS, headers={"Origin": "http://localhost:3000"}) as answer:
        assert answer.status == 204
        for name in ("Authorization", "Content-Type", "X-OpenAI-Agents-SDK", "OpenAI-Safety-Identifier"):
            assert name in answer.headers["Access-Control-Allow-Headers"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]


async def test_the_form_configures_the_session(calls: Service) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
    async with call(calls, session=session):
        opening = calls.sessions.openings[-1]
        assert opening is not None
        assert opening.instructions == "Be brief."
        assert calls.sessions.admitted == [("gpt-realtime", None)]


@pytest.mark.parametrize("typed", [False, True])
async def test_parts_are_found_by_name_whatever_they_come_with(calls: Service, typed: bool) -> None:
    form = FormData(default_to_multipart=True)
    kinds = ({"content_type": "application/sdp"}, {"content_type": "application/json"}) if typed else ({}, {})
    form.add_field("sdp", await offer(), **kinds[0])
    form.add_field("session", '{"type":"realtime","instructions":"x"}', **kinds[1])
    async with calls.client.post(CALLS, data=form) as answer:
        assert answer.status == 201
    opening = calls.sessions.openings[-1]
    assert opening is not None
    assert opening.instructions == "x"


async def test_the_old_name_of_the_route_and_its_model_are_served(calls: Service) -> None:
    headers = {"Content-Type": "application/sdp"}
    url = "/v1/realtime?model=gpt-realtime"
    async with calls.client.post(url, data=await offer(), headers=headers) as answer:
        assert answer.status == 201
    assert calls.sessions.admitted == [("gpt-realtime", None)]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        ("", "application/sdp", 400, "invalid_offer"),
        ("v=0\r\no=- 1 2 IN", "application/sdp", 400, "invalid_offer"),
        ("v=0\r\n" + "a=x\r\n" * 10_000, "application/sdp", 400, "invalid_offer"),
        ("v=0\r\n" + "a" * 2_000_000, "application/sdp", 413, "request_too_large"),
        (b"\xff\xfe\x00", "application/sdp", 400, "invalid_offer"),
        ("{}", "application/json", 415, "unsupported_content_type"),
        ("x", "text/plain", 415, "unsupported_content_type"),
        ("x", "multipart/form-data", 400, "invalid_multipart"),
        ("--b\r\n\r\n", "multipart/form-data; boundary=b", 400, None),
    ],
)
async def test_what_is_no_offer_is_refused(
    calls: Service, body: str | bytes, content_type: str, status: int, code: str | None
) -> None:
    async with post(calls, body, content_type) as answer:
        assert answer.status == status
        error = (await answer.json())["error"]
        assert error["message"]
        assert code is None or error["code"] == code
    assert calls.sessions.active == 0


@pytest.mark.parametrize(
    ("session", "param"),
    [("{", "session"), ('{"type":"realtime","voice":"x"}', "session.voice"), ("{}", "session.type")],
)
async def test_a_bad_session_is_refused_with_its_path(calls: Service, session: str, param: str) -> None:
    form = FormData({"sdp": await offer(), "session": session}, default_to_multipart=True)
    async with calls.client.post(CALLS, data=form) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param
    assert calls.sessions.active == 0


async def test_a_key_or_its_secret_is_needed(start: Start) -> None:
    service = await start({"shop": "right-key"}, webrtc=SETTINGS)
    for wrong in (None, "wrong-key", "ek_unknown"):
        with pytest.raises(CallRefused) as refused:
            async with call(service, key=wrong):
                pass
        assert refused.value.status == 401
    asked = {"session": {"type": "realtime", "model": "gpt-realtime"}}
    key = {"Authorization": "Bearer right-key"}
    async with service.client.post("/v1/realtime/client_secrets", json=asked, headers=key) as answer:
        secret = (await answer.json())["value"]
    async with call(service, key=secret) as (_, messages, call_id):
        await next_event(messages)
        assert service.sessions.admitted == [("gpt-realtime", "shop")]
        hang_up = f"{CALLS}/{call_id}/hangup"
        async with service.client.post(hang_up, headers={"Authorization": f"Bearer {secret}"}) as answer:
            assert answer.status == 403
        async with service.client.post(hang_up, headers=key) as answer:
            assert answer.status == 200
        assert service.sessions.stopped == [(1000, "The call was hung up.")]


async def test_servers_that_help_are_told_to_the_client(start: Start) -> None:
    turn = IceServerConfig.model_validate({"urls": "turn:turn.example.com", "secret": "shared"})
    service = await start({"shop": "right-key"}, webrtc=WebRtcSettings(LOOPBACK, SETTINGS.limits, (turn,)))
    key = {"Authorization": "Bearer right-key"}
    async with service.client.post("/v1/realtime/client_secrets", json={}, headers=key) as answer:
        (server,) = (await answer.json())["ice_servers"]
    assert server["urls"] == ["turn:turn.example.com"]
    assert server["username"].endswith(":shop")
    async with post(service, await offer(), **key) as answer:
        assert answer.headers["Link"].startswith('<turn:turn.example.com>; rel="ice-server"; username=')


@pytest.mark.parametrize("browser", ["firefox", "firefox-listener", "safari", "safari-12"])
async def test_offers_of_browsers_are_answered(calls: Service, browser: str) -> None:
    text = (Path(__file__).parents[2] / "data" / "sdp" / f"{browser}.sdp").read_text().replace("\n", "\r\n")
    async with post(calls, text) as answer:
        assert answer.status == 201
        assert "a=candidate:" in await answer.text()
