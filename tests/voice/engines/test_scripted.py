import asyncio
from pathlib import Path

import numpy as np
import pytest

from voice.engines.port import (
    AudioDelta,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    TranscriptDone,
    TranscriptionRequest,
)
from voice.engines.scripted import Script, ScriptedEngine
from voice.errors import ConfigError, ConfigProblems, EngineError, EngineUnavailable
from voice.session.items import AudioPart, Item, Message, TextPart, ToolCall, ToolOutput


def user(text: str, item_id: str = "") -> Message:
    return Message(item_id or f"item_{text}", "user", (TextPart(text),))


async def play(engine: ScriptedEngine, *items: Item, **more: object) -> list[ResponseEvent]:
    request = ResponseRequest("r", items, EngineSettings(), **more)  # type: ignore[arg-type]
    return [event async for event in engine.respond(request)]


def words(events: list[ResponseEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def script(*turns: dict[str, object], **more: object) -> Script:
    return Script.from_dict({"turns": list(turns), **more})


async def test_without_a_script_it_echoes_for_three_seconds() -> None:
    events = await play(ScriptedEngine(), user("good morning"))
    assert "good morning" in words(events)
    assert sum(event.frame.duration_ms for event in events if isinstance(event, AudioDelta)) == 3000
    assert events[-1] == EngineDone()


async def test_turns_come_in_order_and_the_last_repeats() -> None:
    engine = ScriptedEngine(script({"reply": ["one"]}, {"reply": ["two"]}))
    assert [words(await play(engine, user(str(turn)))) for turn in range(3)] == ["one", "two", "two"]


async def test_asking_twice_about_the_same_turn_uses_it_up_once() -> None:
    engine = ScriptedEngine(script({"reply": ["one"]}, {"reply": ["two"]}))
    assert words(await play(engine, user("a"), speculative=True)) == "one"
    assert words(await play(engine, user("a"))) == "one"
    assert words(await play(engine, user("b"))) == "two"


async def test_a_condition_goes_before_the_order() -> None:
    engine = ScriptedEngine(script({"reply": ["in order"]}, {"when": "tables?", "reply": ["a table"]}))
    assert words(await play(engine, user("Any TABLE free?"))) == "a table"
    assert words(await play(engine, user("hello"))) == "in order"


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_tools_output_can_be_spoken(is_ours: bool) -> None:
    engine = ScriptedEngine(
        script(
            {"when": "table", "reply": [{"call": {"name": "book", "arguments": {"people": 2}}}]},
            {"when_tool": "book", "reply": ["Done: {tool_output}"]},
        )
    )
    asked = user("a table")
    call = next(event for event in await play(engine, asked) if isinstance(event, ToolCallDone))
    assert (call.name, call.arguments) == ("book", '{"people": 2}')
    done: tuple[Item, ...] = (ToolCall("i", call.call_id, "book", "{}", server_label="x", output="A17"),)
    if not is_ours:
        done = (ToolCall("i", call.call_id, "book", "{}"), ToolOutput("o", call.call_id, "A17"))
    assert words(await play(engine, asked, *done)) == "Done: A17"


async def test_failures_come_after_what_was_said() -> None:
    engine = ScriptedEngine(script({"reply": ["I was", {"fail": "gone", "kind": "unavailable"}]}))
    seen: list[ResponseEvent] = []

    async def watch() -> None:
        async for event in engine.respond(ResponseRequest("r", (), EngineSettings())):
            seen.append(event)

    with pytest.raises(EngineUnavailable, match="gone"):
        await watch()
    assert words(seen) == "I was"
    with pytest.raises(EngineError):
        await play(ScriptedEngine(script({"reply": [{"fail": "no"}]})))


async def test_a_stall_ends_only_by_cancelling() -> None:
    task = asyncio.ensure_future(play(ScriptedEngine(script({"reply": [{"stall": True}]}))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_speech_keeps_to_a_grid_and_makes_up_for_late_sleeps() -> None:
    now_s, slept = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        slept.append(round(seconds, 6))
        now_s += seconds + 0.02

    reply = [{"say": "a", "audio_ms": 250}, {"wait_ms": 400}]
    timing = script({"reply": reply}, first_token_ms=150, speed="real_time")
    await play(ScriptedEngine(timing, sleep=sleep, clock=lambda: now_s))
    assert slept == [0.15, 0.1, 0.08, 0.03, 0.4]


async def test_a_tone_is_known_by_its_pitch() -> None:
    events = await play(ScriptedEngine(script({"reply": [{"say": "a", "hz": 440, "audio_ms": 1000}]})))
    pcm = b"".join(event.frame.pcm for event in events if isinstance(event, AudioDelta))
    spectrum = np.abs(np.fft.rfft(np.frombuffer(pcm, "<i2")))
    assert abs(int(spectrum.argmax()) - 440) <= 1


async def test_sessions_share_the_same_sound() -> None:
    first, second = [await play(ScriptedEngine(), user("x")) for _ in range(2)]
    runs = [[event.frame.pcm for event in events if isinstance(event, AudioDelta)] for events in (first, second)]
    assert all(one is other for one, other in zip(*runs, strict=True))


async def test_transcripts_come_in_order_and_stay_with_their_item() -> None:
    engine = ScriptedEngine(script(transcripts=["one two", "three"]))

    async def transcript(item_id: str) -> object:
        return [event async for event in engine.transcribe(TranscriptionRequest(item_id, b""))][-1]

    assert words(await play(engine, Message("a", "user", (AudioPart(),)))).startswith("I heard: one two")
    assert await transcript("a") == TranscriptDone("one two")
    assert await transcript("b") == TranscriptDone("three")
    assert await transcript("c") == TranscriptDone("three")


async def test_a_greeting_and_a_text_session() -> None:
    assert words(await play(ScriptedEngine(), say="Welcome {said}")) == "Welcome {said}"
    request = ResponseRequest("r", (), EngineSettings(output_modality="text"))
    events = [event async for event in ScriptedEngine().respond(request)]
    assert not [event for event in events if isinstance(event, AudioDelta)]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"turns": [{"reply": [{"say": "a", "wrong": 1}]}]}, "turns.0.reply.0"),
        ({"turns": [{"when": "(", "reply": ["a"]}]}, "not a regular expression"),
        ({"speed": "slow"}, "speed"),
        ([], "a section with keys"),
    ],
)
def test_a_wrong_script_is_refused_with_its_place(entries: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Script.from_dict(entries)


def test_every_mistake_in_a_script_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.yaml"
    path.write_text(
        "speed: slow\nturns:\n  - when: '('\n    reply:\n      - {say: hi, hertz: 5}\n      - {wait: 5}\n"
        "      - call: {nam: x}\nspeed: real_time\n"
    )
    with pytest.raises(ConfigProblems) as caught:
        Script.from_yaml(path, "dialogue.yaml")
    assert str(caught.value).splitlines() == [
        "dialogue.yaml:1:8: speed: 'slow' is not one of real_time, as_fast_as_possible",
        "dialogue.yaml:3:11: when: '(' is not a regular expression: missing ), unterminated subpattern at position 0",
        "dialogue.yaml:5:19: unknown key 'hertz'; known here: say, audio, audio_ms, hz, chunk_ms",
        "dialogue.yaml:6:9: reply: a step is a text, or one of say, wait_ms, call, fail, stall, stop",
        "dialogue.yaml:7:9: 'name' is missing",
        "dialogue.yaml:7:16: unknown key 'nam'; did you mean 'name'?",
        "dialogue.yaml:8:1: 'speed' stands here a second time",
    ]


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dialogue.yaml"
    path.write_text("transcripts: [hi]\nturns:\n  - reply: [hello, {wait_ms: 5}]\n")
    assert Script.from_yaml(path).transcripts == ("hi",)
    path.write_text("turns: [")
    with pytest.raises(ConfigError, match=r"dialogue\.yaml:"):
        Script.from_yaml(path)
    with pytest.raises(ConfigError, match="there is no file"):
        Script.from_yaml(tmp_path / "none.yaml")
