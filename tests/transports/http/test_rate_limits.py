"""What answers tell of the limits: on the 101, on refusals, on what REST calls return."""

from typing import Any

import pytest

from transports.http.rate_limits import LIMIT, REMAINING, RESET
from voice.errors import CapacityError


def told(headers: Any) -> tuple[str | None, str | None, str | None]:
    return headers.get(LIMIT), headers.get(REMAINING), headers.get(RESET)


async def test_the_session_that_is_opened_is_counted(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime?model=receptionist") as first:
        assert told(first._response.headers) == ("5", "4", None)
        async with service.client.ws_connect("/v1/realtime?model=receptionist") as second:
            assert told(second._response.headers) == ("5", "3", None)


async def test_a_refusal_for_want_of_room_tells_when_to_come_again(service: Any) -> None:
    service.sessions.refusal, service.sessions.active = CapacityError("All are taken.", retry_after_s=7.0), 9
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with service.client.get("/v1/realtime", headers=headers) as answer:
        assert answer.status == 503
        assert told(answer.headers) == ("5", "0", "7s")


async def test_a_client_secret_tells_what_it_could_open(service: Any) -> None:
    async with service.client.post("/v1/realtime/client_secrets", json={}) as answer:
        assert told(answer.headers) == ("5", "5", None)


async def test_so_does_a_secret_of_the_beta(start: Any) -> None:
    service = await start(translates_beta=True)
    async with service.client.post("/v1/realtime/sessions", json={}) as answer:
        assert told(answer.headers) == ("5", "5", None)


@pytest.mark.parametrize("path", ["/v1/realtime", "/v1/models"])
async def test_who_is_not_known_is_told_nothing(locked: Any, path: str) -> None:
    async with locked.client.get(path) as answer:
        assert answer.status == 401
        assert told(answer.headers) == (None, None, None)


async def test_what_is_not_limited_says_nothing(service: Any) -> None:
    async with service.client.get("/v1/models") as answer:
        assert told(answer.headers) == (None, None, None)


async def test_pages_may_read_them(service: Any) -> None:
    async with service.client.ws_connect("/v1/realtime", origin="http://localhost") as socket:
        assert LIMIT in socket._response.headers["Access-Control-Expose-Headers"]
