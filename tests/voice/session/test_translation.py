"""A translation session, stepped by hand: speech in, speech out, and the end of both."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import EngineComplaint
from voice.engines.translator import SourceText, TranslatedAudio, TranslatedText, TranslatorSettings
from voice.errors import EngineUnavailable
from voice.ids import Ids
from voice.protocol.codec import encode_server_event
from voice.protocol.session_fields import NoiseReduction
from voice.protocol.translation import (
    TranslationAudio,
    TranslationConfig,
    TranslationInput,
    decode_translation_event,
)
from voice.session.effects import CloseSession, SendEvent
from voice.session.translation import (
    ConfigureTranslator,
    FinishTranslation,
    TranslateAudio,
    TranslationEffect,
    TranslationSession,
)

SPOKEN = frozenset({"es", "de"})
NOISE = np.random.default_rng(5).normal(0, 300, 3 * CORE_RATE_HZ).astype("<i2").tobytes()
STEP = b"\x01\x00" * (CORE_RATE_HZ // 5)


class Stepper:
    def __init__(self, **heard: Any) -> None:
        audio = TranslationAudio(input=TranslationInput(**heard))
        config = TranslationConfig(id="sess_1", model="gpt-realtime-translate", expires_at=60, audio=audio)
        self.session = TranslationSession(config, Ids(), languages=SPOKEN, max_duration_s=60.0)
        self.started = self.session.start(0.0)

    def send(self, event: dict[str, Any] | str) -> list[TranslationEffect]:
        text = event if isinstance(event, str) else json.dumps(event)
        return self.session.receive_client_event(decode_translation_event(text))

    def append(self, pcm: bytes) -> list[TranslationEffect]:
        return self.send({"type": "session.input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def update(self, **audio: Any) -> list[TranslationEffect]:
        return self.send({"type": "session.update", "session": {"audio": audio}})


@pytest.fixture
def stepper() -> Stepper:
    return Stepper()


def events(effects: list[TranslationEffect]) -> list[dict[str, Any]]:
    return [json.loads(encode_server_event(effect.event)) for effect in effects if isinstance(effect, SendEvent)]


def heard(effects: list[TranslationEffect]) -> list[AudioFrame]:
    return [effect.frame for effect in effects if isinstance(effect, TranslateAudio)]


def error(effects: list[TranslationEffect]) -> dict[str, Any]:
    (event,) = events(effects)
    assert event["type"] == "error"
    found: dict[str, Any] = event["error"]
    return found


def test_it_begins_with_its_configuration(stepper: Stepper) -> None:
    (created,) = events(stepper.started)
    assert created["type"] == "session.created"
    assert created["session"] == {
        "id": "sess_1",
        "type": "translation",
        "expires_at": 60,
        "model": "gpt-realtime-translate",
        "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {}},
    }


def test_audio_is_handed_on_in_steps_of_200_ms_shorter_waits_longer_is_split(stepper: Stepper) -> None:
    assert heard(stepper.append(STEP[:100])) == []
    assert [frame.pcm for frame in heard(stepper.append(STEP[100:]))] == [STEP]
    assert [frame.duration_ms for frame in heard(stepper.append(STEP * 3 + STEP[:960]))] == [200, 200, 200]


def test_frames_are_contiguous(stepper: Stepper) -> None:
    frames = heard(stepper.append(STEP * 3))
    assert [frame.pts for frame in frames] == [0, len(STEP) // 2, len(STEP)]


def test_what_is_said_says_how_much_of_the_speech_was_there(stepper: Stepper) -> None:
    stepper.append(STEP * 6)
    (event,) = events(stepper.session.receive_translated(TranslatedText("hola")))
    assert event["type"] == "session.output_transcript.delta"
    assert (event["delta"], event["elapsed_ms"]) == ("hola", 1200)
    (event,) = events(stepper.session.receive_translated(TranslatedAudio(AudioFrame(STEP, CORE_RATE_HZ))))
    assert base64.b64decode(event.pop("delta")) == STEP
    event.pop("event_id")
    assert event == {
        "type": "session.output_audio.delta",
        "sample_rate": 24000,
        "channels": 1,
        "format": "pcm16",
        "elapsed_ms": 1200,
    }


def test_the_callers_own_words_come_only_where_they_are_asked_for(stepper: Stepper) -> None:
    assert stepper.session.receive_translated(SourceText("hello")) == []
    stepper.update(input={"transcription": {"model": "gpt-realtime-whisper"}})
    (event,) = events(stepper.session.receive_translated(SourceText("hello")))
    assert (event["type"], event["delta"]) == ("session.input_transcript.delta", "hello")
    stepper.update(input={"transcription": None})
    assert stepper.session.receive_translated(SourceText("hello")) == []


def test_what_the_translator_complains_of_is_an_error_for_the_client_and_no_end(stepper: Stepper) -> None:
    effects = stepper.session.receive_translated(EngineComplaint("invalid_value", "No such language."))
    told = error(effects)
    assert (told["code"], told["message"], told["param"]) == ("invalid_value", "No such language.", "session")
    assert heard(stepper.append(STEP)) != []


def test_an_update_changes_what_it_names_and_tells_the_translator(stepper: Stepper) -> None:
    stepper.update(input={"transcription": {"model": "gpt-realtime-whisper"}})
    effects = stepper.update(output={"language": "es"})
    assert ConfigureTranslator(TranslatorSettings("es", "gpt-realtime-whisper")) in effects
    (updated,) = events(effects)
    assert updated["session"]["audio"] == {
        "input": {"transcription": {"model": "gpt-realtime-whisper"}, "noise_reduction": None},
        "output": {"language": "es"},
    }


def test_noise_reduction_is_merged_and_loses_no_sample(stepper: Stepper) -> None:
    effects = stepper.append(STEP[:960])
    stepper.update(input={"noise_reduction": {"type": "far_field"}})
    (updated,) = events(stepper.update(input={"noise_reduction": {"strength": 0.5}}))
    assert updated["session"]["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.5}
    effects += stepper.append(STEP * 4)
    effects += stepper.send({"type": "session.close"})
    assert sum(len(frame.pcm) for frame in heard(effects)) == len(STEP) * 4 + 960


@pytest.mark.parametrize("is_opened_with_it", [True, False])
def test_noise_is_reduced_whether_a_session_opens_with_that_or_asks_for_it(is_opened_with_it: bool) -> None:
    stepper = Stepper(noise_reduction=NoiseReduction(type="near_field")) if is_opened_with_it else Stepper()
    if not is_opened_with_it:
        stepper.update(input={"noise_reduction": {"type": "near_field"}})
    frames = heard(stepper.append(NOISE))
    assert loudness(frames[-1].pcm) < loudness(NOISE) / 2


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.square(np.frombuffer(pcm, "<i2").astype(float)).mean()))


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"session": {"type": "translation"}}, "unknown_parameter", "session.type"),
        ({"session": {"model": "other"}}, "unknown_parameter", "session.model"),
        ({"session": {"audio": {"output": {"voice": "alloy"}}}}, "unknown_parameter", "session.audio.output.voice"),
        (
            {"session": {"audio": {"input": {"turn_detection": None}}}},
            "unknown_parameter",
            "session.audio.input.turn_detection",
        ),
        (
            {"session": {"audio": {"input": {"transcription": {}}}}},
            "missing_required_parameter",
            "session.audio.input.transcription.model",
        ),
        (
            {"session": {"audio": {"input": {"noise_reduction": {"strength": 1.0}}}}},
            "missing_required_parameter",
            "session.audio.input.noise_reduction.type",
        ),
        ({"session": {"audio": {"output": {"language": "fr"}}}}, "invalid_value", "session.audio.output.language"),
        (
            {"session": {"audio": {"output": {"language": "no language"}}}},
            "invalid_value",
            "session.audio.output.language",
        ),
        ({}, "missing_required_parameter", "session"),
    ],
)
def test_a_bad_update_is_refused_whole(stepper: Stepper, event: dict[str, Any], code: str, param: str) -> None:
    stepper.update(output={"language": "de"})
    found = error(stepper.send({"type": "session.update", "event_id": "mine", **event}))
    assert (found["code"], found["param"], found["event_id"]) == (code, param, "mine")
    assert stepper.session.settings.language == "de"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "invalid_json"),
        ("[]", "invalid_type"),
        ('{"type":"response.create"}', "invalid_value"),
        ('{"type":"input_audio_buffer.append","audio":""}', "invalid_value"),
        ('{"type":"session.input_audio_buffer.append","audio":"?"}', "invalid_value"),
        ('{"type":"session.input_audio_buffer.append","audio":"AA=="}', "invalid_value"),
        ('{"type":"session.input_audio_buffer.append"}', "missing_required_parameter"),
        ('{"type":"session.close","now":true}', "unknown_parameter"),
    ],
)
def test_what_is_no_event_of_a_translation_is_refused_and_the_session_goes_on(
    stepper: Stepper, text: str, code: str
) -> None:
    assert error(stepper.send(text))["code"] == code
    assert heard(stepper.append(STEP))


def test_closing_translates_the_rest_and_then_ends(stepper: Stepper) -> None:
    stepper.append(STEP[:960])
    effects = stepper.send({"type": "session.close"})
    assert [frame.pcm for frame in heard(effects)] == [STEP[:960]]
    assert effects[-1] == FinishTranslation()
    (event,) = events(stepper.session.receive_translated(TranslatedText("hola")))
    assert event["elapsed_ms"] == 200
    effects = stepper.session.receive_finished()
    assert [event["type"] for event in events(effects)] == ["session.closed"]
    assert effects[-1] == CloseSession(1000, "")


def test_what_comes_after_closing_is_refused(stepper: Stepper) -> None:
    stepper.send({"type": "session.close"})
    assert error(stepper.append(STEP))["code"] == "session_closing"
    assert error(stepper.send({"type": "session.close"}))["code"] == "session_closing"


def test_its_time_ends_it(stepper: Stepper) -> None:
    assert stepper.session.next_deadline() == 60.0
    assert stepper.session.handle_timer(59.0) == []
    effects = stepper.session.handle_timer(60.0)
    assert error(effects)["code"] == "session_expired"
    assert isinstance(effects[-1], CloseSession)
    assert effects[-1].code == 1001
    assert stepper.session.next_deadline() is None


def test_a_translator_that_is_gone_ends_it_in_words(stepper: Stepper) -> None:
    effects = stepper.session.receive_failure(EngineUnavailable("The upstream is gone."))
    assert error(effects)["message"] == "The upstream is gone."
    assert effects[-1] == CloseSession(1011, "The upstream is gone.")
