"""Sessions of the second of two instances end after seven seconds; whoever talks to the first one hears nothing of it.

Compared sample by sample: what the caller heard with what was spoken, what was said with what each line was told. The
conversations are held at the same time.
"""

import asyncio
import json
import textwrap
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import FaultyUpstream, Passage

Frame = dict[str, Any]
LIMIT_MINUTES = 7 / 60
SCRIPT = """
    speed: real_time
    transcripts: [ask not what your country can do for you]
    turns:
      - {when: story, reply: [{say: "Once upon a time there was a ship that sailed and sailed.", audio_ms: 3000}]}
      - {reply: [{say: "I see.", audio_ms: 400}]}
"""
ANSWERS, OURS, UPSTREAM = "answers", "ours", "upstream"
"""Long answers to written turns; a long spoken turn that this service finds, and one that the upstream does."""


@dataclass
class Held:
    """A conversation, as the caller and as the upstream saw it."""

    proxy: FaultyUpstream
    frames: list[Frame] = field(default_factory=list)
    spoken: bytes = b""
    """Everything that the microphone has sent."""

    @property
    def lines(self) -> list[Passage]:
        return self.proxy.passages


def of(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == kind]


def sound(events: list[Frame]) -> bytes:
    """What was spoken in those events."""
    return b"".join(b64decode(event["delta"]) for event in of(events, "response.output_audio.delta"))


def said(line: Passage) -> bytes:
    """What that line was told that the caller said."""
    sent = [json.loads(message) for message in line.to_upstream]
    return b"".join(b64decode(event["audio"]) for event in of(sent, "input_audio_buffer.append"))


def came_back(line: Passage) -> list[Frame]:
    return [json.loads(message) for message in line.to_client]


async def hear_stories(client: Any) -> None:
    """Four answers of three seconds, back to back; of the lines, each ends within one of them."""
    for turn in range(1, 5):
        content = [{"type": "input_text", "text": "A story, please."}]
        message = {"type": "message", "role": "user", "content": content}
        await client.connection.conversation.item.create(item=message)
        await client.connection.response.create()
        await client.wait(lambda frames, turn=turn: len(of(frames, "response.done")) == turn)


@pytest.fixture(scope="module")
def held(hold: Any, recorded: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Held]]:
    """Hold the conversations. The first instance knows the limit from the second."""
    folder, ports = tmp_path_factory.mktemp("rotation"), {name: free_port() for name in (ANSWERS, OURS, UPSTREAM)}
    speech = recorded("jfk")  # eleven seconds in one turn
    (folder / "script.yaml").write_text(textwrap.dedent(SCRIPT))
    (folder / "back.yaml").write_text(
        "engines: {script: {type: scripted, script: script.yaml}}\nagents: {plain: {engine: script}}\n"
        f"aliases: {{gpt-realtime: script}}\nserver: {{session_max_minutes: {LIMIT_MINUTES:.4f}}}\n"
        "log: {level: warning}\n"
    )
    engines = [
        f"{name}: {{type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: plain, rotate_before_s: 4, "
        f"turns: {UPSTREAM if name == UPSTREAM else OURS}}}"
        for name, port in ports.items()
    ]
    (folder / "front.yaml").write_text(
        f"engines: {{{', '.join(engines)}}}\nagents: {{{', '.join(f'{name}: {{engine: {name}}}' for name in ports)}}}\n"
        f"aliases: {{gpt-realtime: {OURS}}}\nlog: {{level: warning}}\n"
    )

    async def talk(client: Any) -> None:
        detection = {"type": "server_vad", "silence_duration_ms": 1500}
        heard = {"turn_detection": detection, "transcription": {"model": "gpt-4o-mini-transcribe"}}
        await client.connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        await client.ask(speech)

    async def converse(name: str, front: ServiceProcess, back: ServiceProcess) -> Held:
        conversation = Held(FaultyUpstream(back.url, [], keeps=True))

        spoken = [bytearray()]

        async def speak(client: Any) -> None:
            spoken[0] = client.spoken
            await (hear_stories(client) if name == ANSWERS else talk(client))

        async with conversation.proxy.serving(port=ports[name]):
            conversation.frames = await hold(front, name, speak)
        conversation.spoken = bytes(spoken[0])  # to its end: the client goes on sending silence until it hangs up
        return conversation

    with (
        ServiceProcess("--config", str(folder / "back.yaml"), ready_timeout_s=30) as back,
        ServiceProcess("--config", str(folder / "front.yaml"), ready_timeout_s=30) as front,
    ):

        async def converse_all() -> list[Held]:
            return await asyncio.gather(*(converse(name, front, back) for name in ports))

        yield dict(zip(ports, asyncio.run(converse_all()), strict=True))


@pytest.mark.parametrize("name", [ANSWERS, OURS, UPSTREAM])
def test_nothing_is_held_against_either_side(
    name: str,
    held: dict[str, Held],
    violations: Callable[[list[Frame]], list[str]],
    unofficial: Callable[[FaultyUpstream], list[str]],
) -> None:
    assert violations(held[name].frames) == []
    assert unofficial(held[name].proxy) == []


def test_not_a_sample_of_an_answer_is_lost_or_doubled_when_the_line_changes_in_the_middle_of_it(
    held: dict[str, Held],
) -> None:
    frames, lines = held[ANSWERS].frames, held[ANSWERS].lines
    assert [frame["response"]["status"] for frame in of(frames, "response.done")] == ["completed"] * 4
    assert len(lines) >= 3
    assert sum(bool(of(came_back(line), "response.done")) for line in lines) >= 2
    spoken = b"".join(sound(came_back(line)) for line in lines)
    assert sound(frames) == spoken
    assert len(spoken) == 4 * 3 * 48_000


@pytest.mark.parametrize("name", [OURS, UPSTREAM])
def test_not_a_sample_of_a_turn_is_lost_or_doubled_when_the_line_changes_in_the_middle_of_it(
    name: str, held: dict[str, Held]
) -> None:
    frames, lines, spoken = held[name].frames, held[name].lines, held[name].spoken
    assert len(lines) >= 2
    (started,) = of(frames, "input_audio_buffer.speech_started")
    (stopped,) = of(frames, "input_audio_buffer.speech_stopped")
    turn = spoken[started["audio_start_ms"] * 48 : stopped["audio_end_ms"] * 48]
    assert len(turn) > 9 * 48_000
    # It may be a second one's, too, where that was taken while the turn ended.
    committed = [line for line in lines if of(came_back(line), "input_audio_buffer.committed")]
    assert committed
    assert lines[0] not in committed, "the line that the turn began on did not live to its end"
    assert all(turn in said(line) for line in committed), "the line that the turn ended on was told it in one piece"
    assert all(said(line) in spoken for line in lines), "and no line a sample twice"
    assert sound(frames) == b"".join(sound(came_back(line)) for line in lines)
    assert len(sound(frames)) == 400 * 48
