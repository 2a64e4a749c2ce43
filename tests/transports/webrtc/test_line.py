"""Where `voice talk --webrtc` calls, and what it is told there."""

import base64
import json
from typing import Any

import pytest

from transports.webrtc.line import MAX_EVENTS, Reception, calls_url

LOUD = b"\x00\x20" * 480
SILENT = bytes(960)
PLAYING = (
    {"type": "response.content_part.added", "response_id": "r1", "item_id": "a1", "part": {"type": "audio"}},
    {"type": "output_audio_buffer.started", "response_id": "r1"},
)


def told(*events: dict[str, Any]) -> Reception:
    reception = Reception()
    for event in events:
        reception.receive(json.dumps(event))
    return reception


def taken(reception: Reception) -> list[dict[str, Any]]:
    return list(iter(reception.take, None))


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


def test_sound_of_the_track_stands_among_the_events_as_that_of_the_item_that_plays() -> None:
    reception = told(*PLAYING)
    for pcm in (SILENT, LOUD, SILENT):
        reception.hear(pcm)
    reception.receive(json.dumps({"type": "output_audio_buffer.stopped", "response_id": "r1"}))
    reception.hear(LOUD)
    events = taken(reception)
    kinds = [event["type"] for event in events]
    delta = "response.output_audio.delta"
    assert kinds == [*(event["type"] for event in PLAYING), delta, delta, "output_audio_buffer.stopped"]
    assert (events[2]["response_id"], events[2]["item_id"]) == ("r1", "a1")
    assert base64.b64decode(events[2]["delta"]) == LOUD


def test_sound_between_answers_is_nobody_s() -> None:
    reception = told()
    reception.hear(LOUD)
    assert taken(reception) == []


@pytest.mark.parametrize("message", ["{", "[]", "{}", '{"type":"response.content_part.added"}', b"\xff"])
def test_a_service_that_sends_no_events_is_hung_up_on(message: str | bytes) -> None:
    reception = Reception()
    reception.receive(message)
    assert "no event" in reception.over


def test_who_takes_nothing_for_a_minute_hears_no_more() -> None:
    reception = told(*PLAYING)
    for _ in range(MAX_EVENTS):
        reception.hear(LOUD)
    assert "not taken" in reception.over
    assert len(taken(reception)) == MAX_EVENTS


def test_the_first_reason_holds() -> None:
    reception = Reception()
    reception.end("the service is gone")
    reception.end("hung up here")
    assert reception.over == "the service is gone"
