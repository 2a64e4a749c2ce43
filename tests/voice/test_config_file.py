"""A wrong configuration is named by its line, in plain words, with the nearest right one."""

from pathlib import Path

import pytest

from voice.config_file import Loaded, load, override
from voice.errors import ConfigError, ConfigProblems


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return Path("config.yaml")


def problem(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    """Return the only problem of a file."""
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environ or {})
    assert "\n" not in str(caught.value), str(caught.value)
    return str(caught.value)


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    return load(write(folder, text), environ or {})


def test_without_a_file_the_defaults_hold(folder: Path) -> None:
    loaded = load(None, {})
    assert loaded.path is None
    assert loaded.config.server.port == 8080


def test_config_yaml_of_the_current_folder_is_found(folder: Path) -> None:
    write(folder, "server:\n  port: 9000\n")
    assert load(None, {}).config.server.port == 9000


def test_a_file_that_was_named_must_be_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^there is no file nowhere\.yaml$"):
        load(Path("nowhere.yaml"), {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\n", "agents: {}\n"])
def test_empty_files_and_sections_mean_the_defaults(folder: Path, text: str) -> None:
    assert read(folder, text).config.server.port == 8080


def test_an_unknown_key_is_named_with_line_column_and_the_nearest_one(folder: Path) -> None:
    text = "# comment\n\nserver:\n  host: 127.0.0.1\n\n  prot: 80\n"
    assert problem(folder, text) == "config.yaml:6:3: unknown key 'prot'; did you mean 'port'?"


def test_an_unknown_key_far_from_all_others_gets_the_list_of_a_short_section(folder: Path) -> None:
    assert problem(folder, "log:\n  zzz: 1\n") == "config.yaml:2:3: unknown key 'zzz'; known here: level, format"


def test_an_unknown_section_is_an_unknown_key(folder: Path) -> None:
    assert problem(folder, "serfer:\n  port: 1\n") == "config.yaml:1:1: unknown key 'serfer'; did you mean 'server'?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server:\n  port: abc\n", "config.yaml:2:9: port: a whole number is expected, not 'abc'"),
        ("server:\n  port: 70000\n", "config.yaml:2:9: port: must be at most 65535, not 70000"),
        ("server:\n  drain_s: [1]\n", "config.yaml:2:12: drain_s: a number is expected, not a list"),
        ("server: 5\n", "config.yaml:1:9: server: a section with keys of its own is expected, not 5"),
        ("agents:\n  a:\n    greeting: 5\n", "config.yaml:3:15: greeting: text is expected, not 5"),
        ("agents:\n  a:\n    tools: x:y\n", "config.yaml:3:12: tools: a list is expected, not 'x:y'"),
        ("agents:\n  a:\n    tools:\n      - x:y\n      - 7\n", "config.yaml:5:9: tools: text is expected, not 7"),
        ("agents:\n  a:\n    voice: ''\n", "config.yaml:3:12: voice: cannot be empty"),
        ("agents:\n  a:\n    turn_detection: {create_response: maybe}\n",
         "config.yaml:3:39: create_response: true or false is expected, not 'maybe'"),
        ("log: {level: warn}\n",
         "config.yaml:1:14: level: 'warn' is not one of debug, info, warning, error; did you mean 'warning'?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_explained_in_plain_words(folder: Path, text: str, expected: str) -> None:
    assert problem(folder, text) == expected


def test_a_turn_detection_typo_is_found_although_the_section_is_optional(folder: Path) -> None:
    text = "agents:\n  a:\n    turn_detection:\n      silence_duration: 300\n"
    assert (
        problem(folder, text) == "config.yaml:4:7: unknown key 'silence_duration'; did you mean 'silence_duration_ms'?"
    )


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        ("{type: semantic_vad, eagernes: low}", "3:42: unknown key 'eagernes'; did you mean 'eagerness'?"),
        ("{type: semantic_vad, silence_duration_ms: 3}", "3:42: unknown key 'silence_duration_ms'; known here: "),
        ("{type: semantic}", "3:28: type: 'semantic' is not one of server_vad, semantic_vad; did you mean"),
        ("{threshold: 2}", "3:33: threshold: must be at most 1, not 2"),
    ],
)
def test_a_turn_detection_is_checked_by_its_type(folder: Path, detection: str, expected: str) -> None:
    found = problem(folder, f"agents:\n  a:\n    turn_detection: {detection}\n")
    assert found.startswith(f"config.yaml:{expected}")


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("{type: cascad}", "3:13: type: 'cascad' is not one of cascade, scripted, upstream; did you mean 'cascade'?"),
        ("{temperature: 1}", "3:3: 'type' is missing: cascade, scripted or upstream"),
        ("{type: cascade, temprature: 1}", "3:22: unknown key 'temprature'; did you mean 'temperature'?"),
        ("{type: scripted, script: none.yaml}", "3:31: script: there is no file none.yaml"),
    ],
)
def test_an_engine_is_checked_by_its_type(folder: Path, engine: str, expected: str) -> None:
    text = f"engines:\n  cascade: {{type: cascade}}\n  x: {engine}\n"
    assert problem(folder, text) == f"config.yaml:{expected}"


def test_a_key_that_stands_twice_is_an_error_at_the_second(folder: Path) -> None:
    assert problem(folder, "server:\n  port: 1\n  port: 2\n") == "config.yaml:3:3: 'port' stands here a second time"


def test_what_is_not_yaml_is_named_by_line(folder: Path) -> None:
    assert problem(folder, "server:\n  port: [1, 2\nlog: {}\n").startswith("config.yaml:3:4: not valid YAML: ")


@pytest.mark.parametrize("text", ["- a\n- b\n", "hello\n"])
def test_a_file_without_sections_is_refused(folder: Path, text: str) -> None:
    assert problem(folder, text) == "config.yaml:1:1: a configuration is made of sections, as in `server:`"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agents: {7: {}}", "1:10: the name 7 is not text: put it in quotes"),
        ("server: {7: x}", "1:1: the name 7 is not text: put it in quotes"),
        ("server:\n  drain_s: .inf", "2:12: drain_s: a number is expected, not inf"),
        ("agents:\n  a:\n    instructions_files: [5]", "3:26: instructions_files: text is expected, not 5"),
        ("server: &a {port: 1}\nlog: {<<: *a}", "2:1: unknown key 'port'; did you mean 'format'?"),
    ],
)
def test_odd_yaml_is_explained_too(folder: Path, text: str, expected: str) -> None:
    assert problem(folder, text) == f"config.yaml:{expected}"


def test_all_problems_are_told_at_once_in_the_order_of_the_file(folder: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(write(folder, "log:\n  levle: x\nserver:\n  port: x\n  hots: y\n"), {})
    assert [(found.line, found.column) for found in caught.value.problems] == [(2, 3), (4, 9), (5, 3)]
    assert str(caught.value).count("\n") == 2


def test_mistakes_of_every_kind_are_told_at_once(folder: Path) -> None:
    text = (
        "server:\n  prot: 1\n  port: 2\n  port: 3\n"
        "engines:\n  far: {type: upstream, url: 'http:/x y'}\n  odd: {type: magic}\n"
        "agents:\n  a: {engine: far, voice: ''}\n  b: {engine: odd}\n  c: {engine: nobody}\n"
    )
    with pytest.raises(ConfigProblems) as caught:
        load(write(folder, text), {"VOICE__TOOLS": "{"})
    assert [str(found).partition(": ")[0] for found in caught.value.problems] == [
        "VOICE__TOOLS",
        "config.yaml:2:3",  # a key
        "config.yaml:4:3",  # a key that stands twice
        "config.yaml:6:30",  # a value
        "config.yaml:7:15",  # the kind of an engine
        "config.yaml:9:27",
        "config.yaml:11:15",  # a reference: those to the wrong engines are right
    ]


@pytest.mark.parametrize(
    "text",
    [
        "server:\n  host: 0.0.0.0\n  keys: [env:NOPE]\n",
        "agents: 5\ndefault_agent: desk\n",
        "agents:\n  a: 5\ndefault_agent: a\n",
        "aliases: {mine: 5}\ndefault_agent: mine\n",
        "engines:\n  x: {type: upstream}\nagents:\n  a: {engine: x}\n",
        "sip: {enabled: true, host: 0.0.0.0, trunks: {t: 5}}\n",
    ],
)
def test_what_only_follows_from_a_mistake_is_not_told(folder: Path, text: str) -> None:
    problem(folder, text)


def test_a_mistake_in_a_trunk_does_not_hide_that_nobody_would_answer_another(folder: Path) -> None:
    text = "sip:\n  trunks:\n    a: {codecs: [mp3]}\n    b: {addresses: 192.0.2.1, agent: nobody}\n"
    with pytest.raises(ConfigProblems) as caught:
        load(write(folder, text), {})
    assert [(found.line, found.column) for found in caught.value.problems] == [(3, 18), (4, 38)]


# --- What refers to something else --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agents:\n  a:\n    engine: cascad\n",
         "config.yaml:3:13: there is no engine 'cascad'; did you mean 'cascade'?"),
        ("aliases:\n  gpt-x: scriptd\n", "config.yaml:2:10: there is no engine 'scriptd'; did you mean 'scripted'?"),
        ("agents:\n  desk: {}\ndefault_agent: dsk\n",
         "config.yaml:3:16: there is no agent 'dsk'; did you mean 'desk'?"),
        ("agents:\n  a: {}\naliases:\n  a: cascade\n", "config.yaml:4:6: 'a' is an agent already"),
        ("agents:\n  a:\n    instructions_files: facts.md\n",
         "config.yaml:3:25: instructions_files: there is no file facts.md"),
    ],
)  # fmt: skip
def test_a_reference_to_nothing_is_named_at_its_place(folder: Path, text: str, expected: str) -> None:
    assert problem(folder, text) == expected


def test_files_are_found_from_the_folder_of_the_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "facts.md").write_text("We open at five.")
    path = write(folder, "agents:\n  a:\n    instructions_files: [facts.md]\n").absolute()
    monkeypatch.chdir("/")
    assert load(path, {}).config.agents["a"].instructions_files == (folder / "facts.md",)


def test_an_agent_may_take_the_name_of_an_alias_that_only_the_defaults_name(folder: Path) -> None:
    config = read(folder, "agents:\n  gpt-realtime: {}\n").config
    assert config.answering == "gpt-realtime"
    assert "gpt-realtime" not in config.aliases
    assert "gpt-realtime-mini" in config.aliases


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "example.org"])
def test_an_open_address_without_keys_is_refused(folder: Path, host: str) -> None:
    said = problem(folder, f"server:\n  host: '{host}'\n")
    assert said.startswith("config.yaml:2:9: without `server.keys` the service listens on this machine only")


def test_an_open_address_with_keys_is_taken(folder: Path) -> None:
    assert read(folder, "server:\n  host: 0.0.0.0\n  keys: [abc]\n").config.server.host == "0.0.0.0"


# --- Secrets ------------------------------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_from_files(folder: Path) -> None:
    (folder / "key.txt").write_text("from a file\n")
    text = "server:\n  keys: [env:VOICE_KEY, 'file:key.txt', plain]\n"
    keys = read(folder, text, {"VOICE_KEY": "from the environment"}).config.server.keys
    assert [key.secret.get_secret_value() for key in keys] == ["from the environment", "from a file", "plain"]


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("env:NOPE", "2:10: secret: the environment variable NOPE is not set"),
        ("file:nope", "2:10: secret: the secret file nope cannot be read: No such file or directory"),
        ("''", "2:10: secret: a secret cannot be empty"),
        ("'a b '", "2:10: secret: a secret must be printable ASCII without blanks around it, to stand in a header"),
    ],
)
def test_a_secret_that_is_not_there_is_named(folder: Path, secret: str, expected: str) -> None:
    assert problem(folder, f"server:\n  keys: [{secret}]\n") == f"config.yaml:{expected}"


def test_two_keys_cannot_have_the_same_id(folder: Path) -> None:
    text = "server:\n  keys:\n    - {id: a, secret: x}\n    - {id: a, secret: y}\n"
    assert problem(folder, text) == "config.yaml:4:7: there is a key with the id 'a' already"


def test_no_error_gives_a_secret_away(folder: Path) -> None:
    assert "31337" not in problem(folder, "server:\n  keys: [{id: a, secret: 31337}]\n")


# --- The environment ----------------------------------------------------------------------------------------------


def test_the_environment_wins_over_the_file(folder: Path) -> None:
    environ = {"VOICE__SERVER__PORT": "9001", "VOICE__SERVER__KEYS": '["a", "b"]', "voice__log__level": "debug"}
    config = read(folder, "server:\n  port: 9000\n  drain_s: 3\n", environ).config
    assert (config.server.port, config.server.drain_s, len(config.server.keys)) == (9001, 3, 2)
    assert config.log.level == "debug"


def test_names_in_the_environment_match_whatever_their_case_and_hyphens(folder: Path) -> None:
    text = "agents:\n  Front-Desk:\n    greeting: Hello.\n"
    config = read(folder, text, {"VOICE__AGENTS__FRONT_DESK__GREETING": "null"}).config
    assert config.agents["Front-Desk"].greeting is None


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("VOICE__SERVER__PORT", "x", "VOICE__SERVER__PORT: port: a whole number is expected, not 'x'"),
        ("VOICE__SERVER__PROT", "1", "VOICE__SERVER__PROT: unknown key 'prot'; did you mean 'port'?"),
        ("VOICE__SERVR__PORT", "1", "VOICE__SERVR__PORT: unknown key 'servr'; did you mean 'server'?"),
        ("VOICE__SERVER__KEYS", "[1",
         "VOICE__SERVER__KEYS: not valid JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        ("VOICE__ENGINES__CASCADE__TEMPERATURE", "9",
         "VOICE__ENGINES__CASCADE__TEMPERATURE: temperature: must be at most 2, not '9'"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_named_by_its_variable(folder: Path, variable: str, value: str, expected: str) -> None:
    assert problem(folder, "engines:\n  cascade: {type: cascade}\nserver:\n  port: 1\n", {variable: value}) == expected


def test_an_override_of_an_engine_that_only_the_defaults_name_is_taken(folder: Path) -> None:
    config = read(folder, "", {"VOICE__ENGINES__CASCADE__TEMPERATURE": "0.5"}).config
    assert config.engines["cascade"].model_dump()["temperature"] == 0.5


def test_an_engine_called_like_its_type_need_not_repeat_it(folder: Path) -> None:
    config = read(folder, "engines:\n  cascade:\n    temperature: 0.5\n  scripted:\n").config
    assert [engine.type for engine in config.engines.values()] == ["cascade", "scripted"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llm: qwen2.5-coder-0.5", "2:8: llm: 'qwen2.5-coder-0.5' is no language model; did you mean 'qwen"),
        ("tts: qwen2.5-coder-0.5b", "2:8: tts: 'qwen2.5-coder-0.5b' is no text-to-speech model"),
        ("llm_file: my.gguf", "2:13: llm_file: there is no file my.gguf"),
        ("stt_folder: mine", "2:15: stt_folder: there is no folder mine"),
    ],
)
def test_a_model_must_be_one_of_the_manifest_or_a_file_that_is_there(folder: Path, text: str, expected: str) -> None:
    assert problem(folder, f"models:\n  {text}\n").startswith(f"config.yaml:{expected}")


# --- The command line's overrides ---------------------------------------------------------------------------------


def test_the_command_line_wins_over_everything(folder: Path) -> None:
    text = "server:\n  port: 9000\nagents:\n  a: {}\n"
    config = override(read(folder, text), port=0, engine="scripted").config
    assert config.server.port == 0
    assert config.agents["a"].engine == "scripted"
    assert set(config.aliases.values()) == {"scripted"}


def test_the_command_line_cannot_open_the_door_either(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--host: without `server\.keys`"):
        override(load(None, {}), host="0.0.0.0")
