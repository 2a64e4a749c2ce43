"""Requests and answers of `/v1/audio`."""

from typing import Any

import pytest
from openai.types.audio import Transcription, TranscriptionVerbose

from voice.errors import ContractError
from voice.rest.audio import (
    SpeechRequest,
    TranscriptionForm,
    parse,
    parse_json,
    subtitles,
    transcription_json,
    verbose_json,
)
from voice.rest.service import Segment

SEGMENTS = [Segment(0.0, 1.9785, "Hello."), Segment(3661.5, 3662.0, "Bye.")]
SPEECH: dict[str, Any] = {"model": "tts-1", "input": "Hello", "voice": "alloy"}


def test_speech_has_the_defaults_of_the_original() -> None:
    asked = parse(SpeechRequest, SPEECH)
    assert (asked.response_format, asked.speed, asked.stream_format) == ("mp3", 1.0, "audio")
    assert asked.voice_among(()) == "alloy"


def test_a_voice_of_this_machine_may_be_asked_for() -> None:
    assert parse(SpeechRequest, SPEECH | {"voice": {"id": "heart"}}).voice_among(["heart"]) == "heart"
    with pytest.raises(ContractError, match="'heart'") as refused:
        parse(SpeechRequest, SPEECH | {"voice": "nobody"}).voice_among(["heart"])
    assert refused.value.param == "voice"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "  \n"}, "input"),
        ({"input": "x" * 4097}, "input"),
        ({"speed": 5.0}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"voice": 5}, "voice"),
    ],
)
def test_speech_that_cannot_be_made_is_refused_by_name(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse(SpeechRequest, SPEECH | changes)
    assert refused.value.param == param


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(ContractError, match="parse"):
        parse_json(SpeechRequest, b"{")


def test_a_form_of_strings_is_read() -> None:
    form = parse(TranscriptionForm, {"model": "whisper-1", "stream": "true", "temperature": "0.5"})
    assert form.stream
    form.check()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "model"),
        ({"model": "m", "response_format": "diarized_json"}, "response_format"),
        ({"model": "m", "timestamp_granularities": ("word",)}, "timestamp_granularities"),
        ({"model": "m", "include": ("logprobs",)}, "include"),
        ({"model": "m", "stream": "perhaps"}, "stream"),
    ],
)
def test_a_transcription_that_cannot_be_given_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse(TranscriptionForm, fields).check()
    assert refused.value.param == param


def test_the_official_types_take_both_forms_of_json() -> None:
    short = Transcription.model_validate(transcription_json(SEGMENTS, 4.0))
    assert short.text == "Hello. Bye."
    verbose = verbose_json(SEGMENTS, 4.0, None)
    assert TranscriptionVerbose.model_validate(verbose | {"segments": None}).language == "en"
    assert [(segment["start"], segment["end"]) for segment in verbose["segments"]] == [(0.0, 1.978), (3661.5, 3662.0)]


def test_subtitles_have_their_times() -> None:
    assert subtitles(SEGMENTS, "srt") == (
        "1\n00:00:00,000 --> 00:00:01,978\nHello.\n\n2\n01:01:01,500 --> 01:01:02,000\nBye.\n"
    )
    assert subtitles(SEGMENTS[:1], "vtt") == "WEBVTT\n\n00:00:00.000 --> 00:00:01.978\nHello.\n"
    assert subtitles([], "srt") == ""
