"""What a session costs: N WebSocket sessions at 50 frames a second beside a bare relay in the same run.

The relay runs twice: on asyncio's own event loop, as `websockets` comes, and on uvloop, which the service uses. The
service runs the scripted engine in real time with voice activity detection on; server and load generator have a core
each where the machine has two. CPU is that of the server process and its children over the watched seconds.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.harness import Outcome, emit, look_at, parser, pin, progress, scripted_service
from bench.scripts import REPLY_MS, SHORT_ANSWER
from voice.talk.service import free_port

SERVER_CPU, LOAD_CPU = 1, 0
SETTLE_S = 8.0
"""A cycle and more before anything is counted: every session has spoken and heard once."""

WARM_SESSIONS = 4

RELAYS = ("asyncio", "uvloop")
"""The event loops of the yardstick."""


@dataclass(frozen=True, slots=True)
class Run:
    """One server under load."""

    cpu_ms: float
    """Per session-second."""
    empty_bytes: int
    full_bytes: int
    """Memory without sessions (after some were served), and at the end of the watched time."""
    load: dict[str, Any]


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--sessions", type=int, default=100, help="how many at once")
    options.add_argument("--seconds", type=float, default=30, help="how long to watch")
    options.add_argument("--rounds", type=int, default=2, help="relays and service in turn, so many times")
    given = options.parse_args()
    bare: dict[str, list[Run]] = {loop: [] for loop in RELAYS}
    own: list[Run] = []
    for number in range(1, given.rounds + 1):
        for loop, runs in bare.items():
            with relay(loop) as (pid, url):
                progress(f"round {number}: bare relay on {loop} …")
                runs.append(measure(pid, url, given.sessions, given.seconds, is_relay=True))
        with scripted_service(SHORT_ANSWER, cpu=SERVER_CPU) as service:
            progress(f"round {number}: service …")
            url = f"{service.url}?model=bench"
            own.append(measure(service.pid, url, given.sessions, given.seconds, is_relay=False))
    relays = {loop: together(runs) for loop, runs in bare.items()}
    emit(outcome_of(relays, together(own), given.sessions, given.seconds), given.json)


def together(runs: list[Run]) -> Run:
    """Return the rounds as one run: CPU on average, frames in sum, everything else of the round that was worst."""
    worst = max(runs, key=lambda run: float(run.load["late_p99_ms"]))
    sums = {name: sum(run.load[name] for run in runs) for name in ("sent", "received", "answers", "lost")}
    fullest = max(runs, key=lambda run: run.full_bytes - run.empty_bytes)
    # Memory and the audio in it belong to one round.
    kept = {name: fullest.load[name] for name in ("audio_frames_ever", "events")}
    cpu_ms = sum(run.cpu_ms for run in runs) / len(runs)
    return Run(cpu_ms, fullest.empty_bytes, fullest.full_bytes, {**worst.load, **sums, **kept})


@contextmanager
def relay(loop: str) -> Iterator[tuple[int, str]]:
    """Start the yardstick."""
    port = free_port()
    command = [*pin(SERVER_CPU), sys.executable, "-m", "bench.echo", str(port), "--loop", loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid, f"ws://127.0.0.1:{port}"
        finally:
            process.terminate()


def measure(pid: int, url: str, sessions: int, seconds: float, *, is_relay: bool) -> Run:
    """Warm the server with a few sessions, then load it and watch."""
    with generator(url, WARM_SESSIONS, is_relay=is_relay) as warming:
        time.sleep(SETTLE_S)
        finish(warming)
    time.sleep(1.0)
    empty = look_at(pid)
    with generator(url, sessions, is_relay=is_relay) as load:
        time.sleep(SETTLE_S)
        tell(load, "watch")
        before, since_s = look_at(pid), time.monotonic()
        time.sleep(seconds)
        after, watched_s = look_at(pid), time.monotonic() - since_s
        tell(load, "stop")
        figures = finish(load)
    cpu_ms = (after.cpu_s - before.cpu_s) * 1000 / sessions / watched_s
    return Run(cpu_ms, empty.rss_bytes, after.rss_bytes, figures)


@contextmanager
def generator(url: str, sessions: int, *, is_relay: bool) -> Iterator[subprocess.Popen[str]]:
    """Start a load; entered when all its sessions stand."""
    flags = ["--relay"] if is_relay else []
    command = [*pin(LOAD_CPU), sys.executable, "-m", "bench.load", url, "--sessions", str(sessions), *flags]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SystemExit(f"the load generator could not connect to {url}")
        yield process
    finally:
        process.kill()
        process.wait()


def tell(load: subprocess.Popen[str], word: str) -> None:
    """Begin or end watching."""
    assert load.stdin is not None
    load.stdin.write(word + "\n")
    load.stdin.flush()


def finish(load: subprocess.Popen[str]) -> dict[str, Any]:
    """End a load and take its figures."""
    assert load.stdin is not None
    assert load.stdout is not None
    load.stdin.close()
    found: dict[str, Any] = json.loads(load.stdout.readline())
    load.wait()
    return found


def outcome_of(relays: dict[str, Run], own: Run, sessions: int, seconds: float) -> Outcome:
    """Make the table: the relays, the service, and what lies between."""
    columns = ("", "CPU ms/session-s", "reply late p50 ms", "p99 ms", "max ms", "frames in", "out", "KB/session")
    outcome = Outcome(f"{sessions} sessions, 50 frames a second, {seconds:.0f} s", columns)
    named = {f"bare websockets relay, {loop}": run for loop, run in relays.items()}
    for name, run in (*named.items(), ("service, VAD on", own)):
        load = run.load
        memory = (run.full_bytes - run.empty_bytes) / sessions / 1024
        late = (load["late_p50_ms"], load["late_p99_ms"], load["late_max_ms"])
        outcome.rows.append((name, round(run.cpu_ms, 3), *late, load["sent"], load["received"], memory))
        outcome.figures["service" if run is own else name] = {
            "cpu_ms_per_session_s": run.cpu_ms,
            "memory_kb_per_session": memory,
            **load,
        }
    for loop, run in relays.items():
        ratio = own.cpu_ms / run.cpu_ms if run.cpu_ms else 0.0
        outcome.figures[f"ratio_{loop}"] = ratio
        outcome.rows.append((f"service / relay, {loop}", round(ratio, 2), None, None, None, None, None, None))
    buffered_kb = _buffered_kb(own)
    memory_kb = (own.full_bytes - own.empty_bytes) / sessions / 1024
    outcome.figures |= {"buffered_audio_kb": buffered_kb / sessions, "sessions": sessions}
    outcome.figures["beside_audio_kb_per_session"] = memory_kb - buffered_kb / sessions
    outcome.notes += [
        f"{own.load['answers']} answers were spoken, {own.load['lost']} connections lost; "
        f"the generator itself was late by {own.load['generator_late_p99_ms']:.1f} ms at p99",
        f"of the memory, {buffered_kb / sessions:.0f} KB a session are audio that the conversation keeps (24 kHz); "
        f"beside it {memory_kb - buffered_kb / sessions:.0f} KB",
        f"late: relay, echo delay; service, behind the {REPLY_MS} ms grid through the earliest frame of its answer; "
        "what was made while the silence was judged is due at response.created",
    ]
    return outcome


def _buffered_kb(run: Run) -> float:
    """Audio of all turns and answers so far, as it would lie in the conversations at 24 kHz."""
    from bench.harness import say
    from bench.load import SPEECH

    recording = say(SPEECH)
    heard_ms = (
        recording.speech_end_ms - recording.speech_start_ms
    ) + 800  # prefix padding and the silence that ends it
    turns = run.load["events"].get("input_audio_buffer.committed", 0)
    return float((turns * heard_ms * 48 + run.load["audio_frames_ever"] * REPLY_MS * 48) / 1024)


if __name__ == "__main__":
    main()
