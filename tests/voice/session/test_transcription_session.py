"""A transcription session writes down what it hears and never answers (contract 3.3)."""

import base64
import json
from typing import Any

import pytest

from voice.engines.port import TokenLogprob, TranscriptDelta, TranscriptDone, TranscriptSegment
from voice.ids import Ids
from voice.protocol.codec import decode_client_event, encode_server_event
from voice.protocol.session_config import AudioConfig, AudioInput, SessionConfig
from voice.protocol.session_fields import TranscriptionConfig
from voice.session.configuration import listening_only
from voice.session.core import SessionTraits
from voice.session.effects import Effect, SendEvent, StartResponse, StartTranscription
from voice.session.session import Session

WINDOW = 768
"""32 ms at 24 kHz."""

LOGPROBS = "item.input_audio_transcription.logprobs"


class Listening:
    """A transcription session, and what it did."""

    def __init__(self) -> None:
        heard = AudioInput(transcription=TranscriptionConfig(model="whisper-1"))
        config = SessionConfig(
            id="sess_1", model="", expires_at=0, type="transcription", audio=AudioConfig(input=heard)
        )
        self.session = Session(listening_only(config), SessionTraits(), Ids("x"))
        self.effects: list[Effect] = self.session.start(0.0)
        self.clock = 0

    def send(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        return self.take(self.session.receive_client_event(decode_client_event(json.dumps(event))))

    def update(self, **session: Any) -> dict[str, Any]:
        (event,) = self.send({"type": "session.update", "session": {"type": "transcription", **session}})
        return event

    def take(self, effects: list[Effect]) -> list[dict[str, Any]]:
        self.effects += effects
        return [json.loads(encode_server_event(effect.event)) for effect in effects if isinstance(effect, SendEvent)]

    def hear(self, windows: int, probability: float) -> list[dict[str, Any]]:
        events = []
        for _ in range(windows):
            audio = base64.b64encode(b"\1\0" * WINDOW).decode()
            events += self.send({"type": "input_audio_buffer.append", "audio": audio})
            self.clock += WINDOW
            verdict = self.session.receive_voice_activity(probability, self.clock - WINDOW, self.clock)
            events += self.take(verdict)
        return events

    def requests(self) -> list[Any]:
        return [effect.request for effect in self.effects if isinstance(effect, StartTranscription)]


@pytest.fixture
def listening() -> Listening:
    return Listening()


def test_it_says_what_it_is(listening: Listening) -> None:
    (created,) = [effect.event for effect in listening.effects if isinstance(effect, SendEvent)]
    session = json.loads(encode_server_event(created))["session"]
    assert session == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": "sess_1",
        "expires_at": 0,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "whisper-1"},
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 200,
                },
            }
        },
        "include": None,
    }


def test_a_turn_is_written_down_and_not_answered(listening: Listening) -> None:
    events = listening.hear(20, 0.9) + listening.hear(20, 0.0)
    kinds = [event["type"] for event in events]
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    (request,) = listening.requests()
    assert request.model == "whisper-1"
    (completed,) = listening.take(
        listening.session.receive_transcription_event(request.item_id, TranscriptDone("Hello"))
    )
    assert completed["transcript"] == "Hello"
    assert not any(isinstance(effect, StartResponse) for effect in listening.effects)


def test_answering_cannot_be_switched_on(listening: Listening) -> None:
    detection = {"type": "server_vad", "create_response": True, "interrupt_response": True, "idle_timeout_ms": 5000}
    updated = listening.update(audio={"input": {"turn_detection": detection}})
    assert updated["type"] == "session.updated"
    assert "create_response" not in updated["session"]["audio"]["input"]["turn_detection"]
    listening.hear(20, 0.9)
    listening.hear(20, 0.0)
    assert not any(isinstance(effect, StartResponse) for effect in listening.effects)


def test_a_response_is_refused(listening: Listening) -> None:
    (error,) = listening.send({"type": "response.create", "event_id": "mine"})
    assert error["error"]["message"] == "A transcription session makes no responses."
    assert error["error"]["event_id"] == "mine"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"model": "gpt-realtime"}, "session.model"),
        ({"instructions": "x"}, "session.instructions"),
        ({"tools": []}, "session.tools"),
        ({"audio": {"output": {"voice": "marin"}}}, "session.audio.output"),
    ],
)
def test_what_only_answering_sessions_have_is_unknown(
    listening: Listening, session: dict[str, Any], param: str
) -> None:
    error = listening.update(**session)["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", param)


def test_the_kinds_cannot_be_mixed(listening: Listening) -> None:
    (error,) = listening.send({"type": "session.update", "session": {"type": "realtime"}})
    assert error["error"]["message"] == (
        "Passing a realtime session update event to a transcription session is not allowed."
    )


def test_streaming_models_have_no_turn_detection(listening: Listening) -> None:
    chosen = {"transcription": {"model": "gpt-realtime-whisper"}}
    wrong = listening.update(audio={"input": {**chosen, "turn_detection": {"type": "server_vad"}}})
    assert wrong["error"]["message"] == "Turn detection is not supported for this transcription model."
    right = listening.update(audio={"input": chosen})
    assert right["session"]["audio"]["input"]["turn_detection"] is None
    listening.hear(20, 0.9)
    events = listening.send({"type": "input_audio_buffer.commit"})
    assert events[0]["type"] == "input_audio_buffer.committed"


def test_log_probabilities_come_to_those_who_ask(listening: Listening) -> None:
    sure = (TokenLogprob("Hi", -0.1),)
    item_id = "item_1"
    (delta,) = listening.take(listening.session.receive_transcription_event(item_id, TranscriptDelta("Hi", sure)))
    assert "logprobs" not in delta
    listening.update(include=[LOGPROBS])
    (delta,) = listening.take(listening.session.receive_transcription_event(item_id, TranscriptDelta("Hi", sure)))
    assert delta["logprobs"] == [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}]
    (done,) = listening.take(listening.session.receive_transcription_event(item_id, TranscriptDone("Hi", sure)))
    assert done["logprobs"] == delta["logprobs"]
    listening.hear(20, 0.9)
    listening.hear(20, 0.0)
    assert listening.requests()[-1].wants_logprobs


def test_an_engine_without_log_probabilities_sends_none(listening: Listening) -> None:
    listening.update(include=[LOGPROBS])
    (done,) = listening.take(listening.session.receive_transcription_event("item_1", TranscriptDone("Hi")))
    assert "logprobs" not in done


def test_who_says_what_is_told(listening: Listening) -> None:
    segment = TranscriptSegment("Hello", "A", 0.5, 1.25)
    (event,) = listening.take(listening.session.receive_transcription_event("item_1", segment))
    assert (event["speaker"], event["start"], event["end"], event["text"]) == ("A", 0.5, 1.25, "Hello")
    assert event["id"].startswith("seg_")
