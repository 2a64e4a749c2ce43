"""What the benches share: speech, a service of their own, percentiles, process figures, a table or JSON.

Run one as `python -m bench.latency`. Each starts the service itself on a free port and stops it afterwards.
"""

import argparse
import json
import math
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.box import HEAVY_HEAD
from rich.console import Console
from rich.table import Table

from voice.audio.frames import CORE_RATE_HZ
from voice.talk.recording import Recording, from_pcm, from_samples, load
from voice.talk.service import ServiceProcess

SEED = 7
"""Of every random choice: two runs measure the same thing."""


@dataclass(slots=True)
class Outcome:
    """What a bench found."""

    name: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """For `--json` and for whoever compares runs; keys carry units."""
    notes: list[str] = field(default_factory=list)
    """How it was measured, and what to keep in mind reading it."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows `--json`."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--json", action="store_true", help="print figures as JSON instead of a table")
    return made


def emit(outcome: Outcome, as_json: bool) -> None:
    """Print an outcome."""
    if as_json:
        machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
        print(
            json.dumps({"bench": outcome.name, "machine": machine, **outcome.figures, "notes": outcome.notes}, indent=2)
        )
        return
    console = Console() if sys.stdout.isatty() else Console(width=150)
    table = Table(title=outcome.name, title_justify="left", box=HEAVY_HEAD if console.is_terminal else None)
    for number, column in enumerate(outcome.columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in outcome.rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)
    for note in outcome.notes:
        console.print(f"  {note}", highlight=False, markup=False)


def progress(text: str) -> None:
    """Say on standard error what is being done: benches take minutes."""
    Console(stderr=True).print(text, style="dim", highlight=False, markup=False, soft_wrap=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0…1) of all are at or below; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1 if share > 0 else 0)]


def say(text: str, speed: float = 1.0) -> Recording:
    """Make a recording with the embedded voice, half a second of silence at its end."""
    samples = np.asarray(_voice()(text, speed=speed, seed=SEED), dtype=np.float64)
    samples = np.concatenate([samples * (0.5 / max(1e-6, float(np.abs(samples).max()))), np.zeros(CORE_RATE_HZ // 2)])
    return from_samples(text, samples)


def recordings_in(folder: Path) -> list[Recording]:
    """Load every WAV file of a folder, by name."""
    return [load(path) for path in sorted(folder.glob("*.wav"))]


def louder_by(recording: Recording, background: np.ndarray[Any, Any], snr_db: float) -> Recording:
    """Mix a background under a recording, at a ratio to its speech; onset and end stay the clean ones."""
    clean = np.frombuffer(recording.pcm, dtype="<i2").astype(np.float64) / 2**15
    per_ms = CORE_RATE_HZ // 1000
    speech = clean[recording.speech_start_ms * per_ms : recording.speech_end_ms * per_ms]
    noise = np.resize(background, clean.size)
    wanted = float(np.sqrt(np.square(speech).mean())) / 10 ** (snr_db / 20)
    mixed = clean + noise * wanted / max(1e-9, float(np.sqrt(np.square(noise).mean())))
    pcm = np.clip(np.round(mixed * 2**15), -(2**15), 2**15 - 1).astype("<i2").tobytes()
    return Recording(
        f"{recording.name} +noise {snr_db:.0f} dB", pcm, recording.speech_start_ms, recording.speech_end_ms
    )


def silence(duration_ms: int) -> Recording:
    """Return a recording of nothing."""
    return from_pcm("silence", bytes(CORE_RATE_HZ * 2 * duration_ms // 1000))


@contextmanager
def scripted_service(
    script: str, *, cpu: int | None = None, settings: dict[str, str] | None = None
) -> Iterator[ServiceProcess]:
    """Serve a script (YAML) as the model `bench`, pinned to one core when asked for and possible."""
    folder = Path(tempfile.mkdtemp(prefix="voice-bench-"))
    try:
        (folder / "script.yaml").write_text(script, encoding="utf-8")
        (folder / "config.yaml").write_text(
            "engines:\n  scripted: {type: scripted, script: script.yaml}\n"
            "agents:\n  bench: {engine: scripted}\n"
            "aliases: {gpt-realtime: scripted}\n"
            "server: {max_sessions: 5000}\nlog: {level: warning}\n",
            encoding="utf-8",
        )
        options = ("--config", str(folder / "config.yaml"))
        with ServiceProcess(*options, prefix=pin(cpu), environment=settings, folder=folder) as service:
            yield service
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pin(cpu: int | None) -> list[str]:
    """Return the command prefix that keeps a process on one core; empty where that cannot be done."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    taskset = shutil.which("taskset")
    if cpu is None or taskset is None or len(cores) < 2:
        return []
    return [taskset, "-c", str(cores[cpu % len(cores)])]


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """A process and its children at one moment."""

    cpu_s: float
    rss_bytes: int
    descriptors: int


def look_at(pid: int) -> ProcessFigures:
    """Read CPU time, memory and descriptors of a process and its children together."""
    root = psutil.Process(pid)
    processes = [root, *root.children(recursive=True)]
    times = [process.cpu_times() for process in processes]
    return ProcessFigures(
        cpu_s=sum(time.user + time.system for time in times),
        rss_bytes=sum(process.memory_info().rss for process in processes),
        descriptors=sum(process.num_fds() for process in processes),
    )


@cache
def _voice() -> Any:
    from hibari import Hibari

    return Hibari()


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    return "-" if value is None else str(value)
