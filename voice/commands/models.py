"""`voice models list|fetch|verify`."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from voice.config_file import load
from voice.errors import ConfigError, ModelError
from voice.models import manifest
from voice.models.fetch import Progress, fetch
from voice.models.manifest import ModelStatus
from voice.models.weights import MODELS

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the embedded models.")

_STYLES = {"present": "green", "own": "green", "missing": "yellow", "damaged": "red"}
_LINE_EVERY_S = 5.0
"""In a pipe a step is told when it begins and then so often."""

Names = Annotated[list[str] | None, typer.Argument(help="Without names: those that the configuration uses.")]
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="Whose models are meant.")]


@app.command("list")
def list_models(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every model: what for, how large, and whether it is here; * marks those in use.

    Examples:

        voice models list

        voice models list --json
    """
    used = _used(config)
    statuses = manifest.statuses()
    if as_json:
        typer.echo(json.dumps([_as_json(status, used) for status in statuses], indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for status in statuses:
        model = status.model
        mark = "*" if model.name in used else " "
        state = f"[{_STYLES[status.state]}]{status.state:<8}[/]"
        size = _megabytes(model.size_bytes) if model.files else "installed"
        console.print(f"{mark} {model.name:<22} {model.role:<15} {state} {size:>9}  {model.licence}")
    console.print(f"[dim]Folder: {manifest.cache_dir()}[/]")
    for status in statuses:
        if status.hint and (status.model.name in used or status.state == "damaged"):
            console.print(status.hint, style=_STYLES[status.state], markup=False)


@app.command("fetch")
def fetch_models(names: Names = None, config: ConfigOption = None) -> None:
    """Fetch models that are not here yet. An interrupted fetch goes on where it was.

    Examples:

        voice models fetch

        voice models fetch qwen2.5-coder-1.5b
    """
    wanted = names or _used(config)
    absent = [name for name in wanted if not _is_here(name)]
    if not absent:
        typer.echo(f"All models are here: {', '.join(wanted)}.")
        return
    for name in absent:
        with _shown(name) as show:
            path = fetch(name, show)
        typer.echo(f"{name}: fetched to {path}")


@app.command("verify")
def verify_models(names: Names = None, config: ConfigOption = None) -> None:
    """Read models in full and compare their digests with the official ones.

    Examples:

        voice models verify

        voice models verify qwen2.5-coder-0.5b
    """
    faults = 0
    for name in names or _used(config):
        try:
            with _shown(name) as show:
                path = manifest.verify(name, _Counter(name, show))
        except ModelError as error:
            faults += 1
            typer.echo(f"{error} Type: {error.command}", err=True)
        else:
            typer.echo(f"{name}: right ({path})")
    raise typer.Exit(1 if faults else 0)


def _used(path: Path | None) -> list[str]:
    """Name the models of the manifest that the configuration uses."""
    return list(load(path).config.models_used)


def _is_here(name: str) -> bool:
    if name not in MODELS:
        raise ConfigError(f"there is no model '{name}': there are {', '.join(MODELS)}")
    try:
        manifest.find(name)
    except ModelError:
        return False  # missing, or damaged and to be fetched anew
    return True


class _Shown:
    """Shows how far a fetch is: a bar on a terminal, a line now and then in a pipe."""

    def __init__(self, bars: Bars | None, name: str) -> None:
        self._bars = bars
        self._task: TaskID | None = bars.add_task(name, total=None) if bars else None
        self._told_step = ""
        self._told_s = 0.0

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        words = f"{progress.model}: {progress.step}"
        if self._bars is not None and self._task is not None:
            self._bars.update(
                self._task, description=words, completed=progress.done_bytes, total=progress.total_bytes or None
            )
            return
        now_s = time.monotonic()
        if progress.step != self._told_step or now_s - self._told_s >= _LINE_EVERY_S:
            self._told_step, self._told_s = progress.step, now_s
            typer.echo(f"{words}, {_megabytes(progress.done_bytes)} of {_megabytes(progress.total_bytes)}")


@contextmanager
def _shown(name: str) -> Iterator[_Shown]:
    console = Console()
    if not console.is_terminal:
        yield _Shown(None, name)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield _Shown(bars, name)


class _Counter:
    """Adds up what `manifest.verify` says it has read."""

    def __init__(self, name: str, show: _Shown) -> None:
        self._name = name
        self._total_bytes = MODELS[name].size_bytes if name in MODELS else 0
        self._done_bytes = 0
        self._show = show

    def __call__(self, read_bytes: int) -> None:
        """Take the bytes since the last call."""
        self._done_bytes += read_bytes
        self._show(Progress(self._name, "checking", self._done_bytes, self._total_bytes))


def _as_json(status: ModelStatus, used: list[str]) -> dict[str, object]:
    model = status.model
    return {
        "name": model.name,
        "role": model.role,
        "title": model.title,
        "state": status.state,
        "in_use": model.name in used,
        "path": str(status.path) if status.path else None,
        "size_bytes": model.size_bytes,
        "licence": model.licence,
        "hint": status.hint or None,
    }


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
