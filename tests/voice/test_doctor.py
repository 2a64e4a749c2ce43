"""The doctor: every fault is found, and comes with its fix."""

import ctypes
import errno
import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from voice import cli, doctor
from voice.config import Config, ServerConfig
from voice.config_sip import SipConfig
from voice.config_webrtc import WebRtcConfig
from voice.errors import ModelDamaged, ModelMissing
from voice.models import manifest


class Listening:
    """A socket that stands for the service's; nothing is opened."""

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *args: object) -> None:
        pass


def refuse(number: int) -> Any:
    def create_server(*args: object, **kwargs: object) -> None:
        raise OSError(number, "refused")

    return create_server


@pytest.fixture
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_server", lambda *args, **kwargs: Listening())


@pytest.fixture
def models_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "find", lambda name: Path(f"/models/{name}"))


def test_an_old_python_is_refused() -> None:
    assert doctor.check_python((3, 10, 9)).state == "fail"
    assert doctor.check_python((3, 11, 0)).state == "ok"


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    findings = list(doctor.check_packages({"pydantic": "pydantic", "nothing": "no_such_module"}, "fail"))
    assert [(finding.name, finding.state) for finding in findings] == [("package nothing", "fail"), ("packages", "ok")]
    assert findings[0].fix


def test_a_missing_libgomp_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", refuse(errno.ENOENT))
    assert "libgomp1" in (doctor.check_libgomp().fix or "")


def test_a_typo_in_the_configuration_is_shown_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("server:\n  prot: 80\n", encoding="utf-8")
    finding, config = doctor.check_config(path)
    assert config is None
    assert "config.yaml:2:3" in finding.detail
    assert finding.fix


@pytest.mark.parametrize(("number", "words"), [(errno.EADDRINUSE, "in use"), (errno.EACCES, "cannot listen")])
def test_a_port_that_cannot_be_had_fails(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    monkeypatch.setattr(socket, "create_server", refuse(number))
    monkeypatch.setattr(doctor, "is_ready", lambda host, port: False)
    finding = doctor.check_port(ServerConfig(port=8080))
    assert finding.state == "fail"
    assert words in finding.detail
    assert finding.fix


def test_a_port_where_the_service_itself_listens_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_server", refuse(errno.EADDRINUSE))
    monkeypatch.setattr(doctor, "is_ready", lambda host, port: True)
    assert doctor.check_port(ServerConfig()).state == "ok"


@pytest.mark.parametrize("kind", [ModelMissing, ModelDamaged])
def test_a_model_that_cannot_be_used_names_the_command(
    monkeypatch: pytest.MonkeyPatch, kind: type[ModelMissing | ModelDamaged]
) -> None:
    def find(name: str) -> Path:
        raise kind("it cannot be used", model=name, command=f"voice models fetch {name}")

    monkeypatch.setattr(manifest, "find", find)
    findings = list(doctor.check_models(Config()))
    states = {finding.name: finding.state for finding in findings}
    assert states.pop("model smart-turn-v3.2") == "warning"  # only `semantic_vad` is refused without it
    assert set(states.values()) == {"fail"}
    assert all(finding.fix and finding.fix.startswith("voice models fetch") for finding in findings)


def test_a_full_disk_and_little_memory_fail(tmp_path: Path) -> None:
    assert doctor.check_disk(tmp_path / "not" / "there", 1).state == "ok"
    assert doctor.check_disk(tmp_path, 10**18).state == "fail"
    assert doctor.check_memory(10**8).state == "fail"
    assert doctor.check_memory(10**10).state == "ok"


def test_a_busy_machine_is_a_warning() -> None:
    assert doctor.check_cpu(4, 0.5).state == "ok"
    assert doctor.check_cpu(2, 9.0).state == "warning"
    assert doctor.check_cpu(1, 0.0).state == "warning"


@pytest.mark.usefixtures("free_port", "models_here")
def test_json_lists_every_finding_and_success_is_status_0(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("{}\n", encoding="utf-8")
    result = CliRunner().invoke(cli.build(["doctor"]), ["doctor", "--json", "--config", str(path)])
    findings = json.loads(result.stdout)
    failing = [finding for finding in findings if finding["state"] == "fail"]
    assert result.exit_code == (1 if failing else 0)
    assert {"python", "libgomp", "config", "port", "disk", "cpu", "memory"} <= {finding["name"] for finding in findings}
    assert all(finding["fix"] for finding in findings if finding["state"] != "ok")


@pytest.mark.usefixtures("free_port", "models_here")
def test_a_fault_is_status_1_and_the_rest_is_still_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("sever: {}\n", encoding="utf-8")
    result = CliRunner().invoke(cli.build(["doctor"]), ["doctor", "--config", str(path)])
    assert result.exit_code == 1
    assert "fix: " in result.stdout
    assert "1 to mend" in result.stdout
    assert "memory" in result.stdout


def test_a_scripted_service_needs_no_model_and_is_told_of_the_better_ear(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Path:
        raise ModelMissing("it is not here", model=name, command=f"voice models fetch {name}")

    monkeypatch.setattr(manifest, "find", find)
    findings = list(doctor.check_models(Config(aliases={"gpt-realtime": "scripted"})))
    assert [(finding.name, finding.state) for finding in findings] == [
        ("model silero-vad", "warning"),
        ("model smart-turn-v3.2", "warning"),
    ]


@pytest.mark.usefixtures("models_here")
def test_fetching_without_names_asks_only_for_what_is_used(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("agents: {desk: {engine: scripted}}\naliases: {}\n", encoding="utf-8")
    result = CliRunner().invoke(cli.build(["models"]), ["models", "fetch", "--config", str(path)])
    assert result.stdout == "All models are here: silero-vad, smart-turn-v3.2.\n"


class Probe:
    """A socket that can be bound, or not."""

    def __init__(self, fault: OSError | None = None) -> None:
        self._fault = fault

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def setsockopt(self, *args: object) -> None:
        pass

    def bind(self, address: object) -> None:
        if self._fault is not None:
            raise self._fault


@pytest.mark.parametrize(
    ("sip", "fault", "found"),
    [
        ({}, None, []),
        ({"enabled": True}, None, [("phone UDP", "ok"), ("phone TCP", "ok"), ("phone audio", "ok")]),
        (
            {"enabled": True},
            OSError(errno.EADDRINUSE, "in use"),
            [("phone UDP", "fail"), ("phone TCP", "fail"), ("phone audio", "ok")],
        ),
        (
            {"enabled": True, "rtp": {"first": 20000, "last": 20009}},
            None,
            [("phone UDP", "ok"), ("phone TCP", "ok"), ("phone audio", "warning")],
        ),
        (
            {"enabled": True, "host": "0.0.0.0"},
            None,
            [("phone UDP", "ok"), ("phone TCP", "ok"), ("phone audio", "ok"), ("phone address", "warning")],
        ),
        (
            {"enabled": True, "host": "0.0.0.0", "public_address": "203.0.113.7"},
            None,
            [("phone UDP", "ok"), ("phone TCP", "ok"), ("phone audio", "ok")],
        ),
    ],
)
def test_the_phone_line_is_looked_at_where_it_is_on(monkeypatch: pytest.MonkeyPatch, sip, fault, found) -> None:
    monkeypatch.setattr(socket, "socket", lambda *args: Probe(fault))
    monkeypatch.setattr(doctor, "_has_public_address", lambda: False)
    findings = list(doctor.check_phone_line(SipConfig.model_validate(sip)))
    assert [(finding.name, finding.state) for finding in findings] == found
    assert all(finding.fix for finding in findings if finding.state != "ok")


@pytest.mark.parametrize(
    ("webrtc", "state", "word"),
    [
        ({}, "ok", "any free"),
        ({"enabled": False}, "ok", "off"),
        ({"addresses": ["192.0.2.77"]}, "fail", "192.0.2.77"),
        ({"public_address": "203.0.113.1"}, "warning", "public address"),
        ({"ports": [40000, 40010]}, "warning", "40000-40010"),
        ({"ports": [40000, 40999]}, "ok", "40000-40999"),
    ],
)
def test_the_ports_of_calls_are_looked_at(webrtc: dict[str, Any], state: str, word: str) -> None:
    finding = doctor.check_webrtc(WebRtcConfig.model_validate(webrtc), 200)
    assert finding.state == state
    assert word in finding.detail
    assert (finding.fix is None) == (state == "ok")
