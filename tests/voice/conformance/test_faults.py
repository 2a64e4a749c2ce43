"""The kit holds a right server to be right, and finds each fault of a wrong one, with the frame that shows it."""

from dataclasses import replace
from typing import Any

import pytest

from voice.conformance.flows import all_flows, chosen
from voice.conformance.play import play
from voice.conformance.wire import Refused, WireClosed

Frame = dict[str, Any]

NOT_HERE = {"idle timeout", "set audio.input.turn_detection"}
"""These lean on a clock that goes on."""

RACES = {"speed while a response runs", "cancel", "cancel out of band", "two answers at once"}
"""Here an answer takes no time: it may be over before the client interferes."""

PLAYABLE = [
    flow.name
    for flow in all_flows()
    if flow.connects
    and not flow.needs_speech
    and flow.family in ("session", "text", "audio", "items", "tools", "out_of_band", "errors")
    and flow.name not in NOT_HERE
]


@pytest.mark.parametrize("name", PLAYABLE)
async def test_a_right_server_is_right(play_flow, name):
    result = await play_flow(name)
    assert result.violations == []
    excused = {"image": "not served", **dict.fromkeys(RACES, "skipped")}
    assert result.outcome in ("held", excused.get(name))


# --- Faults ---------------------------------------------------------------------------------------------------------


def dropped(type: str):
    return lambda frame: [] if frame["type"] == type else [frame]


def changed(type: str, path: str, value: Any):
    """Set a field of each frame of a type; a callable makes it of what is there."""

    def fault(frame: Frame) -> list[Any]:
        if frame["type"] == type:
            *steps, last = path.split(".")
            place: Any = frame
            for step in steps:
                place = place[int(step)] if step.isdigit() else place[step]
            place[last] = value(place[last]) if callable(value) else value
        return [frame]

    return fault


def removed(type: str, path: str):
    def fault(frame: Frame) -> list[Any]:
        if frame["type"] == type:
            *steps, last = path.split(".")
            place: Any = frame
            for step in steps:
                place = place[step]
            del place[last]
        return [frame]

    return fault


def swapped(first: str, second: str):
    """Hold a frame back until another has gone."""
    held: list[Frame] = []

    def fault(frame: Frame) -> list[Any]:
        if frame["type"] == first:
            held.append(frame)
            return []
        return [frame, *(held.pop() for _ in range(len(held)))] if frame["type"] == second else [frame]

    return fault


def replaced(type: str, *others: Any):
    return lambda frame: list(others) if frame["type"] == type else [frame]


def twice(type: str, **changes: Any):
    return lambda frame: [frame, {**frame, **changes}] if frame["type"] == type else [frame]


def error_frame() -> Frame:
    body = {"type": "server_error", "code": None, "message": "no", "param": None, "event_id": None}
    return {"type": "error", "event_id": "event_error", "error": body}


def silent(frame: Frame) -> list[Any]:
    return [frame] if frame["type"] == "session.created" else []


FAULTS: dict[str, tuple[str, Any, str, str | None]] = {
    # what is wrong: the flow that meets it, the fault, what the kit says, the type of the frame that it shows
    "done is missing": ("text turn", dropped("response.done"), "response.done did not come", "rate_limits.updated"),
    "an item is never done": ("text turn", dropped("conversation.item.done"), "conversation.item.done", None),
    "limits are missing": ("text turn", dropped("rate_limits.updated"), "rate_limits.updated did not come", None),
    "a delta is missing": ("text turn", dropped("response.output_text.delta"), "differs from its deltas", None),
    "part ends before its text": (
        "text turn",
        swapped("response.output_text.done", "response.content_part.done"),
        "had not come",
        "response.content_part.done",
    ),
    "item ends before its part": (
        "text turn",
        swapped("response.content_part.done", "response.output_item.done"),
        "a part of it is open",
        "response.output_item.done",
    ),
    "an event after the end": (
        "text turn",
        swapped("response.output_item.done", "response.done"),
        "is done already",
        "response.output_item.done",
    ),
    "the session is not first": (
        "text turn",
        replaced("session.created", {"type": "rate_limits.updated", "event_id": "event_early", "rate_limits": []}),
        "the first frame is rate_limits.updated",
        "rate_limits.updated",
    ),
    "null status of an item": (
        "text turn",
        changed("conversation.item.added", "item.status", None),
        "item.status is null",
        "conversation.item.added",
    ),
    "null text of a part": (
        "text turn",
        changed("response.content_part.added", "part.text", None),
        "part.text is null",
        "response.content_part.added",
    ),
    "null arguments": (
        "function call",
        changed("response.function_call_arguments.done", "arguments", None),
        "arguments",
        "response.function_call_arguments.done",
    ),
    "usage is absent": ("text turn", removed("response.done", "response.usage"), "response.usage is missing", None),
    "previous_item_id is absent": (
        "text turn",
        removed("conversation.item.added", "previous_item_id"),
        "previous_item_id is missing",
        "conversation.item.added",
    ),
    "event_id is absent": ("text turn", removed("response.created", "event_id"), "event_id", "response.created"),
    "a name of the beta": (
        "text turn",
        changed("response.output_text.delta", "type", "response.text.delta"),
        "'response.text.delta' is no server event",
        "response.text.delta",
    ),
    "a legacy event": (
        "text turn",
        changed("conversation.item.added", "type", "conversation.item.created"),
        "a name of the beta",
        "conversation.item.created",
    ),
    "no type at all": ("text turn", removed("response.created", "type"), "None is no server event", None),
    "a field that nobody knows": (
        "text turn",
        lambda frame: [{**frame, "colour": "green"}],
        ".colour is a field that no type names",
        "session.created",
    ),
    "a number as text": (
        "text turn",
        changed("response.output_text.delta", "output_index", "0"),
        "output_index",
        "response.output_text.delta",
    ),
    "an unknown status": (
        "text turn",
        changed("response.done", "response.status", "finished"),
        "response.status",
        "response.done",
    ),
    "usage does not add up": (
        "text turn",
        changed("response.done", "response.usage.total_tokens", lambda tokens: tokens + 1),
        "usage: total is",
        "response.done",
    ),
    "event_id twice": ("text turn", twice("response.output_text.done"), "came before", "response.output_text.done"),
    "a part's end twice": (
        "text turn",
        twice("response.output_text.done", event_id="event_again"),
        "response.output_text.done: twice",
        "response.output_text.done",
    ),
    "output that was never made": (
        "text turn",
        changed("response.done", "response.output", []),
        "output differs from the items that were done",
        "response.done",
    ),
    "audio that is no base64": (
        "audio answer",
        changed("response.output_audio.delta", "delta", "no base64"),
        "delta is not base64",
        "response.output_audio.delta",
    ),
    "silence": (
        "audio answer",
        changed("response.output_audio.delta", "delta", lambda delta: "A" * len(delta)),
        "the audio is silent",
        None,
    ),
    "half a sample": (
        "audio answer",
        changed("response.output_audio.delta", "delta", "AA=="),
        "half a sample",
        None,
    ),
    "a format without its type": (
        "audio answer",
        changed("response.created", "response.audio.output.format", {}),
        "format.type is missing",
        "response.created",
    ),
    "metadata is not echoed": (
        "overrides and metadata",
        changed("response.done", "response.metadata", None),
        "response.metadata is None",
        "response.done",
    ),
    "out of band in the conversation": (
        "out of band",
        changed("response.created", "response.conversation_id", "conv_1"),
        "response.conversation_id is 'conv_1'",
        "response.created",
    ),
    "an update that loses a field": (
        "merge by presence",
        changed("session.updated", "session.instructions", ""),
        "instructions is ''",
        "session.updated",
    ),
    "two answers to an update": (
        "session.update",
        twice("session.updated", event_id="event_again"),
        "session.updated came and must not",
        "session.updated",
    ),
    "an error that names nobody": (
        "unknown field",
        changed("error", "error.event_id", None),
        "error.event_id is None",
        "error",
    ),
    "an error with another code": (
        "delete nobody",
        changed("error", "error.code", "oops"),
        "error.code is 'oops'",
        "error",
    ),
    "an error that is none of ours": (
        "text turn",
        lambda frame: [error_frame()] if frame["type"] == "response.created" else [frame],
        "an error came instead of response.created: no",
        "error",
    ),
    "it never answers": ("text turn", silent, "conversation.item.added did not come", "session.created"),
    "it says nothing at all": ("text turn", lambda _: [], "session.created did not come", None),
    "it hangs up": (
        "text turn",
        replaced("response.created", WireClosed(1011, "oops")),
        "the server hung up (1011 oops) before response.created",
        "conversation.item.done",
    ),
    "no JSON": ("text turn", replaced("rate_limits.updated", "{nonsense"), "a frame is no JSON object", None),
    "a list": ("text turn", replaced("rate_limits.updated", "[]"), "a frame is no JSON object", None),
    "a binary frame": ("text turn", replaced("rate_limits.updated", b"\0"), "a binary frame", None),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_found_and_shown(server, play_flow, name):
    flow, server.fault, text, shown = FAULTS[name]
    result = await play_flow(flow)
    assert result.outcome == "failed"
    found = [violation for violation in result.violations if text in violation.text]
    assert found, [violation.text for violation in result.violations]
    if shown is not None:
        assert found[0].frame is not None
        assert found[0].frame["type"] == shown


async def test_a_refused_connection_is_a_result(server, play_flow):
    server.refuses = Refused(429, b'{"error": {"message": "too many"}}')
    result = await play_flow("text turn")
    assert (result.outcome, result.violations[0].frame) == (
        "failed",
        {"status": 429, "body": {"error": {"message": "too many"}}},
    )


async def test_a_flow_that_does_not_end_is_a_result(server):
    async def endless(client: Any) -> None:
        await client.expect("response.done", timeout_s=3600)

    (flow,) = chosen(["text turn"])
    result = await play(server, replace(flow, play=endless, timeout_s=0.05), None)
    assert (result.outcome, result.reason) == ("failed", "did not end within 0 s")


async def test_flows_that_need_speech_are_skipped_without(play_flow):
    result = await play_flow("spoken turn")
    assert result.outcome == "skipped"
    assert "--speech" in result.reason
