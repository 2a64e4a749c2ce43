"""What an operator gets wrong is one sentence and a status, never a traceback."""

import json
import os
import socket
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from voice.talk.service import ServiceProcess

ROOT = Path(__file__).parents[2]
CODE = "import sys; from voice.cli import main; sys.exit(main())"


def voice(
    *arguments: str, folder: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **(environment or {})},
        check=False,
    )


def assert_plain_failure(result: subprocess.CompletedProcess[str], *words: str) -> None:
    text = result.stdout + result.stderr
    assert result.returncode != 0, text
    assert "Traceback" not in text
    for word in words:
        assert word in text


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_plain_failure(voice("serve", "--engine", "scripted", "--port", port), port, "in use")


def test_a_typo_in_the_configuration_is_named_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  prot: 8080\n")
    for arguments in (("serve",), ("config", "check")):
        result = voice(*arguments, "--config", str(path))
        assert_plain_failure(result, "config.yaml:2:3", "did you mean", "port")


def test_a_tool_that_cannot_be_imported_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "halfway.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    path = write(tmp_path, "agents:\n  one:\n    engine: scripted\n    tools:\n      - halfway:lamp\n")
    result = voice("serve", "--engine", "scripted", "--port", "0", "--config", str(path))
    assert_plain_failure(result, "config.yaml:5", "halfway", "nothing_of_that_name")


def test_listening_to_everyone_needs_a_key() -> None:
    assert_plain_failure(voice("serve", "--engine", "scripted", "--host", "0.0.0.0", "--port", "0"), "key")


def test_a_damaged_weights_file_is_named_with_the_command_that_helps(tmp_path: Path) -> None:
    """Every file of the models is garbage: the doctor and `models verify` say so, and the scripted engine serves."""
    from voice.models.weights import MODELS

    models = MODELS.values() if isinstance(MODELS, dict) else MODELS
    damaged = next(model for model in models if model.name == "qwen2.5-coder-0.5b")
    folder = tmp_path / damaged.name
    folder.mkdir()
    for file in damaged.files:
        (folder / file.name).write_bytes(b"garbage")
    here = {"VOICE_MODELS_DIR": str(tmp_path)}
    assert_plain_failure(voice("models", "verify", damaged.name, environment=here), damaged.name, "voice models fetch")
    assert_plain_failure(voice("doctor", folder=tmp_path, environment=here), damaged.name, "fix: voice models fetch")
    with ServiceProcess("--engine", "scripted", environment=here, folder=tmp_path, ready_timeout_s=30):
        pass


@pytest.mark.parametrize("command", ["", "serve", "talk", "models", "config", "doctor"])
def test_help_teaches_every_command(command: str) -> None:
    result = voice(*([command] if command else []), "--help")
    assert result.returncode == 0
    assert "voice" in result.stdout


def test_talking_with_a_file_that_is_not_audio_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    path.write_text("this is no sound", encoding="utf-8")
    assert_plain_failure(voice("talk", str(path)), "question.wav", "ffmpeg")
    assert_plain_failure(voice("talk", str(tmp_path / "missing.wav")), "no such file")


def test_talking_to_nobody_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "question.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(16_000))
    assert_plain_failure(voice("talk", str(path), "--url", "ws://127.0.0.1:9"), "no service answers", "voice serve")


def test_two_recordings_make_a_call_that_is_measured_and_recorded(
    scripted: ServiceProcess, tmp_path: Path, say: object
) -> None:
    assert callable(say)
    paths = []
    for number, text in enumerate(("Tell me a long story.", "Stop, please.")):
        paths.append(str(tmp_path / f"{number}.wav"))
        with wave.open(paths[-1], "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(24_000)
            file.writeframes(say(text).pcm)
    out = tmp_path / "call.wav"
    options = ("--model", "long-answer", "--url", scripted.url, "--barge-in", "1.0", "--out", str(out), "--json")
    result = voice("talk", *paths, *options)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    first, second = lines[-1]["turns"]
    assert first["interrupted"]
    assert not second["interrupted"]
    assert second["answer"]
    for stage in ("decided", "transcript", "first_token", "first_audio"):
        assert 0 < second["latency_ms"][stage] < 3_000
    with wave.open(str(out)) as file:
        assert file.getnchannels() == 2
        tracks = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    assert np.abs(tracks[:, 0].astype(int)).max() > 3_000
    assert np.abs(tracks[:, 1].astype(int)).max() > 300
