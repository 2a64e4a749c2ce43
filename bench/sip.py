"""Phone calls on one core: how many at once, how many a second, at what cost, beside bare sockets in the same run.

    agent   the service as it is: media path, voice activity detection, sessions, the scripted engine, which speaks
    echo    the media path alone: signalling, jitter buffer, codec, 24 kHz, playout, codec; the caller hears himself
    bare    sockets that send every datagram back: what the kernel and Python's sockets alone cost

Calls are G.711 μ-law. The served process is pinned to one core, the callers run on the others. A gap is the time
between two packets of one call as the kernel of the caller stamps them. CPU is user + system time of the process.

    python -m bench.sip --agent 50 100 150 --echo 200 350
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from bench.harness import Outcome, emit, parser, percentile, pin, progress, say, scripted_service
from bench.scripts import SHORT_ANSWER
from bench.sip_load import Callers, Nobody
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.gate import GateLimits
from voice.audio.g711 import pcm_to_ulaw
from voice.audio.resample import Resampler
from voice.talk.service import free_port

CYCLE_S = 6
"""Every caller says something of about two seconds and then listens."""

WARM_UP_S = 3.0
_SERVED = 0.97  # below it the machine was too busy for the figure to mean anything


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured."""

    kind: str
    calls: int
    set_up_per_s: float
    cpu: float
    """Share of the core."""
    served: float
    gap_p99_ms: float
    gap_max_ms: float
    memory_kb: float
    """Growth of the serving process for each call."""
    callers_late_ms: float
    """How late the callers sent, at worst."""


@contextmanager
def keeping_off(cpu: int) -> Iterator[None]:
    """Leave one core to the process that is measured, and that is running already."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if len(cores) < 2:
        yield
        return
    os.sched_setaffinity(0, cores - {sorted(cores)[cpu]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def payloads() -> list[bytes]:
    """Return one cycle of a caller's G.711: speech, then silence."""
    narrow = Resampler(24_000, 8_000).process(say("I would like to know a little more about that.").pcm)
    coded = pcm_to_ulaw(narrow)[: CYCLE_S * 8_000].ljust(CYCLE_S * 8_000, b"\xff")
    return [coded[at : at + 160] for at in range(0, len(coded), 160)]


@contextmanager
def served(kind: str, calls: int) -> Iterator[tuple[int, int, list[int]]]:
    """Serve on one core; yield its pid, the SIP port, and the ports of bare sockets."""
    port = free_port()
    if kind == "agent":
        settings = {
            "VOICE__SIP__ENABLED": "true",
            "VOICE__SIP__PORT": str(port),
            "VOICE__SIP__RTP__FIRST": "24000",
            "VOICE__SIP__RTP__LAST": "27999",
            "VOICE__SIP__LIMITS__MAX_CALLS": "5000",
            "VOICE__SIP__LIMITS__CALLS_PER_S": "100000",
            "VOICE__SIP__LIMITS__MESSAGES_PER_S": "100000",
            "VOICE__DEFAULT_AGENT": "bench",
        }
        with scripted_service(SHORT_ANSWER, cpu=0, settings=settings) as service:
            yield service.pid, port, []
        return
    kinds = {"bare": ["--bare", str(calls)], "echo": ["--port", str(port)], "pong": ["--port", str(port), "--pong"]}
    command = [*pin(0), sys.executable, "-m", "bench.sip_echo", *kinds[kind]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().split()
            yield process.pid, port, [int(one) for one in line] if kind == "bare" else []
        finally:
            process.terminate()


async def measure(kind: str, calls: int, seconds: float, sounds: list[bytes], *, urgent: bool = False) -> Run:
    """Set calls up, let them talk, and look at the process that serves them."""
    with served(kind, calls) as (pid, port, ports), keeping_off(0):
        process = psutil.Process(pid)
        if urgent:
            process.nice(-15)
        callers = Callers(calls, sounds)
        async with SipEndpoint(EndpointSettings(port=0, gate=GateLimits(1_000_000)), (), Nobody()) as endpoint:
            before = process.memory_info().rss
            took_s = 0.0
            if kind == "bare":
                callers.aim(ports)
            else:
                took_s = await callers.dial(endpoint, port)
            await asyncio.to_thread(callers.talk, WARM_UP_S)
            started = process.cpu_times()
            await asyncio.to_thread(callers.talk, seconds)
            ended = process.cpu_times()
            memory = process.memory_info().rss - before
            # Silence is sent, too: a call that is up gets 50 packets a second whatever the caller says.
            expected = 50 * seconds * len(callers.watched) if kind != "bare" else callers.sent
            run = Run(
                kind,
                calls,
                calls / took_s if took_s else 0.0,
                (ended.user + ended.system - started.user - started.system) / seconds,
                callers.received / max(1, expected),
                percentile(callers.gaps_ms, 0.99),
                max(callers.gaps_ms, default=0.0),
                memory / 1024 / calls,
                callers.late_ms,
            )
            if kind != "bare":
                await callers.hang_up()
        callers.close()
    return run


def outcome_of(runs: list[Run], seconds: float) -> Outcome:
    """Return the table."""
    columns = ("path", "calls", "set up/s", "CPU", "CPU ms/call-s", "served", "gap p99 ms", "gap max ms", "KB/call",
               "callers late ms")  # fmt: skip
    outcome = Outcome("phone calls on one core", columns)
    for run in runs:
        cost_ms = run.cpu * 1000 / run.calls
        outcome.rows.append(
            (
                *(run.kind, run.calls, f"{run.set_up_per_s:.0f}" if run.set_up_per_s else "-", f"{run.cpu:.0%}"),
                *(f"{cost_ms:.2f}", f"{run.served:.1%}", f"{run.gap_p99_ms:.1f}", f"{run.gap_max_ms:.0f}"),
                *(f"{run.memory_kb:.0f}", f"{run.callers_late_ms:.0f}"),
            )
        )
        key = f"{run.kind}_{run.calls}"
        outcome.figures[f"{key}_set_up_per_s"] = round(run.set_up_per_s, 1)
        outcome.figures[f"{key}_cpu_ms_per_call_s"] = round(cost_ms, 3)
        outcome.figures[f"{key}_gap_p99_ms"] = round(run.gap_p99_ms, 2)
        outcome.figures[f"{key}_served"] = round(run.served, 4)
        outcome.figures[f"{key}_memory_kb_per_call"] = round(run.memory_kb, 1)
    outcome.notes.append(f"G.711 μ-law, {seconds:g} s a run, {WARM_UP_S:g} s warm-up; a run under {_SERVED:.0%} served")
    outcome.notes.append("is of a machine that had no more to give; set-up is INVITE to ACK, 24 at a time")
    return outcome


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--agent", type=int, nargs="*", default=[50, 100, 150], help="calls with agents")
    options.add_argument("--echo", type=int, nargs="*", default=[200, 350], help="calls that echo")
    options.add_argument("--urgent", action="store_true", help="high priority, where others share the machine (root)")
    options.add_argument("--seconds", type=float, default=10.0, help="measured time of each run")
    chosen = options.parse_args()
    if chosen.urgent:
        psutil.Process().nice(-15)
    sounds = payloads()
    runs: list[Run] = []
    plan = [("bare", calls) for calls in sorted({*chosen.agent, *chosen.echo})[-1:]]
    plan += [("echo", calls) for calls in chosen.echo] + [("agent", calls) for calls in chosen.agent]
    for kind, calls in plan:
        progress(f"{kind}, {calls} calls")
        runs.append(asyncio.run(measure(kind, calls, chosen.seconds, sounds, urgent=chosen.urgent)))
    emit(outcome_of(runs, chosen.seconds), chosen.json)


if __name__ == "__main__":
    main()
