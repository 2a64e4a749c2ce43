"""WebRTC echoes: CPU, latency, memory and the cost of a connection, ours beside a stock aiortc echo at the same N.

Ours is the whole transport behind `POST /v1/realtime/calls`: ICE, DTLS, data channel, SRTP, jitter buffer with
concealment, RTCP, Opus to 24 kHz and back, playout. Stock is `RTCPeerConnection` with the received track sent back.
Each echo is a process of its own on one core; the callers are in this process, on another, and send ready packets.

    python -m bench.webrtc --sessions 16 --seconds 10
"""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
import uvloop
from aiohttp import ClientSession

from bench.harness import Outcome, emit, parser, percentile, progress
from bench.webrtc_peers import HOST, KINDS, PATH, Caller, serve
from transports.rtp.opus import OpusEncoder
from transports.rtp.ticker import Ticker
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.network import Network
from voice.audio.frames import CORE_RATE_HZ

FRAME_SAMPLES = CORE_RATE_HZ // 50
WARM_UP_S = 2.0
WARM_CONNECTIONS = 5
PROBES = 12
PROBING_CALLERS = 8
PROBE_EVERY_TICKS = 25


@dataclass(frozen=True, slots=True)
class Run:
    """What one echo was measured at."""

    kind: str
    sessions: int
    cpu_ms: float
    """Per session-second."""
    served: float
    """Packets that came back, of those sent."""
    gap_p99_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    memory_kb: float
    """Per session."""
    connect_p50_ms: float
    connect_p95_ms: float
    connect_cpu_ms: float
    """Of the server, for one connection."""


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--sessions", type=int, nargs="+", default=[16], help="how many call at a time")
    options.add_argument("--seconds", type=float, default=10.0, help="how long CPU is measured")
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = options.parse_args()
    cores = sorted(psutil.Process().cpu_affinity())
    server_core = cores[0] if len(cores) > 1 else None
    if server_core is not None:
        psutil.Process().cpu_affinity(cores[1:])
    runs = []
    for sessions in given.sessions:
        for kind in given.kinds:
            progress(f"{kind}, {sessions} sessions ...")
            with echo(kind, server_core) as (pid, url):
                runs.append(uvloop.run(measure(kind, url, pid, sessions, given.seconds)))
    emit(report(runs), given.json)


@contextmanager
def echo(kind: str, core: int | None) -> Iterator[tuple[int, str]]:
    """Run an echo in a process of its own; give its pid and where offers go."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(kind, core, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(60):
            raise TimeoutError(f"the {kind} echo did not start")
        yield process.pid or 0, f"http://{HOST}:{ours.recv()}{PATH}"
    finally:
        process.terminate()
        process.join()


async def measure(kind: str, url: str, pid: int, sessions: int, seconds: float) -> Run:
    """Connect the callers one after the other, let them talk, and look at the server meanwhile."""
    process = psutil.Process(pid)
    speech, silence, loud = packets()
    async with callers(url, WARM_CONNECTIONS, speech):
        pass  # imports, first-time allocations, the certificate
    await asyncio.sleep(1.0)
    memory_before, cpu_before = process.memory_info().rss, cpu_s(process)
    async with callers(url, sessions, speech) as (calling, took_s):
        connect_cpu_ms = (cpu_s(process) - cpu_before) * 1000 / sessions
        ticker = Ticker()
        for caller in calling:
            ticker.add(caller.tick)
        await asyncio.sleep(WARM_UP_S)
        for caller in calling:
            caller.sent = caller.received = 0
            caller.gaps_s.clear()
        cpu_before, began_s = cpu_s(process), time.monotonic()
        await asyncio.sleep(seconds)
        cpu_ms = (cpu_s(process) - cpu_before) * 1000 / ((time.monotonic() - began_s) * sessions)
        served = sum(caller.received for caller in calling) / max(1, sum(caller.sent for caller in calling))
        gaps_s = [gap for caller in calling for gap in caller.gaps_s]
        memory_kb = (process.memory_info().rss - memory_before) / 1024 / sessions
        ticker.close()
    latencies_s = await probe(url, silence, loud)
    return Run(
        kind=kind,
        sessions=sessions,
        cpu_ms=cpu_ms,
        served=served,
        gap_p99_ms=percentile(gaps_s, 0.99) * 1000,
        latency_p50_ms=percentile(latencies_s, 0.5) * 1000,
        latency_p95_ms=percentile(latencies_s, 0.95) * 1000,
        memory_kb=memory_kb,
        connect_p50_ms=percentile(took_s, 0.5) * 1000,
        connect_p95_ms=percentile(took_s, 0.95) * 1000,
        connect_cpu_ms=connect_cpu_ms,
    )


@asynccontextmanager
async def callers(url: str, count: int, speech: list[bytes]) -> AsyncIterator[tuple[list[Caller], list[float]]]:
    """Connect callers one after the other; give them, and the seconds that each took."""
    network, certificates = Network(), CertificateStore()
    calling: list[Caller] = []
    took_s = []
    async with ClientSession() as http:
        try:
            for _ in range(count):
                calling.append(Caller(network, certificates, speech))
                took_s.append(await calling[-1].connect(http, url))
            yield calling, took_s
        finally:
            await asyncio.gather(*(caller.aclose() for caller in calling))


async def probe(url: str, silence: list[bytes], loud: list[bytes]) -> list[float]:
    """Return how long a loud packet after half a second of silence takes to come back.

    Several callers, because it depends on how the ticks of both ends happen to lie.
    """
    async with callers(url, PROBING_CALLERS, silence) as (calling, _):
        ticker = Ticker()
        for caller in calling:
            caller.listen()
            ticker.add(_prober(caller, silence, loud))
            await asyncio.sleep(0.0123)
        await asyncio.sleep(PROBES * PROBE_EVERY_TICKS * 0.02)
        ticker.close()
        # The first two find a jitter buffer that has not settled.
        return [latency_s for caller in calling for latency_s in caller.latencies_s[2:]]


def _prober(caller: Caller, silence: list[bytes], loud: list[bytes]) -> Callable[[float, int], None]:
    ticks = itertools.count()

    def tick(now_s: float, skipped: int) -> None:
        place = next(ticks) % PROBE_EVERY_TICKS
        if place < len(loud):
            caller.send(loud[place], loud=place == 0)
        else:
            caller.send(silence[0])

    return tick


def packets() -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return two seconds of a voice-like sound, silence, and the first packets of a loud tone, as Opus."""
    noise = np.random.default_rng(7)
    at = np.arange(2 * CORE_RATE_HZ) / CORE_RATE_HZ
    tone = sum(np.sin(2 * np.pi * pitch * at) / (number + 1) for number, pitch in enumerate((140, 280, 420, 1100)))
    voice = 5000 * tone * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at)) + noise.normal(0, 120, len(at))
    return encoded(voice), encoded(np.zeros(FRAME_SAMPLES * 5)), encoded(9000 * np.sin(2 * np.pi * 440 * at))[:5]


def encoded(samples: np.ndarray) -> list[bytes]:
    """Return 20 ms packets of one stream."""
    encoder = OpusEncoder()
    pcm = samples.astype("<i2").tobytes()
    size = 2 * FRAME_SAMPLES
    return [encoder.encode(pcm[start : start + size]) for start in range(0, len(pcm) - size + 1, size)]


def cpu_s(process: psutil.Process) -> float:
    """Return user and system time of a process, all of its threads together."""
    times = process.cpu_times()
    return float(times.user + times.system)


def report(runs: list[Run]) -> Outcome:
    """Return the table, and for every N how many times the sessions a core holds."""
    outcome = Outcome(
        "webrtc",
        (
            *("echo", "sessions", "CPU ms/session-s", "sessions/core", "echo p50 ms", "p95", "KB/session"),
            *("connect p50 ms", "p95", "CPU ms/connect", "came back", "gap p99 ms"),
        ),
    )
    for run in runs:
        outcome.rows.append(
            (
                *(run.kind, run.sessions, round(run.cpu_ms, 2), round(1000 / run.cpu_ms)),
                *(round(run.latency_p50_ms, 1), round(run.latency_p95_ms, 1), round(run.memory_kb)),
                *(round(run.connect_p50_ms, 1), round(run.connect_p95_ms, 1), round(run.connect_cpu_ms, 1)),
                *(f"{run.served:.3f}", round(run.gap_p99_ms, 1)),
            )
        )
        key = f"{run.kind.split()[0]}_{run.sessions}"
        outcome.figures[f"{key}_cpu_ms"] = round(run.cpu_ms, 3)
        outcome.figures[f"{key}_latency_p50_ms"] = round(run.latency_p50_ms, 1)
        outcome.figures[f"{key}_memory_kb"] = round(run.memory_kb)
        outcome.figures[f"{key}_connect_p50_ms"] = round(run.connect_p50_ms, 1)
        outcome.figures[f"{key}_connect_cpu_ms"] = round(run.connect_cpu_ms, 1)
    for stock in runs:
        for ours in runs:
            if stock.kind != "ours" and ours.kind == "ours" and stock.sessions == ours.sessions:
                ratio = stock.cpu_ms / ours.cpu_ms
                outcome.figures[f"ratio_{ours.sessions}"] = round(ratio, 2)
                outcome.notes.append(f"at {ours.sessions} sessions a core holds {ratio:.1f} times as many of ours")
    outcome.notes.append("echo: a loud packet sent to the first loud one back, before any buffer at the caller")
    return outcome


if __name__ == "__main__":
    main()
