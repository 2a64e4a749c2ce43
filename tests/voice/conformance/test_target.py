"""A server may be named in any usual way; its answers tell what is a gap and what is a fault."""

import pytest

from voice.conformance.target import Answer, Target, served
from voice.conformance.verdict import Failed, NotServed


@pytest.mark.parametrize(
    ("url", "websocket", "http"),
    [
        ("127.0.0.1:8080", "ws://127.0.0.1:8080/v1/realtime", "http://127.0.0.1:8080/v1/models"),
        ("http://host/", "ws://host/v1/realtime", "http://host/v1/models"),
        ("wss://host/v1/realtime", "wss://host/v1/realtime", "https://host/v1/models"),
        ("https://host/proxy/v1", "wss://host/proxy/v1/realtime", "https://host/proxy/v1/models"),
        ("ws://host/v1/realtime?model=x", "ws://host/v1/realtime?model=x", "http://host/v1/models"),
    ],
)
def test_addresses(url, websocket, http) -> None:
    target = Target(url)
    assert target.websocket_url() == websocket
    assert target.http_url("/models") == http


def test_a_flow_changes_the_query() -> None:
    target = Target("ws://host/v1/realtime?a=1", model="gpt-realtime")
    assert target.websocket_url() == "ws://host/v1/realtime?a=1&model=gpt-realtime"
    assert target.websocket_url({"model": None, "intent": "transcription"}).endswith("?a=1&intent=transcription")


def answer(status: int, code: str | None = None) -> Answer:
    error = {"message": "no", "type": "invalid_request_error", "param": None, "code": code}
    return Answer(status, {"error": error}, {})


def test_a_route_that_is_not_there_is_a_gap() -> None:
    for gap in (answer(404), answer(404, "not_found"), answer(405), answer(501), Answer(404, "Not Found", {})):
        with pytest.raises(NotServed, match="GET /x answers"):
            served(gap, "GET /x")


def test_a_fault_of_the_server_is_a_failure() -> None:
    with pytest.raises(Failed):
        served(answer(500), "GET /x")


def test_a_refusal_by_a_route_that_is_there_is_an_answer() -> None:
    assert served(answer(404, "call_id_not_found"), "POST /x").error["code"] == "call_id_not_found"
    assert served(answer(400), "POST /x").status == 400
