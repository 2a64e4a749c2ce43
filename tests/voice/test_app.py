"""The composition root: the parts are chosen and connected as the configuration says."""

from dataclasses import asdict
from pathlib import Path

import pytest

from voice.app import agent_of, check, compose, host_settings
from voice.config import AgentConfig, Config, ModelsConfig, SilenceTurns
from voice.config_engines import CascadeConfig, ReplaceableConfig
from voice.config_file import Loaded, load, override
from voice.engines.cascade import CascadeOptions
from voice.errors import ConfigProblems, EngineUnavailable


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and no models: composing must not need them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICE_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return load(Path("config.yaml"), {})


def test_an_agents_instructions_and_files_make_one_text(folder: Path) -> None:
    (folder / "one.md").write_text("# One\n\n")
    (folder / "two.md").write_text("Two.\n")
    files = (folder / "one.md", folder / "two.md")
    agent = agent_of("a", AgentConfig(instructions="Be brief.\n", instructions_files=files))
    assert agent.instructions == "Be brief.\n\n# One\n\nTwo."


def test_turn_detection_overrides_only_what_was_set() -> None:
    config = AgentConfig(turn_detection=SilenceTurns(silence_duration_ms=300))
    assert agent_of("a", config).turn_detection == {"type": "server_vad", "silence_duration_ms": 300}
    assert agent_of("a", AgentConfig()).turn_detection is None


def test_files_of_the_operators_own_go_before_names(folder: Path) -> None:
    settings = host_settings(Config(models=ModelsConfig(llm="qwen2.5-coder-1.5b")))
    assert settings.language_model == "qwen2.5-coder-1.5b"
    assert host_settings(Config(models=ModelsConfig(stt_folder=folder))).speech_to_text == str(folder)


def test_agents_and_aliases_may_be_asked_for(folder: Path) -> None:
    service = compose(loaded(folder, "agents:\n  desk: {engine: scripted}\naliases: {gpt-realtime: scripted}\n"))
    assert [agent.name for agent in service.sessions.models()] == ["desk", "gpt-realtime"]
    assert service.sessions.resolve(None).name == "desk"
    assert service.sessions.resolve("gpt-realtime").bare


def test_without_a_cascade_no_models_are_needed(folder: Path) -> None:
    service = compose(override(load(None, {}), engine="scripted"))
    assert service.models is None
    assert service.sessions.ready


def test_scripted_agents_are_served_while_the_models_are_not_there(folder: Path) -> None:
    text = "agents:\n  desk: {engine: scripted}\n  cook: {}\naliases: {}\n"
    sessions = compose(loaded(folder, text)).sessions
    assert sessions.ready
    sessions.admit(sessions.resolve("desk")).release()
    with pytest.raises(EngineUnavailable, match="still being loaded"):
        sessions.admit(sessions.resolve("cook"))


def test_it_is_not_ready_before_the_default_agents_models_are_there(folder: Path) -> None:
    assert not compose(loaded(folder, "agents:\n  cook: {}\n")).sessions.ready


TOOL = '''
def lamp(on: bool) -> str:
    """Switch the lamp.

    Args:
        on: Whether it shall shine.
    """
    return "done"
'''


def test_tools_are_found_in_the_folder_of_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop_of_test_app.py").write_text(TOOL)
    monkeypatch.syspath_prepend(str(folder))  # so that what `check` adds is taken away again
    check(loaded(folder, "agents:\n  a:\n    tools: ['shop_of_test_app:lamp']\n"))


def test_every_tool_that_cannot_be_imported_is_named_at_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(folder))
    text = "agents:\n  a:\n    tools:\n      - json:dumpz\n  b:\n    tools: ['nowhere_at_all:x']\n"
    with pytest.raises(ConfigProblems) as caught:
        check(loaded(folder, text))
    assert [(found.line, found.column) for found in caught.value.problems] == [(4, 9), (6, 13)]
    assert "dumpz" in str(caught.value)


@pytest.mark.parametrize("section", ["server", "sip"])
def test_a_certificate_that_is_none_is_named_at_its_place(folder: Path, section: str) -> None:
    (folder / "cert.pem").write_text("no certificate")
    text = f"{section}:\n  {'enabled: true' if section == 'sip' else 'port: 1'}\n"
    text += "  tls: {certificate: cert.pem, key: cert.pem}\n"
    with pytest.raises(ConfigProblems, match="no certificate and its key in PEM") as caught:
        check(loaded(folder, text))
    assert [(found.line, found.column) for found in caught.value.problems] == [(3, 3)]


def test_the_shipped_configuration_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.syspath_prepend(str(root))
    shipped = load(root / "config.yaml", {})
    check(shipped)
    assert shipped.config.answering == "receptionist"
    assert shipped.config.agents["receptionist"].greeting


def test_every_option_of_the_cascade_can_be_configured() -> None:
    others = {"type", "llm", "stt", "tts", "speculates", *ReplaceableConfig.model_fields}
    configured = CascadeConfig(type="cascade").model_dump(exclude=others)
    assert configured == asdict(CascadeOptions())
