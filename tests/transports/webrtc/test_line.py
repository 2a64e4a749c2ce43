"""Where `voice talk --webrtc` calls."""

import pytest

from transports.webrtc.line import calls_url


@pytest.mark.parametrize(
    ("named", "called"),
    [
        ("ws://127.0.0.1:8080/v1/realtime", "http://127.0.0.1:8080/v1/realtime/calls"),
        ("https://voice.example.com/v1", "https://voice.example.com/v1/realtime/calls"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/v1/realtime/calls"),
    ],
)
def test_a_service_is_named_in_any_usual_way(named: str, called: str) -> None:
    assert calls_url(named, None) == called


def test_the_model_stands_in_the_query() -> None:
    assert calls_url("http://a", "gpt realtime") == "http://a/v1/realtime/calls?model=gpt%20realtime"
