"""Where an upstream is and how to be let in, in the forms that providers have."""

import pytest

from voice.upstream.options import UpstreamOptions, address, handshake_headers


@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        ("wss://api.openai.com/v1/realtime", "gpt-realtime", "wss://api.openai.com/v1/realtime?model=gpt-realtime"),
        ("https://api.openai.com/v1", "gpt-realtime", "wss://api.openai.com/v1/realtime?model=gpt-realtime"),
        ("ws://127.0.0.1:8081/v1/realtime?model=a", None, "ws://127.0.0.1:8081/v1/realtime?model=a"),
        (
            "https://me.openai.azure.com/openai/v1/",
            "my-deployment",
            "wss://me.openai.azure.com/openai/v1/realtime?model=my-deployment",
        ),
        (
            "https://me.openai.azure.com/openai/realtime?api-version=2025-08-28&deployment=mine",
            "gpt-realtime",
            "wss://me.openai.azure.com/openai/realtime?api-version=2025-08-28&deployment=mine",
        ),
    ],
)
def test_the_address_of_a_providers_form(url, model, expected):
    assert address(UpstreamOptions(url, model)) == expected


def test_azure_takes_its_key_in_a_header_of_its_own():
    headers = handshake_headers(UpstreamOptions("https://me.openai.azure.com/openai/v1", key="k"), "id", None)
    assert headers["api-key"] == "k"
    assert "Authorization" not in headers


def test_everyone_else_takes_a_bearer_and_learns_who_asks():
    options = UpstreamOptions("wss://api.openai.com/v1", key="k", headers={"OpenAI-Project": "p"})
    assert handshake_headers(options, "upstream_1", "hash") == {
        "Authorization": "Bearer k",
        "OpenAI-Project": "p",
        "X-Client-Request-Id": "upstream_1",
        "OpenAI-Safety-Identifier": "hash",
    }


def test_a_key_stays_out_of_the_text_form():
    assert "secret" not in repr(UpstreamOptions("wss://a/v1", key="secret", headers={"x": "secret"}))


def test_a_transcription_session_is_asked_for_by_its_intent_and_without_a_model():
    options = UpstreamOptions("wss://api.openai.com/v1/realtime?model=x", "gpt-realtime")
    assert address(options, "transcription") == "wss://api.openai.com/v1/realtime?intent=transcription"


def test_a_translation_has_a_path_and_a_model_of_its_own() -> None:
    options = UpstreamOptions("https://api.openai.com/v1", "gpt-realtime")
    url = "wss://api.openai.com/v1/realtime/translations?model=gpt-realtime-translate"
    assert address(options, "translation") == url
