"""Golden transcripts (tests/data/conformance): the same inputs give the same events, byte for byte.

`record_golden.py` records them anew.
"""

import json
from pathlib import Path

import pytest

from voice.conformance import golden, types_check
from voice.conformance.checks import Checks
from voice.conformance.contract import CLIENT_EVENTS, SERVER_EVENTS
from voice.conformance.flows import all_flows
from voice.conformance.report import file_name
from voice.conformance.results import FlowResult

FILES = sorted((Path(__file__).parents[2] / "data" / "conformance").glob("*.jsonl"))

WITHOUT_GOLD = {
    "errors-append-beyond-15-mib",  # the transport refuses it, and it is 20 MB long
    "leg-keys",  # somebody has to press one
}

NOT_OF_THE_MACHINE = {"response.output_audio.delta"}
"""The transport makes it of `PlayAudio`."""


def read(path: Path) -> list[str]:
    return path.read_text("utf-8").rstrip("\n").split("\n")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_machine_does_what_it_did(path: Path) -> None:
    lines = read(path)
    for number, (now, then) in enumerate(zip(golden.replay(lines), lines, strict=False), 1):
        assert now == then, f"{path.name}:{number}"
    assert len(list(golden.replay(lines))) == len(lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_it_did_is_right(path: Path) -> None:
    checks = Checks(SERVER_EVENTS, types_check.load())
    for line in map(json.loads, read(path)):
        if line[0] == "event":
            checks.receive(line[1])
    assert checks.violations == []


def test_every_flow_has_its_transcript() -> None:
    flows = {file_name(FlowResult(flow, "held")) for flow in all_flows() if flow.connects}
    files = {path.stem for path in FILES}
    assert flows - files <= WITHOUT_GOLD
    assert files <= flows


def test_the_transcripts_cover_the_contract() -> None:
    lines = [json.loads(line) for path in FILES for line in read(path)]
    clients = {line[1].get("type") for line in lines if line[0] == "client"}
    clients |= {"input_audio_buffer.append" for line in lines if line[0] == "append"}
    assert clients >= set(CLIENT_EVENTS)
    servers = {line[1]["type"] for line in lines if line[0] == "event"}
    assert servers <= set(SERVER_EVENTS) - NOT_OF_THE_MACHINE
    assert len(servers) >= 40
