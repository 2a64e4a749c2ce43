"""What it costs to stand between callers and an upstream: this service, a bare relay, LiveKit Agents and Pipecat.

Same callers, same upstream, one core for what is measured and the other for both ends. Every caller speaks and hears
fifty frames of 20 ms a second, all the time. Two groups, each with the same number of sessions throughout:

- *the upstream finds turns*: the service's `upstream` engine with `turns: upstream` (relaying, and the whole
  conversation kept), a bare `websockets` relay, which parses nothing, and the two frameworks at the same upstream.
- *turns are found here*: the service's own webrtcvad and Silero, and the frameworks' Silero. Callers are silent, so
  that nobody is interrupted and all carry the same; that spares the service Silero, which it asks only when webrtcvad
  hears a voice, while the frameworks ask it at every window. So the service stands there again with callers who speak
  half of the time. What is passed on upwards is speech only, so the service has nothing to show there with silence.

What a framework's row holds, and what it is spared, is in `bench/relay_pipecat.py` and `bench/relay_livekit.py`. They
run in an environment of their own, which the first run makes from `bench/relay_peers.lock` (0.8 GB).

What a session costs falls with their number, so then each of them is measured once more with as many sessions as take
it half a core, which gives what a core carries and, beside nothing at all between the two ends, the latency added.
"""

import argparse
import asyncio
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.harness import Outcome, emit, look_at, parser, pin, progress, say
from bench.relay_venv import python_of_peers
from voice.talk.service import ServiceProcess, free_port

MEASURED_CPU, ENDS_CPU = 1, 0
STEPS_TO_HALF_A_CORE = 2
MAX_SESSIONS = 150
"""More than these the two ends do not keep up with on one core."""

_QUIET = {"type": "server_vad", "create_response": False, "interrupt_response": False}
_HERE = Path(__file__).parent
_SPEECH = "I would like to book a table for seven people on Friday evening, somewhere near the window if you can."

Started = Callable[[str], AbstractContextManager[tuple[int, str]]]
"""Given the upstream's URL, runs something in front of it: its process and where callers go."""

_BARE, _DIRECT = "bare websockets relay, uvloop", "nothing between the two ends"
_UPSTREAMS_TURNS, _OWN_TURNS = "service, upstream's turns", "service, own turns"
_AT_HALF_A_CORE = "; half a core"
_LIVEKIT, _PIPECAT = "LiveKit Agents", "Pipecat"


@dataclass(frozen=True, slots=True)
class Load:
    """What the two ends do."""

    sessions: int
    seconds: float
    speech: Path | None = None


Measurement = tuple[str, Load, Started | None]
"""What it is called, what the two ends do, and what stands between them."""


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--sessions", type=int, default=20, help="how many at once where the upstream finds turns")
    options.add_argument("--own-sessions", type=int, default=8, help="how many at once where turns are found here")
    options.add_argument("--seconds", type=float, default=15, help="how long to watch")
    options.add_argument("--rounds", type=int, default=1, help="how often at the same number; medians count")
    options.add_argument("--without-peers", action="store_true", help="neither LiveKit Agents nor Pipecat")
    options.add_argument("--bare", nargs=2, metavar=("PORT", "UPSTREAM"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.bare:
        uvloop.run(relay(int(given.bare[0]), given.bare[1]))
        return
    columns = (
        "",
        "sessions",
        "CPU ms/session-s",
        "sessions a core",
        "up p50 ms",
        "p99 ms",
        "down p50 ms",
        "p99 ms",
        "lost",
    )
    of = f"median of {given.rounds} rounds" if given.rounds > 1 else "one round"
    outcome = Outcome(f"50 frames a second each way, {given.seconds:.0f} s, {of}", columns)
    peers = None if given.without_peers else python_of_peers()
    with tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
        speech = Path(folder, "speech.pcm")
        recording = say(_SPEECH)
        speech.write_bytes(recording.pcm + bytes(len(recording.pcm)))
        wanted = list(measurements(given, speech, peers))
        _measure_all(outcome, wanted, given.rounds)
    for name, load, started in wanted:
        if load.speech is None:
            cost_ms = outcome.figures[name]["cpu_ms_per_session_s"]
            _add(outcome, f"{name}{_AT_HALF_A_CORE}", at_half_a_core(name, cost_ms, started, given.seconds))
    ours = outcome.figures[f"{_UPSTREAMS_TURNS}{_AT_HALF_A_CORE}"]
    progress(f"{_DIRECT} …")
    _add(outcome, _DIRECT, run(Load(ours["sessions"], given.seconds), None))
    outcome.notes += notes(outcome.figures)
    emit(outcome, given.json)


def _measure_all(outcome: Outcome, wanted: list[Measurement], rounds: int) -> None:
    """Measure each in turn, round after round, so that what else the machine does falls on all of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(1, rounds + 1):
        for name, load, started in wanted:
            progress(f"round {number}: {name}, {load.sessions} sessions …")
            found.setdefault(name, []).append(run(load, started))
    for name, _, _ in wanted:
        _add(outcome, name, {key: statistics.median(each[key] for each in found[name]) for key in found[name][0]})


def measurements(given: argparse.Namespace, speech: Path, peers: str | None) -> Iterator[Measurement]:
    """Yield what is measured, in order."""
    load = Load(given.sessions, given.seconds)
    yield _BARE, load, bare
    yield _UPSTREAMS_TURNS, load, service_upstreams_turns
    if peers:
        yield f"{_LIVEKIT}, upstream's turns", load, partial(peer, peers, "relay_livekit")
        yield f"{_PIPECAT}, upstream's turns", load, partial(peer, peers, "relay_pipecat")
    load = Load(given.own_sessions, given.seconds)
    yield _OWN_TURNS, load, service_own_turns
    yield f"{_OWN_TURNS}; callers speak", Load(load.sessions, load.seconds, speech), service_own_turns
    if peers:
        yield f"{_LIVEKIT}, Silero", load, partial(peer, peers, "relay_livekit", silero=True)
        yield f"{_PIPECAT}, Silero", load, partial(peer, peers, "relay_pipecat", silero=True)


def at_half_a_core(name: str, cost_ms: float, started: Started | None, seconds: float) -> dict[str, Any]:
    """Measure with as many sessions as take half a core; more of them cost less each, so it takes some steps."""
    found: dict[str, Any] = {}
    for _ in range(STEPS_TO_HALF_A_CORE):
        load = Load(min(MAX_SESSIONS, max(1, round(500 / cost_ms))), seconds)
        progress(f"{name}, {load.sessions} sessions …")
        found = run(load, started)
        cost_ms = found["cpu_ms_per_session_s"]
    return found


def notes(figures: dict[str, Any]) -> list[str]:
    """Say how often a framework's cost the service's is, how much latency it adds, and how to read the rest."""
    found = ["latency is one way, and holds the two ends' own; sessions a core = 1000 / CPU at this number of sessions"]
    for own, theirs in ((_UPSTREAMS_TURNS, "upstream's turns"), (_OWN_TURNS, "Silero")):
        for name in (_LIVEKIT, _PIPECAT):
            if f"{name}, {theirs}" in figures:
                same, half = (
                    figures[f"{name}, {theirs}{at}"]["cpu_ms_per_session_s"] / figures[own + at]["cpu_ms_per_session_s"]
                    for at in ("", _AT_HALF_A_CORE)
                )
                figures[f"{own} / {name}"] = {"same_sessions": same, "half_a_core": half}
                found.append(
                    f"{own}: {half:.1f} times the sessions of {name}, {theirs}, each at half a core; "
                    f"{same:.1f} times at the same number"
                )
    ours, direct = figures[f"{_UPSTREAMS_TURNS}{_AT_HALF_A_CORE}"], figures[_DIRECT]
    added = [ours[key] - direct[key] for key in ("up_p50_ms", "up_p99_ms", "down_p50_ms", "down_p99_ms")]
    found.append("added at half a core, p50 and p99: up {:.2f} and {:.2f} ms, down {:.2f} and {:.2f} ms".format(*added))
    return found


def run(load: Load, started: Started | None) -> dict[str, Any]:
    """Measure one of them."""
    port = free_port()
    if started is None:
        return measure(None, "direct", port, load)
    with started(f"ws://127.0.0.1:{port}/v1/realtime") as (pid, url):
        return measure(pid, url, port, load)


def _add(outcome: Outcome, name: str, found: dict[str, Any]) -> None:
    cpu_ms = found["cpu_ms_per_session_s"]
    outcome.figures[name] = found
    cost = (round(cpu_ms, 3), round(1000 / cpu_ms)) if cpu_ms else (None, None)
    latencies = (_ms(found[key]) for key in ("up_p50_ms", "up_p99_ms", "down_p50_ms", "down_p99_ms"))
    outcome.rows.append((name, found["sessions"], *cost, *latencies, found["lost"]))


def _ms(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.2f}"


# --- What is between ----------------------------------------------------------------------------------------------


@contextmanager
def process_at(command: list[str], port: int) -> Iterator[tuple[int, str]]:
    """Start a relay of some kind on the measured core; entered when it says that it is ready."""
    with subprocess.Popen([*pin(MEASURED_CPU), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != b"ready":
                raise SystemExit(f"did not start: {' '.join(command)}")
            yield process.pid, f"ws://127.0.0.1:{port}"
        finally:
            process.kill()


@contextmanager
def bare(upstream: str) -> Iterator[tuple[int, str]]:
    """Start the yardstick."""
    port = free_port()
    with process_at([sys.executable, "-m", "bench.relay", "--bare", str(port), upstream], port) as started:
        yield started


@contextmanager
def peer(python: str, program: str, upstream: str, *, silero: bool = False) -> Iterator[tuple[int, str]]:
    """Start a framework's."""
    port = free_port()
    url = upstream.replace("ws://", "http://") if program == "relay_livekit" else upstream
    command = [python, str(_HERE / f"{program}.py"), str(port), url, *(["--silero"] if silero else [])]
    with process_at(command, port) as started:
        yield started


@contextmanager
def service(upstream: str, turns: str) -> Iterator[tuple[int, str]]:
    """Start the service with an upstream engine."""
    with tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(
            f"engines:\n  up: {{type: upstream, url: '{upstream}', model: bench, turns: {turns}, connect_s: 20}}\n"
            "agents: {bench: {engine: up}}\naliases: {gpt-realtime: up}\n"
            "server: {max_sessions: 5000}\nlog: {level: warning}\n"
        )
        with ServiceProcess("--config", str(config), prefix=pin(MEASURED_CPU)) as process:
            yield process.pid, f"{process.url}?model=bench"


def service_upstreams_turns(upstream: str) -> AbstractContextManager[tuple[int, str]]:
    """The upstream finds turns."""
    return service(upstream, "upstream")


def service_own_turns(upstream: str) -> AbstractContextManager[tuple[int, str]]:
    """The service finds turns."""
    return service(upstream, "ours")


# --- Measuring ----------------------------------------------------------------------------------------------------


def measure(pid: int | None, url: str, upstream_port: int, load: Load) -> dict[str, Any]:
    """Load it and watch."""
    command = [*pin(ENDS_CPU), sys.executable, "-m", "bench.relay_load", url, str(upstream_port)]
    command += ["--sessions", str(load.sessions), "--detection", json.dumps(_QUIET)]
    command += ["--speech", str(load.speech)] if load.speech else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ends:
        assert ends.stdin is not None
        assert ends.stdout is not None
        ends.stdout.readline()
        _tell(ends.stdin, "call")
        if ends.stdout.readline().strip() != "ready":
            raise SystemExit(f"the callers could not connect to {url}")
        _tell(ends.stdin, "watch")
        before, since_s = look_at(pid) if pid else None, time.monotonic()
        time.sleep(load.seconds)
        after, watched_s = look_at(pid) if pid else None, time.monotonic() - since_s
        _tell(ends.stdin, "stop")
        found: dict[str, Any] = json.loads(ends.stdout.readline())
    found |= {"sessions": load.sessions, "cpu_ms_per_session_s": 0.0}
    if before and after:
        found["cpu_ms_per_session_s"] = (after.cpu_s - before.cpu_s) * 1000 / load.sessions / watched_s
        found["memory_kb_per_session"] = (after.rss_bytes - before.rss_bytes) / load.sessions / 1024
    return found


def _tell(ends: Any, word: str) -> None:
    ends.write(f"{word}\n")
    ends.flush()


async def relay(port: int, upstream: str) -> None:
    """Pass messages on, both ways, and nothing else."""

    async def pass_on(client: ServerConnection) -> None:
        async with connect(upstream, compression=None, max_size=None) as server:

            async def back() -> None:
                with suppress(ConnectionClosed):
                    async for message in server:
                        await client.send(message)

            answering = asyncio.create_task(back())
            with suppress(ConnectionClosed):
                async for message in client:
                    await server.send(message)
            answering.cancel()

    async with serve(pass_on, "127.0.0.1", port, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    main()
