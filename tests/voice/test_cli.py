"""The command line: what it teaches, how it fails, and that it starts at once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voice.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, so that no config.yaml is found."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command.name}" in said
    assert "voice serve" in said


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_of_every_command_teaches(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: voice {command}" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["serve", "talk"])
def test_help_of_a_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([command, "--help"])
    assert f"  voice {command}" in capsys.readouterr().out.split("Usage:")[1].partition("\n")[2]


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("voice")


@pytest.mark.parametrize(
    "arguments", [["sreve"], ["serve", "--prot", "1"], ["serve", "--engine", "magic"], ["config", "x"]]
)
def test_a_wrong_command_line_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Error" in capsys.readouterr().err


def test_only_the_command_that_is_asked_for_is_imported() -> None:
    code = "import sys; from voice.cli import main; main(['--help']); print([m for m in sys.modules if m in %r])"
    heavy = ["aiohttp", "numpy", "onnxruntime", "pydantic", "ruamel.yaml", "websockets"]
    done = subprocess.run(
        [sys.executable, "-c", code % heavy], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[]"


# --- voice config -------------------------------------------------------------------------------------------------


def test_config_check_names_every_mistake_on_standard_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("server:\n  prot: 80\n  port: x\n")
    assert main(["config", "check"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "config.yaml:2:3: unknown key 'prot'; did you mean 'port'?",
        "config.yaml:3:9: port: a whole number is expected, not 'x'",
    ]


def test_config_check_imports_the_tools(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("agents:\n  a:\n    tools:\n      - no_such_module_here:book\n")
    assert main(["config", "check"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("voice: config.yaml:4:9: ")
    assert "no_such_module_here" in said
    assert "Traceback" not in said


def test_config_check_finds_mistakes_of_every_kind_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "dialogue.yaml").write_text("turns:\n  - reply: [hello, {wait: 5}]\nspeed: slow\n")
    (folder / "config.yaml").write_text(
        "server:\n  prot: 80\n"
        "engines:\n  rehearsal: {type: scripted, script: dialogue.yaml}\n"
        "agents:\n  a:\n    engine: nobody\n    tools: ['json:dumpz']\n"
    )
    assert main(["config", "check"]) == 2
    places = [line.partition(": ")[0] for line in capsys.readouterr().err.splitlines()]
    assert places == [
        "config.yaml:2:3",
        "config.yaml:7:13",
        "config.yaml:8:13",
        "dialogue.yaml:2:20",
        "dialogue.yaml:3:8",
    ]


def test_config_check_says_what_is_right(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("agents:\n  desk: {engine: scripted}\n")
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out.startswith("config.yaml: right. Agents: desk;")


def test_config_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_config_show_hides_secrets(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("server:\n  port: 9000\n  keys: [hush-hush]\n")
    assert main(["config", "show"]) == 0
    said = capsys.readouterr().out
    assert "port: 9000" in said
    assert "hush" not in said
    assert "'****'" in said


def test_what_config_show_prints_is_a_configuration_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("agents:\n  a:\n    instructions: |\n      Two lines,\n      not one.\n")
    main(["config", "show"])
    said = capsys.readouterr().out
    (folder / "again.yaml").write_text(said)
    assert main(["config", "show", "--config", "again.yaml"]) == 0
    assert capsys.readouterr().out == said


# --- voice serve, as far as it fails before it listens ------------------------------------------------------------


def test_serve_refuses_an_open_address_without_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert capsys.readouterr().err.startswith(
        "voice: --host: without `server.keys` the service listens on this machine"
    )


def test_serve_names_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", "nowhere.yaml"]) == 2
    assert capsys.readouterr().err == "voice: there is no file nowhere.yaml\n"


# --- voice models -------------------------------------------------------------------------------------------------


def test_models_list_marks_what_is_in_use_and_says_how_to_get_what_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICE_MODELS_DIR", str(folder))
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "* qwen2.5-coder-0.5b" in said
    assert "  qwen2.5-coder-1.5b" in said
    assert "voice models fetch qwen2.5-coder-0.5b" in said
    assert "voice models fetch qwen2.5-coder-1.5b" not in said


def test_models_list_as_json_follows_the_configuration(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICE_MODELS_DIR", str(folder))
    (folder / "config.yaml").write_text("models:\n  llm: qwen2.5-coder-1.5b\n")
    assert main(["models", "list", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert models["qwen2.5-coder-1.5b"]["in_use"]
    assert not models["qwen2.5-coder-0.5b"]["in_use"]
    assert models["silero-vad"]["state"] == "missing"


def test_models_fetch_knows_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "gpt-9"]) == 2
    assert capsys.readouterr().err.startswith("voice: there is no model 'gpt-9': there are silero-vad")


def test_models_verify_of_a_missing_model_fails_with_the_command_that_helps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICE_MODELS_DIR", str(folder))
    assert main(["models", "verify", "silero-vad"]) == 1
    assert "voice models fetch silero-vad" in capsys.readouterr().err
