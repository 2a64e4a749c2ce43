"""What it costs to stand between callers and an upstream: this service beside a bare `websockets` relay, in one run.

Same callers, same upstream, one core for what is measured and the other for both ends. Every caller speaks and hears
fifty frames of 20 ms a second, all the time. The service runs its `upstream` engine twice: with the turn detection left
to the upstream (nothing but relaying, and the whole conversation kept), and with its own (webrtcvad and Silero).
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.harness import Outcome, emit, look_at, parser, pin, progress
from voice.talk.service import ServiceProcess, free_port

MEASURED_CPU, ENDS_CPU = 1, 0
_QUIET = {"type": "server_vad", "create_response": False, "interrupt_response": False}


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--sessions", type=int, default=50, help="how many at once")
    options.add_argument("--seconds", type=float, default=15, help="how long to watch")
    options.add_argument("--bare", nargs=2, metavar=("PORT", "UPSTREAM"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.bare:
        uvloop.run(relay(int(given.bare[0]), given.bare[1]))
        return
    columns = ("", "CPU ms/session-s", "sessions a core", "up p50 ms", "p99 ms", "down p50 ms", "p99 ms", "lost")
    outcome = Outcome(f"{given.sessions} sessions, 50 frames a second each way, {given.seconds:.0f} s", columns)
    kinds = {"bare websockets relay, uvloop": bare, "service, upstream's turns": theirs, "service, its own VAD": ours}
    for name, started in kinds.items():
        progress(f"{name} …")
        port = free_port()
        with started(f"ws://127.0.0.1:{port}/v1/realtime") as (pid, url):
            found = measure(pid, url, port, given.sessions, given.seconds)
        cpu_ms = found["cpu_ms_per_session_s"]
        outcome.figures[name] = found
        latencies = (found["up_p50_ms"], found["up_p99_ms"], found["down_p50_ms"], found["down_p99_ms"])
        outcome.rows.append((name, round(cpu_ms, 3), round(1000 / cpu_ms), *latencies, found["lost"]))
    outcome.notes.append("latency is one way, and holds the two ends' own; sessions a core = 1000 / CPU")
    outcome.notes.append("with its own VAD the service passes on only what is speech: this load has none")
    emit(outcome, given.json)


@contextmanager
def bare(upstream: str) -> Iterator[tuple[int, str]]:
    """Start the yardstick."""
    port = free_port()
    command = [*pin(MEASURED_CPU), sys.executable, "-m", "bench.relay", "--bare", str(port), upstream]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid, f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


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


@contextmanager
def theirs(upstream: str) -> Iterator[tuple[int, str]]:
    """The upstream finds turns."""
    with service(upstream, "upstream") as started:
        yield started


@contextmanager
def ours(upstream: str) -> Iterator[tuple[int, str]]:
    """The service finds turns."""
    with service(upstream, "ours") as started:
        yield started


def measure(pid: int, url: str, upstream_port: int, sessions: int, seconds: float) -> dict[str, Any]:
    """Load it and watch."""
    command = [*pin(ENDS_CPU), sys.executable, "-m", "bench.relay_load", url, str(upstream_port)]
    command += ["--sessions", str(sessions), "--detection", json.dumps(_QUIET)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as ends:
        assert ends.stdin is not None
        assert ends.stdout is not None
        ends.stdout.readline()
        ends.stdin.write("call\n")
        ends.stdin.flush()
        if ends.stdout.readline().strip() != "ready":
            raise SystemExit(f"the callers could not connect to {url}")
        ends.stdin.write("watch\n")
        ends.stdin.flush()
        before, since_s = look_at(pid), time.monotonic()
        time.sleep(seconds)
        after, watched_s = look_at(pid), time.monotonic() - since_s
        ends.stdin.write("stop\n")
        ends.stdin.flush()
        found: dict[str, Any] = json.loads(ends.stdout.readline())
    found["cpu_ms_per_session_s"] = (after.cpu_s - before.cpu_s) * 1000 / sessions / watched_s
    found["memory_kb_per_session"] = (after.rss_bytes - before.rss_bytes) / sessions / 1024
    return found


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
