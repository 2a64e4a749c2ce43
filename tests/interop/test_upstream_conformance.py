"""With a second instance as its engine, the service is the contract as it is with an engine of its own."""

import json
import subprocess
import sys
from pathlib import Path

from voice.conformance.command import OWN_CONFIG
from voice.talk.service import ServiceProcess

KIT = [sys.executable, "-c", "import sys; from voice.cli import main; sys.exit(main())", "conformance", "--json"]


def test_every_flow_holds_through_an_upstream(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with ServiceProcess("--config", str(OWN_CONFIG)) as back:
        config.write_text(
            f"engines: {{up: {{type: upstream, url: '{back.url}', turns: upstream}}}}\n"
            "aliases: {gpt-realtime: up}\nagents: {}\nmcp: {private_addresses: true}\nlog: {level: warning}\n"
        )
        with ServiceProcess("--config", str(config), environment={"VOICE__SERVER__KEYS": '["a-key"]'}) as front:
            command = [*KIT, "--key", "a-key", front.url]
            run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    report = json.loads(run.stdout)
    outcomes = {flow["name"]: (flow["outcome"], flow["reason"]) for flow in report["flows"]}
    assert {name: why for name, why in outcomes.items() if why[0] != "held" and name != "keys"} == {}
