"""`voice config check|schema|show`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Check and show the configuration.")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Without it: config.yaml in this folder, else the defaults."),
]


@app.command()
def check(config: ConfigOption = None) -> None:
    """Check the configuration, and the tools, scripts and certificates that it names.

    Every fault that can be found is named with its line, those of scripts in their own files.

    Examples:

        voice config check

        voice config check --config /etc/voice/config.yaml
    """
    from voice.config_file import examine
    from voice.errors import ConfigProblems

    loaded, problems = examine(config)
    if loaded is not None:
        from voice.app import check as check_composition  # only where something can be composed: it takes a while

        try:
            check_composition(loaded)
        except ConfigProblems as more:
            problems += more.problems
    if problems or loaded is None:
        raise ConfigProblems(problems)
    agents = ", ".join(loaded.config.agents) or "none"
    typer.echo(f"{loaded.path or 'The defaults'}: right. Agents: {agents}; aliases: {len(loaded.config.aliases)}.")


@app.command()
def schema() -> None:
    """Print the JSON Schema of config.yaml.

    An editor completes and checks the file by it.

    Example:

        voice config schema > config.schema.json
    """
    from voice.config import Config

    typer.echo(json.dumps(Config.model_json_schema(), indent=2))


@app.command()
def show(config: ConfigOption = None) -> None:
    """Print what holds, secrets hidden.

    That is the file, the environment and the defaults together.

    Example:

        VOICE__SERVER__PORT=9000 voice config show
    """
    from ruamel.yaml import YAML

    from voice.config_file import load

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.representer.add_representer(str, _represent_text)
    yaml.dump(_writable(load(config).config.model_dump(mode="json")), sys.stdout)


def _represent_text(representer: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _writable(each) for key, each in value.items()}
    return [_writable(each) for each in value] if isinstance(value, list) else value
