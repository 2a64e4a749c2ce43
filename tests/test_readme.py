"""What the README tells its readers to type exists, and its counts are those of the kit."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from voice.cli import COMMANDS, main
from voice.conformance.flows import all_flows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CODE = re.findall(r"```[a-z]*\n(.*?)```", README, re.DOTALL) + re.findall(r"`([^`\n]+)`", README)
LINES = [line.split("#")[0].strip() for block in CODE for line in block.splitlines()]
TYPED = sorted({line for line in LINES if re.match(r"(\$ )?(\S*/)?voice [a-z]", line)})
GROUPS = {command.name for command in COMMANDS if command.is_group}


@pytest.mark.parametrize("line", TYPED)
def test_a_command_of_the_readme_exists_with_its_options(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = line.removeprefix("$ ").split()[1:]
    command = words[:2] if words[0] in GROUPS else words[:1]
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", line):
        assert option in shown


def test_the_targets_of_make_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = {match for line in LINES for match in re.findall(r"^make ([a-z]+)", line)}
    assert named
    assert named <= set(targets)


def test_the_benches_exist() -> None:
    for name in set(re.findall(r"`bench\.([a-z_]+)`", README)):
        assert find_spec(f"bench.{name}") is not None, name


def test_the_counts_of_the_kit_are_its_own() -> None:
    flows = all_flows()
    for title, kind in (("Flows", "flow"), ("Error cases", "error"), ("REST calls and handshakes", "rest")):
        (total,) = re.findall(rf"^  {title} +\d+ of (\d+)", README, re.MULTILINE)
        assert int(total) == sum(flow.kind == kind for flow in flows)
    assert f"plays {len(flows)} flows" in README.replace("\n", " ")
