"""What a client may say, and in which words the rest is refused (contract 3, 4.1, 4.15)."""

import json
from pathlib import Path
from typing import Any

import pytest

from voice.protocol import client_events as client
from voice.protocol.codec import decode_client_event
from voice.protocol.items import (
    ContentPart,
    FunctionCallOutputItem,
    ItemReference,
    McpApprovalResponseItem,
    MessageItem,
)


def decode(kind: str, **fields: Any) -> client.ClientEvent:
    return decode_client_event(json.dumps({"type": kind, "event_id": "mine", **fields}))


def user(*parts: Any) -> dict[str, Any]:
    return {"item": {"type": "message", "role": "user", "content": list(parts)}}


def session(**fields: Any) -> dict[str, Any]:
    return {"session": {"type": "realtime", **fields}}


def heard(**fields: Any) -> dict[str, Any]:
    return session(audio={"input": fields})


UPDATE, CREATE, RESPOND = "session.update", "conversation.item.create", "response.create"
ROOT = Path(__file__).parents[3]
BAD = [json.loads(line) for line in (ROOT / "tests/data/bad_client_events.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad['event']['type']}-{bad['param']}-{bad['code']}")
def test_a_bad_event_is_refused_with_code_path_and_event_id(bad: dict[str, Any]) -> None:
    event = decode_client_event(json.dumps({**bad["event"], "event_id": "mine"}))
    assert isinstance(event, client.InvalidEvent)
    assert (event.code, event.param, event.event_id) == (bad["code"], bad["param"], "mine")
    assert event.type == "invalid_request_error"


def test_a_tools_schema_may_not_be_deeper_than_can_be_sent_back() -> None:
    deep: dict[str, Any] = {}
    for _ in range(200):
        deep = {"properties": deep}
    event = decode(UPDATE, **session(tools=[{"type": "function", "name": "f", "parameters": deep}]))
    assert isinstance(event, client.InvalidEvent)
    assert (event.code, event.param) == ("invalid_value", "session.tools[0].parameters")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (session(voice="x"), "Unknown parameter: 'session.voice'."),
        ({"session": {}}, "Missing required parameter: 'session.type'."),
        ({"session": {"type": "x"}}, "Invalid value: 'x'. Supported values are: 'realtime' and 'transcription'."),
        (session(tool_choice="x"), "Invalid value: 'x'. Supported values are: 'none', 'auto', and 'required'."),
        (
            session(instructions=1),
            "Invalid type for 'session.instructions': expected a string, but got an integer instead.",
        ),
        (
            session(max_output_tokens=0),
            "Invalid 'session.max_output_tokens': integer below minimum value. "
            "Expected a value >= 1, but got 0 instead.",
        ),
        (
            heard(turn_detection={"type": "server_vad", "prefix_padding_ms": 10**400}),
            "Invalid 'session.audio.input.turn_detection.prefix_padding_ms': integer above maximum value. "
            "Expected a value <= 86400000, but got a number of more than 18 digits instead.",
        ),
        (
            session(output_modalities=["audio", "text"]),
            "Invalid modalities: ['audio', 'text']. Supported combinations are: ['text'] and ['audio'].",
        ),
    ],
)
def test_the_words_are_those_of_the_real_service(fields: dict[str, Any], message: str) -> None:
    event = decode(UPDATE, **fields)
    assert isinstance(event, client.InvalidEvent)
    assert event.message == message


def test_what_was_said_and_what_was_not_can_be_told_apart() -> None:
    event = decode(UPDATE, **heard(turn_detection=None))
    assert isinstance(event, client.SessionUpdate)
    assert event.session.model_fields_set == {"type", "audio"}
    assert event.session.audio.model_fields_set == {"input"}
    assert event.session.audio.input.model_fields_set == {"turn_detection"}
    assert event.session.audio.input.turn_detection is None


def test_a_response_without_context_differs_from_one_with_the_conversation() -> None:
    empty, whole = decode(RESPOND, response={"input": []}), decode(RESPOND, response={})
    assert isinstance(empty, client.ResponseCreate)
    assert isinstance(whole, client.ResponseCreate)
    assert empty.response is not None
    assert empty.response.input == []
    assert whole.response is not None
    assert whole.response.input is None


@pytest.mark.parametrize("response", [None, {}])
def test_a_response_needs_no_parameters(response: dict[str, Any] | None) -> None:
    assert isinstance(decode(RESPOND, response=response), client.ResponseCreate)
    assert isinstance(decode(RESPOND), client.ResponseCreate)


@pytest.mark.parametrize(
    ("most", "more", "param"),
    [
        ({f"k{number}": "" for number in range(16)}, {"k16": ""}, "response.metadata"),
        ({"k" * 64: "v"}, {"k" * 65: "v"}, "response.metadata"),
        ({"k": "v" * 512}, {"l": "v" * 513}, "response.metadata.l"),
    ],
)
def test_metadata_has_bounds(most: dict[str, str], more: dict[str, str], param: str) -> None:
    assert isinstance(decode(RESPOND, response={"metadata": most}), client.ResponseCreate)
    refused = decode(RESPOND, response={"metadata": most | more})
    assert isinstance(refused, client.InvalidEvent)
    assert refused.param == param


def test_a_response_takes_references_beside_items() -> None:
    event = decode(RESPOND, response={"input": [{"type": "item_reference", "id": "item_1"}, user()["item"]]})
    assert isinstance(event, client.ResponseCreate)
    assert event.response is not None
    assert event.response.input == [ItemReference(id="item_1"), MessageItem(role="user", content=[])]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Topic changed."}]},
            MessageItem(role="system", content=[ContentPart(type="input_text", text="Topic changed.")]),
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Earlier."}]},
            MessageItem(role="assistant", content=[ContentPart(type="output_text", text="Earlier.")]),
        ),
        (
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAA="}], "id": "x"},
            MessageItem(role="user", content=[ContentPart(type="input_audio", audio="AAA=")], id="x"),
        ),
        (
            {"type": "function_call_output", "call_id": "call_1", "output": "{}", "object": "realtime.item"},
            FunctionCallOutputItem(call_id="call_1", output="{}"),
        ),
        (
            {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
            McpApprovalResponseItem(approval_request_id="mcpr_1", approve=True),
        ),
    ],
)
def test_what_a_client_may_create(item: dict[str, Any], expected: object) -> None:
    event = decode(CREATE, item=item)
    assert isinstance(event, client.ConversationItemCreate)
    assert event.item == expected


def test_mcp_tools_and_semantic_turns_are_understood() -> None:
    tool = {"type": "mcp", "server_label": "x", "server_url": "https://x", "require_approval": {"never": {}}}
    assert isinstance(decode(UPDATE, **session(tools=[{**tool, "allowed_tools": ["a"]}])), client.SessionUpdate)
    assert isinstance(decode(UPDATE, **heard(turn_detection={"type": "semantic_vad"})), client.SessionUpdate)
