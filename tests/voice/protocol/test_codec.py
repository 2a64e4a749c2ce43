"""Decoding never raises and always says what is wrong; the audio events are right whatever their layout."""

import base64
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice.protocol import client_events as client
from voice.protocol import server_events
from voice.protocol.codec import decode_client_event, encode_audio_delta, encode_server_event

ROOT = Path(__file__).parents[3]
FRAMES = [json.loads(line) for line in (ROOT / "tests/data/realtime_client_events.jsonl").read_text().splitlines()]


def invalid(text: str) -> client.InvalidEvent:
    event = decode_client_event(text)
    assert isinstance(event, client.InvalidEvent)
    return event


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["type"])
def test_the_contracts_client_frame_is_taken(frame: dict[str, Any]) -> None:
    event = decode_client_event(json.dumps(frame))
    assert type(event).__name__ == "".join(word.capitalize() for word in frame["type"].replace(".", "_").split("_"))
    assert not isinstance(event, client.InvalidEvent)
    assert event.event_id == frame.get("event_id")


def test_there_are_eleven_client_events() -> None:
    assert {frame["type"] for frame in FRAMES} == set(client.CLIENT_EVENT_TYPES)
    assert len(client.CLIENT_EVENT_TYPES) == 11


PCM = bytes(range(200))


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"input_audio_buffer.append","audio":"%s","event_id":"mine"}',
        '{"event_id":"mine","audio":"%s","type":"input_audio_buffer.append"}',
        '  {\n "audio" : "%s",\t"type" : "input_audio_buffer.append", "event_id":"mine" }\n',
        '{"type":"input_audio\\u005fbuffer.append","audio":"%s","event_id":"mine"}',
        '{"\\u0074ype":"input_audio_buffer.append","audio":"%s","event_id":"mine"}',
    ],
)
def test_an_append_is_taken_in_any_layout(text: str) -> None:
    event = decode_client_event(text % base64.b64encode(PCM).decode())
    assert event == client.InputAudioBufferAppend(PCM, "mine")


def test_an_append_of_nothing_and_one_of_an_odd_count_are_the_sessions_to_judge() -> None:
    for pcm in (b"", b"\x01"):
        text = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
        assert decode_client_event(text) == client.InputAudioBufferAppend(pcm, None)


def test_an_event_that_only_mentions_an_append_is_no_append() -> None:
    text = json.dumps(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": '"input_audio_buffer.append"'}],
            },
        }
    )
    assert isinstance(decode_client_event(text), client.ConversationItemCreate)
    assert isinstance(
        decode_client_event('{"type":"response.cancel","response_id":"input_audio_buffer.append"}'),
        client.ResponseCancel,
    )


@pytest.mark.parametrize("audio", ["A", "AAA", "AA=A", "AAAA====", "A A A", "äöü", "-_-_", "AAAA\n"])
def test_bad_base64_is_named(audio: str) -> None:
    event = invalid(json.dumps({"type": "input_audio_buffer.append", "audio": audio, "event_id": "mine"}))
    assert (event.code, event.param, event.event_id) == ("invalid_value", "audio", "mine")


def test_fifteen_mebibytes_are_taken_and_one_sample_more_is_not() -> None:
    most = base64.b64encode(bytes(client.MAX_APPEND_BYTES)).decode()
    event = decode_client_event(f'{{"type":"input_audio_buffer.append","audio":"{most}"}}')
    assert isinstance(event, client.InputAudioBufferAppend)
    assert len(event.audio) == client.MAX_APPEND_BYTES
    more = invalid(f'{{"type":"input_audio_buffer.append","audio":"{most}AAAA","event_id":"mine"}}')
    assert (more.code, more.param, more.event_id) == ("invalid_value", "audio", "mine")


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"type":}', "\ud800", '{"type":"\\ud800"}', "[" * 100_000])
def test_what_is_not_json_is_invalid_json(text: str) -> None:
    event = invalid(text)
    assert (event.code, event.param, event.type) == ("invalid_json", None, "invalid_request_error")
    assert event.message.startswith("The event is not valid JSON: ")


@pytest.mark.parametrize("text", ["[]", "1", "null", '"response.cancel"'])
def test_what_is_not_an_object_is_no_event(text: str) -> None:
    assert invalid(text).code == "invalid_type"


def test_an_unknown_type_lists_the_known_ones() -> None:
    event = invalid('{"type":"session.delete","event_id":"mine"}')
    assert (event.code, event.param, event.event_id) == ("invalid_value", "type", "mine")
    assert event.message.startswith("Invalid value: 'session.delete'. Supported values are: 'session.update', ")
    for name in client.CLIENT_EVENT_TYPES:
        assert f"'{name}'" in event.message


def test_an_event_id_that_is_too_long_is_refused_and_not_sent_back() -> None:
    for kind in ('"input_audio_buffer.append","audio":"AAAA"', '"response.cancel"'):
        assert not isinstance(decode_client_event(f'{{"type":{kind},"event_id":"{"x" * 512}"}}'), client.InvalidEvent)
        event = invalid(f'{{"type":{kind},"event_id":"{"x" * 513}"}}')
        assert (event.code, event.param, event.event_id) == ("string_above_max_length", "event_id", None)


def test_a_number_of_thousands_of_digits_does_no_harm() -> None:
    event = invalid(
        '{"type":"conversation.item.truncate","item_id":"i","content_index":-' + "9" * 3000 + ',"audio_end_ms":0}'
    )
    assert len(event.message) < 1000


def test_a_clients_own_text_does_not_fill_the_answer() -> None:
    assert len(invalid(json.dumps({"type": "x" * 100_000})).message) < 1000
    assert len(invalid(json.dumps({"type": "response.cancel", "x" * 100_000: 1})).message) < 1000


@given(st.text())
@example('{"type":"input_audio_buffer.append"')
def test_any_text_is_answered(text: str) -> None:
    assert isinstance(decode_client_event(text), get_args(client.ClientEvent))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_WORDS = """
type session item response audio input output tools format voice content role metadata event_id name text truncation
tool_choice turn_detection prompt variables tracing item_id content_index audio_end_ms
"""
_VALUES = "realtime message function mcp user assistant input_text input_audio server_vad audio/pcm auto inf"
# A key or a value that looks like the label of a union's branch must not confuse the path.
WORDS = st.sampled_from([*_WORDS.split(), "\0text"])
VALUES = st.sampled_from([*_VALUES.split(), "\0text"])
LIKELY = st.recursive(
    VALUES | st.none() | st.integers() | st.booleans() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(ANY_JSON)
def test_any_json_is_answered(value: object) -> None:
    assert isinstance(decode_client_event(json.dumps(value)), get_args(client.ClientEvent))


@settings(max_examples=300)
@given(st.sampled_from(client.CLIENT_EVENT_TYPES), st.dictionaries(WORDS, LIKELY, max_size=4))
def test_any_event_made_of_the_contracts_words_is_answered_with_a_clean_path(kind: str, body: dict[str, Any]) -> None:
    event = decode_client_event(json.dumps({**body, "type": kind}))
    assert isinstance(event, get_args(client.ClientEvent))
    if isinstance(event, client.InvalidEvent):
        assert event.code
        assert event.param is None or "\0" not in event.param


def test_an_audio_delta_reads_like_the_model() -> None:
    text = encode_audio_delta("event_1", "resp_1", "item_1", 2, 3, PCM)
    event = server_events.ResponseOutputAudioDelta(
        event_id="event_1",
        response_id="resp_1",
        item_id="item_1",
        output_index=2,
        content_index=3,
        delta=base64.b64encode(PCM).decode(),
    )
    assert text == encode_server_event(event)
