"""Thousands of calls by sipp, one after the other, without and with lost messages: none may fail, nothing may be left.

Each call is INVITE, answer, ACK, a second of audio from us, BYE. sipp loses its own messages where it is told to (in
both directions, `-lost`); beside our figures stand those of sipp calling sipp with the same loss.

    python -m bench.sip_soak --calls 2000 --rate 20 --lost 0 5
"""

import csv
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.harness import Outcome, emit, parser, progress
from bench.sip import served
from voice.talk.service import free_port

HOST = "127.0.0.1"
CALL_MS = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """What one run counted."""

    callee: str
    lost_percent: int
    succeeded: int
    failed: int
    repeated: int
    """Messages that sipp had to send again."""
    cpu_ms_per_call: float
    descriptors_left: int
    memory_mb: float
    """Growth of the service."""


def call(port: int, calls: int, rate: int, lost: int, folder: Path) -> tuple[int, int, int]:
    """Let sipp call; return how many calls went well, how many did not, and what was repeated."""
    command = ["sipp", "-sn", "uac", f"{HOST}:{port}", "-i", HOST, "-p", str(free_port()), "-s", "100", "-nostdin"]
    command += ["-m", str(calls), "-r", str(rate), "-d", str(CALL_MS), "-trace_stat", "-fd", "1", "-stf", "stat.csv"]
    command += ["-lost", str(lost)] if lost else []
    limit_s = calls / rate + 120
    subprocess.run(command, cwd=folder, capture_output=True, timeout=limit_s, check=False)
    with (folder / "stat.csv").open() as file:
        last = list(csv.DictReader(file, delimiter=";"))[-1]
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]), int(last["Retransmissions(C)"])


def measure(calls: int, rate: int, lost: int) -> Run:
    """Call the service."""
    with served("agent", calls) as (pid, port, _), tempfile.TemporaryDirectory() as folder:
        process = psutil.Process(pid)
        call(port, 20, rate, 0, Path(folder))  # everything imported, every pool filled
        time.sleep(3)
        times, descriptors, memory = process.cpu_times(), process.num_fds(), process.memory_info().rss
        succeeded, failed, repeated = call(port, calls, rate, lost, Path(folder))
        ended = process.cpu_times()
        time.sleep(3 if not lost else 40)  # what was lost is repeated for half a minute
        cpu_ms = (ended.user + ended.system - times.user - times.system) * 1000 / calls
        left, grown = process.num_fds() - descriptors, (process.memory_info().rss - memory) / 1e6
        return Run("this service", lost, succeeded, failed, repeated, cpu_ms, left, grown)


def compare(calls: int, rate: int, lost: int) -> Run:
    """Let sipp call sipp."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        command = ["sipp", "-sn", "uas", "-i", HOST, "-p", str(port), "-nostdin"]
        callee = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(callee.kill)
        time.sleep(1)
        succeeded, failed, repeated = call(port, calls, rate, lost, folder)
        return Run("sipp", lost, succeeded, failed, repeated, 0.0, 0, 0.0)


def outcome_of(runs: list[Run], rate: int) -> Outcome:
    """Return the table."""
    columns = ("callee", "lost", "succeeded", "failed", "repeated", "CPU ms/call", "descriptors left", "MB grown")
    outcome = Outcome("calls by sipp", columns)
    for run in runs:
        ours = run.callee != "sipp"
        more = (f"{run.cpu_ms_per_call:.1f}", run.descriptors_left, f"{run.memory_mb:.1f}") if ours else ("-",) * 3
        outcome.rows.append((run.callee, f"{run.lost_percent} %", run.succeeded, run.failed, run.repeated, *more))
        key = f"{run.callee.replace(' ', '_')}_lost_{run.lost_percent}"
        outcome.figures[f"{key}_failed"] = run.failed
        outcome.figures[f"{key}_succeeded"] = run.succeeded
    outcome.notes.append(f"{rate} calls a second of {CALL_MS / 1000:g} s; the scripted engine on each, one core")
    return outcome


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=2000, help="of each run")
    options.add_argument("--rate", type=int, default=20, help="new calls a second")
    options.add_argument("--lost", type=int, nargs="*", default=[0, 5], help="percent of messages that get lost")
    chosen = options.parse_args()
    if shutil.which("sipp") is None:
        raise SystemExit("sipp is not installed: apt-get install sip-tester")
    runs: list[Run] = []
    for lost in chosen.lost:
        progress(f"{chosen.calls} calls, {lost} % lost")
        runs.append(measure(chosen.calls, chosen.rate, lost))
        if lost:
            runs.append(compare(chosen.calls, chosen.rate, lost))
    emit(outcome_of(runs, chosen.rate), chosen.json)


if __name__ == "__main__":
    main()
