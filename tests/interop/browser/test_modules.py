"""The page's pure modules, in the browser that runs them: events in, lines and bars out."""

from typing import Any

import pytest

from tests.interop.browser.conftest import Visit
from voice.talk.service import ServiceProcess

CAPTIONS = """async (events) => {
  const { Captions } = await import("/console/captions.js");
  const captions = new Captions();
  for (const event of events) captions.receive(event);
  return [captions.lines, captions.history()];
}"""

TURNS = """async (timed) => {
  const { Turns, waited, waterfall } = await import("/console/latency.js");
  const turns = new Turns();
  for (const [now, event] of timed) event === "heard" ? turns.heard(now) : turns.receive(event, now);
  return turns.list.map((turn) => [turn.kind, turn.label, waited(turn), waterfall(turn)]);
}"""

MATCHES = """async ([filter, types]) => {
  const { matches } = await import("/console/inspector.js");
  return types.filter((type) => matches(filter, type));
}"""

RETRIES = """async (chance) => {
  const { retries } = await import("/console/retries.js");
  return [...retries(() => chance)];
}"""

RESUMED = """async ([history, events]) => {
  const { Resumption } = await import("/console/resume.js");
  const resumption = new Resumption(history);
  const told = events.map((event) => (event === "asked" ? resumption.asked() : resumption.receive(event)));
  return [told.map((each) => each?.shown), told.flatMap((each) => each?.replies ?? []), resumption.isHushed];
}"""


def message(item_id: str, role: str, status: str = "completed", *content: dict[str, Any]) -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": role, "status": status, "content": list(content)}


def added(item: dict[str, Any], previous: str | None = None) -> dict[str, Any]:
    return {"type": "conversation.item.added", "item": item, "previous_item_id": previous}


def transcribed(item_id: str, transcript: str) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item_id, "content_index": 0, "transcript": transcript}


def said(item_id: str, delta: str) -> dict[str, Any]:
    return {"type": "response.output_audio_transcript.delta", "response_id": "r1", "item_id": item_id, "delta": delta}


@pytest.fixture
async def run(visit: Visit, scripted: ServiceProcess) -> Any:
    """Return what evaluates a function in the page."""
    talker = await visit()
    await talker.page.goto(scripted.http_url)
    return talker.page.evaluate


async def test_a_transcript_that_comes_late_stands_before_its_answer(run: Any) -> None:
    spoken = message("u1", "user", "completed", {"type": "input_audio", "transcript": None})
    events = [
        {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "u1", "audio_end_ms": 900},
        {"type": "input_audio_buffer.committed", "item_id": "u1", "previous_item_id": None},
        added(spoken),
        added(message("a1", "assistant", "in_progress"), "u1"),
        said("a1", "Good "),
        said("a1", "evening."),
        transcribed("u1", "Hello. "),
    ]
    lines, history = await run(CAPTIONS, events)
    assert [(line["who"], line["text"], line["state"]) for line in lines] == [
        ("caller", "Hello.", "done"),
        ("agent", "Good evening.", "speaking"),
    ]
    assert [(item["id"], item["role"], item["content"][0]["type"]) for item in history] == [
        ("u1", "user", "input_text"),
        ("a1", "assistant", "output_text"),
    ]


async def test_an_answer_that_was_cut_keeps_its_words_and_tells_what_was_heard(run: Any) -> None:
    cut = message("a1", "assistant", "incomplete", {"type": "output_audio", "transcript": "A long"})
    events = [
        added(message("a1", "assistant", "in_progress")),
        said("a1", "A long story."),
        {"type": "conversation.item.done", "item": cut},
        {"type": "conversation.item.truncated", "item_id": "a1", "content_index": 0, "audio_end_ms": 1200},
    ]
    (line,), _ = await run(CAPTIONS, events)
    assert (line["text"], line["state"], line["heardMs"]) == ("A long", "interrupted", 1200)


async def test_what_was_under_way_when_the_call_was_lost_is_over(run: Any) -> None:
    call = {"id": "f1", "type": "function_call", "name": "look", "call_id": "c1", "arguments": ""}
    events = [
        added(message("a1", "assistant", "in_progress")),
        said("a1", "A long"),
        added(call | {"status": "in_progress"}),
        {"type": "input_audio_buffer.speech_started", "item_id": "u1", "audio_start_ms": 0},
    ]
    cut = CAPTIONS.replace("return [", "captions.cut(); return [")
    lines, history = await run(cut, events)
    assert [(line["id"], line["state"]) for line in lines] == [("a1", "interrupted"), ("f1", "failed")]
    assert [item["id"] for item in history] == ["a1"]


async def test_an_item_between_others_is_shown_between_them(run: Any) -> None:
    def typed(item_id: str) -> dict[str, Any]:
        return message(item_id, "user", "completed", {"type": "input_text", "text": item_id})

    lines, _ = await run(CAPTIONS, [added(typed("a")), added(typed("c"), "a"), added(typed("b"), "a")])
    assert [line["id"] for line in lines] == ["a", "b", "c"]


async def test_a_tool_of_the_client_shows_its_output_when_it_comes(run: Any) -> None:
    call = {"id": "f1", "type": "function_call", "name": "look", "call_id": "c1", "arguments": ""}
    output = {"id": "o1", "type": "function_call_output", "call_id": "c1", "output": "found"}
    events = [
        added(call | {"status": "in_progress"}),
        {"type": "conversation.item.done", "item": call | {"arguments": "{}", "status": "completed"}},
        added(output),
    ]
    (line,), _ = await run(CAPTIONS, events)
    assert (line["who"], line["arguments"], line["output"], line["state"]) == ("tool", "{}", "found", "done")


async def test_a_turn_is_a_waterfall_from_the_end_of_speech(run: Any) -> None:
    detection = {"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}}
    timed: list[tuple[int, Any]] = [
        (0, {"type": "session.created", "session": detection}),
        (1300, {"type": "input_audio_buffer.speech_stopped", "item_id": "u1"}),
        (1310, {"type": "input_audio_buffer.committed", "item_id": "u1"}),
        (1320, {"type": "response.created", "response": {"id": "r1", "conversation_id": "conv"}}),
        (1500, said("a1", "Good")),
        (1550, transcribed("u1", "Hello.")),
        (1600, {"type": "output_audio_buffer.started", "response_id": "r1"}),
        (1640, "heard"),
    ]
    ((kind, label, waited, bars),) = await run(TURNS, timed)
    assert (kind, label, waited) == ("spoken", "Hello.", 640)
    assert [(bar["stage"], bar["startMs"], bar["endMs"]) for bar in bars] == [
        ("stopped", 0, 300),
        ("committed", 300, 310),
        ("created", 310, 320),
        ("words", 320, 500),
        ("transcript", 310, 550),
        ("sound", 500, 600),
        ("heard", 600, 640),
    ]


async def test_a_greeting_is_a_turn_that_nobody_asked_for_and_other_responses_are_none(run: Any) -> None:
    timed = [
        (10, {"type": "response.created", "response": {"id": "r1", "conversation_id": "conv"}}),
        (20, {"type": "response.created", "response": {"id": "r2", "conversation_id": None}}),
    ]
    assert [kind for kind, *_ in await run(TURNS, timed)] == ["unasked"]


async def test_a_filter_takes_words_and_words_not_to_be_there(run: Any) -> None:
    types = ["response.done", "response.output_text.delta", "session.created"]
    assert await run(MATCHES, ["", types]) == types
    assert await run(MATCHES, ["Response -delta", types]) == ["response.done"]
    assert await run(MATCHES, ["-", types]) == []


@pytest.mark.parametrize("chance", [0, 0.5, 0.999])
async def test_calls_are_tried_again_fast_at_first_and_for_as_long_as_a_deployment_takes(
    run: Any, chance: float
) -> None:
    delays = await run(RETRIES, chance)
    assert delays[0] <= 1000
    assert max(delays) <= 5_000
    assert 180_000 <= sum(delays) <= 190_000


@pytest.mark.parametrize(
    ("code", "lasted_ms", "is_made_again"),
    [
        ("service_stopping", 100, True),
        ("server_error", 60_000, True),
        ("server_error", 100, False),
        ("session_expired", 3_600_000, False),
        (None, 60_000, False),
    ],
)
async def test_a_call_that_the_service_ends_is_made_again_where_that_may_help(
    run: Any, code: str | None, lasted_ms: int, is_made_again: bool
) -> None:
    ask = 'async ([code, ms]) => (await import("/console/retries.js")).isWorthAnother(code, ms)'
    assert await run(ask, [code, lasted_ms]) is is_made_again


CREATED = {"type": "response.created", "response": {"id": "r1", "conversation_id": "conv"}}
DONE = {"type": "response.done", "response": {"id": "r1", "conversation_id": "conv", "output": [{"id": "a1"}]}}
ADDED = {"type": "response.output_item.added", "response_id": "r1", "item": {"id": "a1"}}


async def test_a_session_that_goes_on_does_not_greet_again(run: Any) -> None:
    history = [message("u1", "user")]
    started = {"type": "output_audio_buffer.started", "response_id": "r1"}
    cleared = {"type": "output_audio_buffer.cleared", "response_id": "r1"}
    shown, replies, is_hushed = await run(RESUMED, [history, [CREATED, ADDED, said("a1", "Welcome."), started, DONE]])
    assert shown == [False] * 5
    assert replies == [
        {"type": "response.cancel", "response_id": "r1"},
        {"type": "output_audio_buffer.clear"},
        {"type": "conversation.item.delete", "item_id": "a1"},
    ]
    assert is_hushed is True
    *_, is_hushed = await run(RESUMED, [history, [CREATED, ADDED, started, DONE, cleared]])
    assert is_hushed is False


async def test_a_new_session_greets_and_an_answer_is_heard(run: Any) -> None:
    assert await run(RESUMED, [[], [CREATED, ADDED]]) == [[True, True], [], False]
    history = [message("u1", "user")]
    spoke = {"type": "input_audio_buffer.speech_started", "item_id": "u2"}
    for asked in ("asked", spoke):
        shown, replies, is_hushed = await run(RESUMED, [history, [asked, CREATED, ADDED]])
        assert (shown[1:], replies, is_hushed) == ([True, True], [], False)
