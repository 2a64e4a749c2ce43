"""`voice conformance` against this service: what it says, and that a live call can be its target."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transports.softphone.call import Dialling, Softphone
from voice.conformance.command import OWN_CONFIG
from voice.conformance.contract import LEGACY, PLAYING_LEG_ONLY
from voice.conformance.webrtc_wire import WebRtcWire
from voice.talk.recording import from_pcm
from voice.talk.service import ServiceProcess, free_port

COMMAND = [sys.executable, "-c", "import sys; from voice.cli import main; sys.exit(main())", "conformance", "--json"]
LIMIT_S = 120

ONLY_A_PHONE = {"keys"}
"""Flows that nothing else shows."""


def failures(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(flow["name"], flow["reason"]) for flow in report["flows"] if flow["outcome"] == "failed"]


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of the kit writes what was said."""
    return tmp_path_factory.mktemp("transcripts")


@pytest.fixture(scope="module")
def report(transcripts: Path) -> dict[str, Any]:
    """What a whole run found."""
    command = [*COMMAND, "--record", str(transcripts)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_this_service_conforms(report: dict[str, Any]) -> None:
    outcomes = {flow["name"]: flow["outcome"] for flow in report["flows"]}
    assert {name for name, outcome in outcomes.items() if outcome != "held"} <= ONLY_A_PHONE
    assert [event["type"] for event in report["client_events"] if event["outcome"] != "held"] == []
    missing = {event["type"] for event in report["server_events"] if event["outcome"] != "held"}
    assert missing <= LEGACY | {"input_audio_buffer.dtmf_event_received"}


def test_nothing_is_held_against_the_frames_of_any_flow(
    report: dict[str, Any], transcripts: Path, violations: Callable[[list[dict[str, Any]]], list[str]]
) -> None:
    files = list(transcripts.glob("*.jsonl"))
    assert len(files) > 100
    for path in files:
        said = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert violations([line["event"] for line in said if line["from"] == "server"]) == [], path.stem


async def test_a_live_call_is_checked_from_aside() -> None:
    with ServiceProcess("--config", str(OWN_CONFIG)) as service:
        caller = await WebRtcWire.open(f"{service.http_url}/v1/realtime/calls", {})
        try:
            command = [*COMMAND, f"{service.url}?call_id={caller.call_id}", "--timeout", "4"]
            run = await asyncio.to_thread(
                subprocess.run, command, check=False, capture_output=True, text=True, timeout=LIMIT_S
            )
        finally:
            await caller.aclose()
    report = json.loads(run.stdout)
    assert failures(report) == []
    outcomes = {flow["name"]: flow["outcome"] for flow in report["flows"]}
    assert outcomes["playout"] == outcomes["stop what plays"] == "held"
    assert caller.heard_ms > 0


async def test_the_keys_of_a_phone_are_seen_from_aside() -> None:
    sip_port = free_port()
    environment = {"VOICE__SIP__ENABLED": "true", "VOICE__SIP__PORT": str(sip_port), "VOICE__LOG__LEVEL": "info"}
    with ServiceProcess("--config", str(OWN_CONFIG), environment=environment) as service:
        answered = asyncio.Event()
        phone = Softphone(
            Dialling(f"sip:anyone@127.0.0.1:{sip_port}", keys=4 * "0123456789*#ABCD"),
            lambda line: answered.set() if line.startswith("answered") else None,
        )
        calling = asyncio.create_task(phone.call([from_pcm("silence", bytes(48_000 * 60))]))
        try:
            async with asyncio.timeout(20):
                await answered.wait()
            (call_id,) = set(re.findall(r"rtc_\w+", service.output()))
            command = [*COMMAND, f"{service.url}?call_id={call_id}", "--only", "keys", "--only", "playout"]
            run = await asyncio.to_thread(
                subprocess.run, command, check=False, capture_output=True, text=True, timeout=LIMIT_S
            )
        finally:
            calling.cancel()
            await asyncio.gather(calling, return_exceptions=True)
    report = json.loads(run.stdout)
    assert failures(report) == []
    outcomes = {event["type"]: event["outcome"] for event in report["server_events"]}
    assert {outcomes[type] for type in PLAYING_LEG_ONLY - {"output_audio_buffer.cleared"}} == {"held"}
