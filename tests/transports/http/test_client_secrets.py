"""Secrets that open sessions, and nothing else, for a while (contract 1.2)."""

from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from voice.protocol.session_config import SessionUpdateBody

KIOSK = {"Authorization": "Bearer sk-kiosk"}
PATH = "/v1/realtime/client_secrets"
BODY = SessionUpdateBody(type="realtime")


async def mint(service: Any, body: dict[str, Any] | None = None) -> dict[str, Any]:
    async with service.client.post(PATH, json=body or {}, headers=KIOSK) as answer:
        assert answer.status == 200, await answer.text()
        made: dict[str, Any] = await answer.json()
    return made


async def test_a_secret_opens_several_sessions_with_its_configuration(locked: Any) -> None:
    session = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
    made = await mint(locked, {"session": session, "expires_after": {"anchor": "created_at", "seconds": 60}})
    assert made["value"].startswith("ek_")
    assert made["session"]["instructions"] == "Be brief."
    assert made["session"]["expires_at"] == 0
    bearer = {"Authorization": f"Bearer {made['value']}"}
    for query in ("", "?model=receptionist"):  # the secret's model goes before the query's
        async with locked.client.ws_connect(f"/v1/realtime{query}", headers=bearer) as socket:
            await socket.receive_json()
    assert locked.sessions.admitted == [("gpt-realtime", "kiosk")] * 2
    assert [opening.instructions for opening in locked.sessions.openings] == ["Be brief."] * 2


async def test_whom_a_secret_is_for_is_not_the_browsers_to_say(locked: Any) -> None:
    headers = KIOSK | {"OpenAI-Safety-Identifier": "user-7f3a"}
    async with locked.client.post(PATH, json={}, headers=headers) as answer:
        named = (await answer.json())["value"]
    for secret in (named, (await mint(locked))["value"]):
        headers = {"Authorization": f"Bearer {secret}", "OpenAI-Safety-Identifier": "somebody-else"}
        async with locked.client.ws_connect("/v1/realtime", headers=headers) as socket:
            await socket.receive_json()
    assert locked.sessions.safety_identifiers == ["user-7f3a", "somebody-else"]


async def test_a_browser_shows_its_secret_as_a_subprotocol(locked: Any) -> None:
    made = await mint(locked)
    protocols = ["realtime", f"openai-insecure-api-key.{made['value']}"]
    async with locked.client.ws_connect("/v1/realtime", protocols=protocols) as socket:
        await socket.receive_json()
    assert locked.sessions.admitted == [("receptionist", "kiosk")]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"seconds": 7201}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "now"}}, "expires_after.anchor"),
        ({"session": {"type": "realtime", "colour": 1}}, "session.colour"),
        ({"session": {"instructions": "x"}}, "session.type"),
        ({"session": {"type": "realtime", "audio": {"output": {"speed": 9}}}}, "session.audio.output.speed"),
        ({"ttl": 1}, "ttl"),
    ],
)
async def test_a_bad_configuration_is_refused_with_its_path(locked: Any, body: dict[str, Any], param: str) -> None:
    async with locked.client.post(PATH, json=body, headers=KIOSK) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["param"] == param


@pytest.mark.parametrize("body", ["[]", "null", '"realtime"'])
async def test_what_is_no_object_is_refused(locked: Any, body: str) -> None:
    async with locked.client.post(PATH, data=body, headers=KIOSK) as answer:
        error = (await answer.json())["error"]
    assert (answer.status, error["message"]) == (400, "Invalid body: expected a JSON object.")


async def test_what_is_not_json_is_refused(locked: Any) -> None:
    async with locked.client.post(PATH, data=b"{", headers=KIOSK) as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/models"), ("POST", PATH), ("POST", "/v1/realtime/calls/rtc_x/hangup")],
)
async def test_a_secret_is_no_key(locked: Any, method: str, path: str) -> None:
    bearer = {"Authorization": f"Bearer {(await mint(locked))['value']}"}
    async with locked.client.request(method, path, headers=bearer) as answer:
        assert answer.status == 403


async def test_a_secret_that_never_was_opens_nothing(locked: Any, service: Any) -> None:
    for each in (locked, service):
        with pytest.raises(WSServerHandshakeError) as refused:
            await each.client.ws_connect("/v1/realtime", headers={"Authorization": "Bearer ek_1234"})
        assert refused.value.status == 401


def test_an_expired_secret_is_refused_by_name_and_forgotten_later() -> None:
    now_s = 1000.0
    secrets = ClientSecrets(max_secrets=1, clock=lambda: now_s)
    value, made = secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=2)
    assert secrets.find(value) is made
    now_s += 10
    with pytest.raises(ApiError, match="Ephemeral token expired"):
        secrets.find(value)
    secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=2)  # takes the place of the expired one
    assert secrets.find(value) is None


@pytest.mark.parametrize("bounds", [{"max_secrets": 1}, {"max_bytes": 3}])
def test_living_secrets_are_bounded_and_none_is_dropped_for_another(bounds: dict[str, int]) -> None:
    secrets = ClientSecrets(**bounds)  # type: ignore[arg-type]  # the clock is not among them
    value, _ = secrets.mint(BODY, key_id=None, lifetime_s=10, size_bytes=2)
    with pytest.raises(ApiError) as refused:
        secrets.mint(BODY, key_id=None, lifetime_s=10, size_bytes=2)
    assert refused.value.status == 429
    assert "retry-after" in {name.lower() for name in refused.value.headers}
    assert secrets.find(value) is not None


def test_neither_the_secret_nor_its_configuration_shows_in_a_log() -> None:
    value, made = ClientSecrets().mint(
        SessionUpdateBody(type="realtime", instructions="top secret"), key_id=None, lifetime_s=10, size_bytes=2
    )
    assert value not in repr(made)
    assert "top secret" not in repr(made)


@pytest.mark.parametrize(("bounds", "size_bytes"), [({"max_secrets": 16}, 0), ({"max_bytes": 32}, 2)])
def test_one_key_cannot_fill_the_store_for_the_others(bounds: dict[str, int], size_bytes: int) -> None:
    secrets = ClientSecrets(**bounds)  # type: ignore[arg-type]  # the clock is not among them
    for _ in range(2):
        secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=size_bytes)
    with pytest.raises(ApiError, match="of this key") as refused:
        secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=size_bytes)
    assert refused.value.status == 429
    secrets.mint(BODY, key_id="ops", lifetime_s=10, size_bytes=size_bytes)


def test_a_key_that_wants_room_gives_up_its_own_expired_secrets_only() -> None:
    now_s = 1000.0
    secrets = ClientSecrets(max_secrets=8, clock=lambda: now_s)
    others, _ = secrets.mint(BODY, key_id="ops", lifetime_s=10, size_bytes=2)
    own, _ = secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=2)
    now_s += 10
    secrets.mint(BODY, key_id="kiosk", lifetime_s=10, size_bytes=2)
    assert secrets.find(own) is None
    with pytest.raises(ApiError, match="Ephemeral token expired"):
        secrets.find(others)


def test_without_keys_the_whole_store_is_everybodys() -> None:
    secrets = ClientSecrets(max_secrets=8)
    for _ in range(8):
        secrets.mint(BODY, key_id=None, lifetime_s=10, size_bytes=2)
