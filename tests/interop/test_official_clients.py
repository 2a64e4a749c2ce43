"""Programs written with the official clients, at once, over TLS: each holds a spoken turn, a tool call and a barge-in.

Those of the beta are served in the words of the beta.

What they do is in `python/` and `node/`; each prints every frame that it was sent.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

import pytest
from openai.types.beta.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

Frame = dict[str, Any]

HERE = Path(__file__).parent
CURRENT = {
    "openai-python": ("python", "openai_sync.py"),
    "openai-agents": ("python", "openai_agents.py"),
    "openai-node": ("node", "openai_node.mjs"),
    "agents-realtime": ("node", "agents_js.mjs"),
}
OF_THE_BETA = {
    "openai-python, beta": ("python", "openai_beta.py"),
    "openai-realtime-api": ("node", "realtime_client_beta.mjs"),
}
PROGRAMS = CURRENT | OF_THE_BETA
BETA_TYPES: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])
SENTENCES = {
    "greeting": "Good evening.",
    "weather": "What is the weather in Paris?",
    "story": "Tell me a long story.",
    "stop": "Stop, please.",
}
LIMIT_S = 60
"""Of a conversation that takes about fifteen seconds, on a machine that does much besides."""


@dataclass(slots=True)
class Running:
    """A program in the middle of its conversation."""

    process: subprocess.Popen[bytes]
    out: IO[bytes]
    complaints: IO[bytes]

    def frames(self) -> list[Frame]:
        """Wait for its end and return every frame that it was sent."""
        status = self.process.wait(LIMIT_S)
        self.out.seek(0)
        self.complaints.seek(0)
        lines = self.out.read().decode().splitlines()
        assert status == 0, f"{self.complaints.read().decode()[-2000:]}\nafter {lines[-5:]}"
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def started(
    secured: ServiceProcess,
    certificate: tuple[Path, Path],
    has_node: bool,
    say: Callable[[str], Recording],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], Running]]:
    """Start the programs, all at the first call: they take turns with the service and not with each other."""
    folder = tmp_path_factory.mktemp("speech")
    for name, sentence in SENTENCES.items():
        (folder / f"{name}.pcm").write_bytes(say(sentence).pcm)
    trust = str(certificate[0])
    environment = {
        **os.environ,
        "SSL_CERT_FILE": trust,
        "NODE_EXTRA_CA_CERTS": trust,
        "PYTHONWARNINGS": "ignore",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
    }
    with ExitStack() as stack:
        running = {}
        for name, (language, program) in PROGRAMS.items():
            if language == "node" and not has_node:
                continue
            interpreter = sys.executable if language == "python" else "node"
            arguments = [secured.url, "conversation", "right-key", str(folder)]
            out = stack.enter_context(tmp_path_factory.mktemp("out").joinpath("out").open("w+b"))
            complaints = stack.enter_context(tmp_path_factory.mktemp("err").joinpath("err").open("w+b"))
            process = subprocess.Popen(
                [interpreter, str(HERE / language / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=complaints,
                env=environment,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            running[name] = Running(process, out, complaints)
        yield running.__getitem__


@pytest.fixture
def frames(client: str, request: pytest.FixtureRequest, started: Callable[[str], Running]) -> list[Frame]:
    """Every frame that `client` was sent."""
    if PROGRAMS[client][0] == "node":
        request.getfixturevalue("node")
    return started(client).frames()


@pytest.mark.parametrize("client", PROGRAMS)
def test_a_client_holds_a_spoken_turn_a_tool_call_and_a_barge_in(frames: list[Frame]) -> None:
    kinds = [frame["type"] for frame in frames]
    answers = [frame["response"] for frame in frames if frame["type"] == "response.done"]
    assert "error" not in kinds
    assert [answer["status"] for answer in answers] == ["completed", "completed", "completed", "cancelled", "completed"]
    assert words(answers[0]) == "Good evening."
    assert answers[1]["output"][0]["type"] == "function_call"
    # One of them gives what a tool returns as JSON, quotation marks and all.
    assert words(answers[2]).replace('"', "") == "In Paris it is sunny, 21 degrees (Paris)."
    assert answers[3]["status_details"]["reason"] == "turn_detected"
    truncated = [frame for frame in frames if frame["type"] == "conversation.item.truncated"]
    assert truncated[-1]["item_id"] == answers[3]["output"][0]["id"]
    assert kinds.count("input_audio_buffer.speech_started") == len(SENTENCES)


@pytest.mark.parametrize("client", CURRENT)
def test_nothing_is_held_against_the_frames_that_a_client_was_sent(
    frames: list[Frame], violations: Callable[[list[Frame]], list[str]]
) -> None:
    assert violations(frames) == []


@pytest.mark.parametrize("client", OF_THE_BETA)
def test_a_client_of_the_beta_is_sent_nothing_but_words_of_its_own(frames: list[Frame]) -> None:
    for frame in frames:
        if "session" in frame:  # the types list the models of their time
            frame["session"]["model"] = "gpt-realtime"
        BETA_TYPES.validate_json(json.dumps(frame), strict=True)
    kinds = [frame["type"] for frame in frames]
    assert kinds[:2] == ["session.created", "conversation.created"]
    assert {"response.audio.delta", "response.audio_transcript.done", "conversation.item.created"} <= set(kinds)


def words(answer: Frame) -> str:
    content: list[dict[str, str]] = answer["output"][0]["content"]
    return content[0]["transcript"]
