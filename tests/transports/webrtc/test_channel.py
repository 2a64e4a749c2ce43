"""What a peer takes in one message is what it gets."""

import json

from transports.webrtc.channel import fit


def retrieved(audio: str, transcript: str = "hello") -> str:
    part = {"type": "input_audio", "audio": audio, "transcript": transcript}
    item = {"id": "item_1", "type": "message", "role": "user", "content": [part]}
    return json.dumps({"type": "conversation.item.retrieved", "event_id": "event_1", "item": item}, ensure_ascii=False)


def test_what_fits_is_left_alone() -> None:
    event = retrieved("AAAA")
    assert fit(event, 1000) is event


def test_a_peer_without_a_limit_takes_anything() -> None:
    event = retrieved("A" * 100_000)
    assert fit(event, 0) is event


def test_audio_that_is_too_much_is_left_out() -> None:
    shorter = json.loads(fit(retrieved("A" * 100_000), 1000))
    assert shorter["item"]["content"] == [{"type": "input_audio", "transcript": "hello"}]


def test_letters_count_as_the_bytes_that_they_are() -> None:
    event = retrieved("AAAA", "é" * 600)
    assert len(event) < 1000 < len(event.encode())
    assert json.loads(fit(event, 1000))["type"] == "error"


def test_what_cannot_be_made_shorter_is_told_as_an_error() -> None:
    error = json.loads(fit(retrieved("AAAA", "word " * 1000), 1000))
    assert error["type"] == "error"
    assert error["event_id"] == "event_1"
    assert "conversation.item.retrieved" in error["error"]["message"]
