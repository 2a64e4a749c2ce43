"""The tree: defaults, strictness, and that nothing secret can be read off it."""

import pytest
from pydantic import ValidationError

from voice.config import AgentConfig, Config, ServerConfig, SilenceTurns
from voice.protocol.session_fields import ServerVad


def test_defaults_are_a_service_for_this_machine_only() -> None:
    config = Config()
    assert config.server.is_loopback
    assert config.server.keys == ()
    assert config.aliases["gpt-realtime"] == "cascade"
    assert set(config.engines) == {"cascade", "scripted"}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_open_addresses(host: str, loopback: bool) -> None:
    assert ServerConfig(host=host).is_loopback is loopback


def test_default_agent_is_the_one_named_else_the_first_agent_else_the_first_alias() -> None:
    agents = {"a": AgentConfig(), "b": AgentConfig()}
    assert Config(agents=agents, default_agent="b").answering == "b"
    assert Config(agents=agents).answering == "a"
    assert Config().answering == "gpt-realtime"


def test_keys_may_be_plain_strings_and_get_names() -> None:
    keys = ServerConfig.model_validate({"keys": ["one", {"id": "phone", "secret": "two"}]}).keys
    assert [(key.id, key.secret.get_secret_value()) for key in keys] == [("key-1", "one"), ("phone", "two")]


def test_secrets_are_hidden_in_repr_and_dump() -> None:
    config = Config.model_validate({"server": {"keys": ["hush-hush"]}})
    assert "hush-hush" not in repr(config)
    assert "hush-hush" not in config.model_dump_json()


def test_the_tree_is_frozen_and_knows_no_other_keys() -> None:
    with pytest.raises(ValidationError):
        Config().server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Config.model_validate({"sever": {}})


def test_schema_describes_every_section() -> None:
    schema = Config.model_json_schema()
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["$defs"]["ServerConfig"]["properties"]["port"]["maximum"] == 65535


def test_the_defaults_shown_for_turn_detection_are_those_of_a_session() -> None:
    assert SilenceTurns().model_dump() == ServerVad().model_dump()


def test_only_models_that_agents_and_aliases_think_with_are_used() -> None:
    scripted = Config(agents={"desk": AgentConfig(engine="scripted")}, aliases={"gpt-realtime": "scripted"})
    assert not scripted.thinks_with_models
    assert scripted.models_used == ("silero-vad", "smart-turn-v3.2")
    assert Config().models_used == (
        "silero-vad",
        "smart-turn-v3.2",
        "moonshine-tiny-en",
        "qwen2.5-coder-0.5b",
        "hibari",
    )
    assert Config(agents={"cook": AgentConfig()}, aliases={}).thinks_with_models
