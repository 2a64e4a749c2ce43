"""Sessions of the second of two instances end after seven seconds; whoever talks to the first one hears nothing of it.

Compared sample by sample: what the caller heard with what was spoken, what was said with what each line was told.
"""

import json
import textwrap
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import Passage

Frame = dict[str, Any]
LIMIT_MINUTES = 7 / 60
SCRIPT = """
    speed: real_time
    transcripts: [ask not what your country can do for you]
    turns:
      - {when: story, reply: [{say: "Once upon a time there was a ship that sailed and sailed.", audio_ms: 3000}]}
      - {reply: [{say: "I see.", audio_ms: 400}]}
"""


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The second instance, whose sessions are short."""
    folder = tmp_path_factory.mktemp("back")
    (folder / "script.yaml").write_text(textwrap.dedent(SCRIPT))
    (folder / "config.yaml").write_text(
        "engines: {script: {type: scripted, script: script.yaml}}\nagents: {plain: {engine: script}}\n"
        f"aliases: {{gpt-realtime: script}}\nserver: {{session_max_minutes: {LIMIT_MINUTES:.4f}}}\n"
        "log: {level: warning}\n"
    )
    with ServiceProcess("--config", str(folder / "config.yaml"), ready_timeout_s=30) as service:
        yield service


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceProcess, int]]:
    """The first instance, and the port at which it looks for its upstream. It knows the limit from the upstream."""
    port, path = free_port(), tmp_path_factory.mktemp("front") / "config.yaml"
    line = f"type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: plain, rotate_before_s: 4"
    path.write_text(
        f"engines: {{ours: {{{line}}}, upstream: {{{line}, turns: upstream}}}}\n"
        "agents: {ours: {engine: ours}, upstream: {engine: upstream}}\naliases: {gpt-realtime: ours}\n"
        "log: {level: warning}\n"
    )
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service, port


def of(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == kind]


def sound(events: list[Frame]) -> bytes:
    """What was spoken in those events."""
    return b"".join(b64decode(event["delta"]) for event in of(events, "response.output_audio.delta"))


def said(passage: Passage) -> bytes:
    """What that line was told that the caller said."""
    sent = [json.loads(message) for message in passage.to_upstream]
    return b"".join(b64decode(event["audio"]) for event in of(sent, "input_audio_buffer.append"))


def came_back(passage: Passage) -> list[Frame]:
    return [json.loads(message) for message in passage.to_client]


async def test_not_a_sample_of_an_answer_is_lost_or_doubled_when_the_line_changes_in_the_middle_of_it(
    stand_before: Any, front: tuple[ServiceProcess, int], back: ServiceProcess, hold: Any, violations: Any
) -> None:
    """Four answers of three seconds, back to back; of the lines, each ends within one of them."""
    service, port = front
    proxy = stand_before(back.url)

    async def conversation(client: Any) -> None:
        for turn in range(1, 5):
            text = [{"type": "input_text", "text": "A story, please."}]
            message = {"type": "message", "role": "user", "content": text}
            await client.connection.conversation.item.create(item=message)
            await client.connection.response.create()
            await client.wait(lambda frames, turn=turn: len(of(frames, "response.done")) == turn)

    async with proxy.serving(port=port):
        frames = await hold(service, "ours", conversation)
    assert violations(frames) == []
    assert [frame["response"]["status"] for frame in of(frames, "response.done")] == ["completed"] * 4
    assert len(proxy.passages) >= 3
    assert sum(bool(of(came_back(passage), "response.done")) for passage in proxy.passages) >= 2
    spoken = b"".join(sound(came_back(passage)) for passage in proxy.passages)
    assert sound(frames) == spoken
    assert len(spoken) == 4 * 3 * 48_000


@pytest.mark.parametrize("mode", ["ours", "upstream"])
async def test_not_a_sample_of_a_turn_is_lost_or_doubled_when_the_line_changes_in_the_middle_of_it(
    stand_before: Any,
    mode: str,
    front: tuple[ServiceProcess, int],
    back: ServiceProcess,
    hold: Any,
    recorded: Any,
    violations: Any,
) -> None:
    service, port = front
    proxy = stand_before(back.url)
    spoken = bytearray()

    async def conversation(client: Any) -> None:
        detection = {"type": "server_vad", "silence_duration_ms": 1500}
        heard = {"turn_detection": detection, "transcription": {"model": "gpt-4o-mini-transcribe"}}
        await client.connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        await client.ask(recorded("jfk"))  # eleven seconds in one turn
        spoken.extend(client.spoken)

    async with proxy.serving(port=port):
        frames = await hold(service, mode, conversation)
    assert violations(frames) == []
    assert len(proxy.passages) >= 2
    (started,) = of(frames, "input_audio_buffer.speech_started")
    (stopped,) = of(frames, "input_audio_buffer.speech_stopped")
    turn = bytes(spoken[started["audio_start_ms"] * 48 : stopped["audio_end_ms"] * 48])
    assert len(turn) > 9 * 48_000
    (committed,) = [passage for passage in proxy.passages if of(came_back(passage), "input_audio_buffer.committed")]
    assert committed is not proxy.passages[0], "the line that the turn began on did not live to its end"
    told = said(committed)
    assert turn in told, "the line that the turn ended on was told all of it, in one piece"
    assert all(said(passage) in spoken for passage in proxy.passages), "and no line a sample twice"
    assert sound(frames) == b"".join(sound(came_back(passage)) for passage in proxy.passages)
    assert len(sound(frames)) == 400 * 48
