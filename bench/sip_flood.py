"""Junk thrown at the SIP port while calls are up: what it costs, and whether a call is harmed.

The service runs as it is, with its usual limits, the scripted engine speaking on every call. Then a process of its own
sends datagrams to the SIP port: noise, damaged SIP, and the OPTIONS and REGISTER of scanners. Two sources: the callers'
own address, which the service trusts, and another one of this machine.

    python -m bench.sip_flood --calls 20 --rate 20000
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from bench.harness import Outcome, emit, parser, percentile, progress
from bench.sip import WARM_UP_S, keeping_off, payloads, served
from bench.sip_load import HOST, Callers, Nobody
from bench.sip_parser import invite
from sip.endpoint import EndpointSettings, SipEndpoint

OTHER_HOST = "127.0.0.2"
_PERIOD_S = 0.002
_SCAN = invite().replace(b"INVITE", b"OPTIONS")
JUNK = (
    os.urandom(200),
    b"\x16\x03\x01" * 40,
    _SCAN[:300],
    _SCAN,
    invite().replace(b"INVITE", b"REGISTER"),
    b"SIP/2.0 200",
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured."""

    name: str
    junk_per_s: float
    cpu: float
    served: float
    gap_p99_ms: float
    gap_max_ms: float
    new_call_ms: float
    """To set one more call up meanwhile."""
    lost: int
    """Calls that ended, or did not end when told to."""


def throw(source: str, port: int, rate: int) -> None:
    """Send junk until the process is ended; tells once a second how much."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thrower:
        thrower.bind((source, 0))
        thrower.connect((HOST, port))
        start_s = time.perf_counter()
        sent, told = 0, 1
        while True:
            elapsed_s = time.perf_counter() - start_s
            while sent < elapsed_s * rate:
                with suppress(OSError):
                    thrower.send(JUNK[sent % len(JUNK)])
                sent += 1
            if elapsed_s > told:
                print(sent / elapsed_s, flush=True)
                told += 1
            time.sleep(_PERIOD_S)


@contextmanager
def flood(source: str | None, port: int, rate: int) -> Iterator[list[float]]:
    """Throw junk meanwhile; the list holds the rate at the end."""
    reached: list[float] = []
    if source is None:
        yield reached
        return
    command = [sys.executable, "-m", "bench.sip_flood", "--throw", source, str(port), "--rate", str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield reached
        finally:
            process.terminate()
            lines = process.stdout.read().split()
            reached.append(float(lines[-1]) if lines else 0.0)


async def measure(name: str, source: str | None, calls: int, rate: int, seconds: float, sounds: list[bytes]) -> Run:
    """Hold calls, with junk or without."""
    with served("agent", calls) as (pid, port, _), keeping_off(0):
        process = psutil.Process(pid)
        callers, late = Callers(calls, sounds), Callers(1, sounds)
        async with SipEndpoint(EndpointSettings(port=0), (), Nobody()) as endpoint:
            await callers.dial(endpoint, port)
            await asyncio.to_thread(callers.talk, WARM_UP_S)
            with flood(source, port, rate) as reached:
                started, began_s = process.cpu_times(), time.perf_counter()
                talking = asyncio.create_task(asyncio.to_thread(callers.talk, seconds))
                new_call_ms = await late.dial(endpoint, port) * 1000
                await late.hang_up()
                await talking
                ended, took_s = process.cpu_times(), time.perf_counter() - began_s
                lost = sum(caller.remote is None for caller in callers.callers)
                await callers.hang_up()
            run = Run(
                name,
                reached[0] if reached else 0.0,
                (ended.user + ended.system - started.user - started.system) / took_s,
                callers.received / (50 * seconds * len(callers.watched)),
                percentile(callers.gaps_ms, 0.99),
                max(callers.gaps_ms, default=0.0),
                new_call_ms,
                lost,
            )
        callers.close()
        late.close()
    return run


def outcome_of(runs: list[Run], calls: int, seconds: float) -> Outcome:
    """Return the table."""
    columns = ("junk from", "junk/s", "CPU", "packets served", "gap p99 ms", "gap max ms", "new call ms", "calls lost")
    outcome = Outcome("junk at the SIP port", columns)
    for run in runs:
        outcome.rows.append(
            (
                *(run.name, f"{run.junk_per_s:.0f}", f"{run.cpu:.0%}", f"{run.served:.1%}", f"{run.gap_p99_ms:.1f}"),
                *(f"{run.gap_max_ms:.0f}", f"{run.new_call_ms:.0f}", run.lost),
            )
        )
        key = run.name.replace(" ", "_")
        outcome.figures[f"{key}_junk_per_s"] = round(run.junk_per_s)
        outcome.figures[f"{key}_cpu"] = round(run.cpu, 3)
        outcome.figures[f"{key}_gap_p99_ms"] = round(run.gap_p99_ms, 2)
        outcome.figures[f"{key}_calls_lost"] = run.lost
    outcome.notes.append(f"{calls} calls of G.711 with the scripted engine speaking, {seconds:g} s each, one core")
    return outcome


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=20, help="calls that are up")
    options.add_argument("--rate", type=int, default=20_000, help="datagrams of junk a second")
    options.add_argument("--seconds", type=float, default=10.0, help="measured time of each run")
    options.add_argument("--throw", nargs=2, metavar=("SOURCE", "PORT"), help="only send the junk")
    chosen = options.parse_args()
    if chosen.throw:
        throw(chosen.throw[0], int(chosen.throw[1]), chosen.rate)
        return
    sounds = payloads()
    runs: list[Run] = []
    for name, source in (("nobody", None), ("another host", OTHER_HOST), ("the callers' host", HOST)):
        progress(f"junk from {name}")
        runs.append(asyncio.run(measure(name, source, chosen.calls, chosen.rate, chosen.seconds, sounds)))
    emit(outcome_of(runs, chosen.calls, chosen.seconds), chosen.json)


if __name__ == "__main__":
    main()
