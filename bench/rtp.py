"""CPU of the media path alone: N legs echo a call's audio, beside a bare socket loop in the same run.

A leg: socket → latch → RTP → statistics → jitter buffer → decode → 24 kHz → playout → encode → RTP → socket, on one
ticker. The bare loop sends every datagram back as it comes: what the sockets and Python alone cost. The load comes
from a process of its own, 50 packets a second and leg. CPU is user + system time of the serving process.

    python -m bench.rtp --legs 100 300 --seconds 6
"""

import asyncio
import gc
import multiprocessing
import random
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import psutil

from bench.harness import Outcome, emit, parser, percentile, progress
from transports.playout import Playout
from transports.rtp.codecs import CODECS, Codec, make_decoder, make_encoder
from transports.rtp.inbound import InboundAudio
from transports.rtp.latch import Latch
from transports.rtp.outbound import OutboundAudio
from transports.rtp.packet import RtpPacket, parse_rtp, serialise_rtp
from transports.rtp.socket import Address, DatagramSocket, bind
from transports.rtp.srtp import SrtpLeg
from transports.rtp.statistics import ReceptionStatistics
from transports.rtp.ticker import Ticker
from voice.audio.frames import CORE_RATE_HZ

HOST = "127.0.0.1"
SUITE = "AES_CM_128_HMAC_SHA1_80"
KEY = bytes(range(30))  # the same in both processes
WARM_UP_S = 1.5
_SERVED = 0.97  # below it the machine was too busy for the figure to mean anything
KINDS = ("bare", "pcmu", "pcmu+srtp", "g722", "opus", "opus+srtp")


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured."""

    kind: str
    legs: int
    cpu_ms: float
    """Per leg-second."""
    served: float
    """Packets that came back, of those sent."""
    gap_p99_ms: float
    """Between packets of one leg, as the caller gets them."""
    late_ms: float
    """Worst lateness of the ticker in the measured time."""
    memory_kb: float
    """Growth of the serving process per leg."""


class EchoLeg:
    """One call whose caller hears himself."""

    def __init__(self, codec: Codec, ticker: Ticker, protected: bool) -> None:
        """Binds a port of its own and ticks from now on."""
        self._socket = DatagramSocket(bind(HOST, 0), self._receive)
        self.port = self._socket.local[1]
        self._srtp = SrtpLeg(SUITE, KEY, KEY) if protected else None
        self._latch: Latch | None = None
        self._inbound = InboundAudio(codec, make_decoder(codec))
        self._outbound = OutboundAudio(codec, make_encoder(codec), 96, ssrc=random.getrandbits(32))
        self._statistics = ReceptionStatistics(0, codec.clock_hz)
        self._playout = Playout()
        self._loop = asyncio.get_running_loop()
        ticker.add(self._tick)

    def _receive(self, datagram: bytes, source: Address) -> None:
        opened = self._srtp.unprotect(datagram) if self._srtp else datagram
        packet = parse_rtp(opened) if opened else None
        if packet is None:
            return
        now_s = self._loop.time()
        if self._latch is None:
            self._latch = Latch(source)  # a benchmark has no SDP
        if not self._latch.accept(source, packet.ssrc, packet.sequence, now_s * 1000):
            return
        self._statistics.receive(packet.sequence, packet.timestamp, len(packet.payload), now_s)
        self._inbound.receive(packet, now_s * 1000)

    def _tick(self, now_s: float, skipped: int) -> None:
        if skipped:
            self._outbound.skip(skipped)
        self._playout.play("echo", self._inbound.frame(now_s * 1000))
        for datagram in self._outbound.packets(self._playout.tick(), now_s):
            if self._latch is not None:
                self._socket.send(self._srtp.protect(datagram) if self._srtp else datagram, self._latch.destination)


class BareLeg:
    """The socket alone."""

    def __init__(self) -> None:
        """Sends everything back at once."""
        self._socket = DatagramSocket(bind(HOST, 0), self._receive)
        self.port = self._socket.local[1]

    def _receive(self, datagram: bytes, source: Address) -> None:
        self._socket.send(datagram, source)


def serve(kind: str, legs: int, pipe: Connection, with_uvloop: bool) -> None:
    """Run in a process of its own: tell the ports, then answer questions about CPU until told to stop."""
    run: Callable[..., None] = asyncio.run
    if with_uvloop:
        import uvloop

        run = uvloop.run
    run(_serve(kind, legs, pipe))


async def _serve(kind: str, legs: int, pipe: Connection) -> None:
    name, _, protection = kind.partition("+")
    process = psutil.Process()
    ticker = Ticker()
    if name != "bare":
        warm = EchoLeg(CODECS[name], ticker, bool(protection))  # tables and libraries are loaded once
        del warm
    before = process.memory_info().rss
    made = [BareLeg() if name == "bare" else EchoLeg(CODECS[name], ticker, bool(protection)) for _ in range(legs)]
    gc.collect()
    gc.freeze()
    pipe.send([leg.port for leg in made])
    asked = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        if not pipe.poll():
            continue
        if pipe.recv() == "stop":
            return
        memory = (process.memory_info().rss - before) / 1024 / legs
        pipe.send((time.process_time(), ticker.counts.max_lateness_s, memory))
        ticker.counts.max_lateness_s = 0.0


def payloads(kind: str) -> list[bytes]:
    """Return two seconds of a voice-like sound, encoded; silence would flatter Opus."""
    name = kind.partition("+")[0]
    encoder = make_encoder(CODECS["pcmu" if name == "bare" else name])
    t = np.arange(2 * CORE_RATE_HZ) / CORE_RATE_HZ
    pitch = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 2 * t)) / CORE_RATE_HZ
    wave = sum(np.sin(n * pitch) / n for n in range(1, 20)) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * t))
    pcm = (4000 * wave + np.random.default_rng(1).normal(0, 150, len(t))).astype("<i2").tobytes()
    return [encoder.encode(pcm[at : at + 960]) for at in range(0, len(pcm), 960)]


class Caller:
    """All callers in one process: sends on a steady grid and notes when what comes back arrives."""

    def __init__(self, kind: str, ports: list[int]) -> None:
        """One socket a leg."""
        self._selector = selectors.DefaultSelector()
        self._sounds = payloads(kind)
        self._codec = CODECS["pcmu" if kind == "bare" else kind.partition("+")[0]]
        self._sockets: list[socket.socket] = []
        self._srtp = [SrtpLeg(SUITE, KEY, KEY) if "+" in kind else None for _ in ports]
        for leg, port in enumerate(ports):
            sock = bind(HOST, 0)
            sock.setblocking(False)
            sock.connect((HOST, port))
            self._sockets.append(sock)
            self._selector.register(sock, selectors.EVENT_READ, leg)
        self._last_s = [0.0] * len(ports)
        self._number = [0] * len(ports)
        self.sent = self.received = 0
        self.gaps_ms: list[float] = []

    def call(self, seconds: float) -> None:
        """Send 50 packets a second on every leg, spread evenly over the 20 ms."""
        self.sent = self.received = 0
        self.gaps_ms.clear()
        legs = len(self._sockets)
        start_s = time.perf_counter()
        for step in range(int(seconds * 50) * legs):
            due_s = start_s + step * 0.02 / legs
            while (wait_s := due_s - time.perf_counter()) > 0:
                self._listen(wait_s if wait_s > 0.0003 else 0)
            self._send(step % legs)
        self._listen(0.1)

    def _send(self, leg: int) -> None:
        number = self._number[leg]
        self._number[leg] += 1
        timestamp = number * self._codec.clock_hz // 50
        packet = RtpPacket(96, number & 0xFFFF, timestamp, leg + 1, self._sounds[number % len(self._sounds)])
        datagram, srtp = serialise_rtp(packet), self._srtp[leg]
        try:
            self._sockets[leg].send(srtp.protect(datagram) if srtp else datagram)
            self.sent += 1
        except OSError:
            pass

    def _listen(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            try:
                self._sockets[key.data].recv(2048)
            except OSError:
                continue
            now_s = time.perf_counter()
            if self._last_s[key.data]:
                self.gaps_ms.append((now_s - self._last_s[key.data]) * 1000)
            self._last_s[key.data] = now_s
            self.received += 1

    def close(self) -> None:
        """Free the ports."""
        self._selector.close()
        for sock in self._sockets:
            sock.close()


def measure(kind: str, legs: int, seconds: float, with_uvloop: bool) -> Run:
    """Serve and call once."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(kind, legs, theirs, with_uvloop), daemon=True)
    server.start()
    caller = Caller(kind, ours.recv())
    try:
        caller.call(WARM_UP_S)
        ours.send("cpu")
        before_s = ours.recv()[0]
        started_s = time.perf_counter()
        caller.call(seconds)
        ours.send("cpu")
        after_s, late_s, memory_kb = ours.recv()
        elapsed_s = time.perf_counter() - started_s
        ours.send("stop")
    finally:
        caller.close()
        server.join(5)
    return Run(
        kind,
        legs,
        (after_s - before_s) * 1000 / (legs * elapsed_s),
        caller.received / max(1, caller.sent),
        percentile(caller.gaps_ms, 0.99),
        late_s * 1000,
        memory_kb,
    )


def main() -> None:
    """Run from the command line."""
    options = parser(__doc__)
    options.add_argument("--legs", type=int, nargs="+", default=[100, 200], help="concurrent legs")
    options.add_argument("--seconds", type=float, default=6.0, help="measured time of each run")
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="media paths")
    options.add_argument("--no-uvloop", action="store_true", help="asyncio's own event loop")
    chosen = options.parse_args()
    outcome = Outcome("media path echo", ("path", "legs", "CPU ms/leg-s", "x bare", "legs/core", "served",
                                          "gap p99 ms", "tick late ms", "KB/leg"))  # fmt: skip
    runs: list[Run] = []
    for legs in chosen.legs:
        for kind in chosen.kinds:
            progress(f"{kind}, {legs} legs")
            runs.append(measure(kind, legs, chosen.seconds, not chosen.no_uvloop))
    for run in runs:
        bare = next((other.cpu_ms for other in runs if other.kind == "bare" and other.legs == run.legs), None)
        ratio = f"{run.cpu_ms / bare:.1f}" if bare else "-"
        fits = str(int(1000 / run.cpu_ms)) if run.served > _SERVED else "-"
        outcome.rows.append(
            (
                *(run.kind, run.legs, f"{run.cpu_ms:.2f}", ratio, fits, f"{run.served:.1%}"),
                *(f"{run.gap_p99_ms:.1f}", f"{run.late_ms:.1f}", f"{run.memory_kb:.0f}"),
            )
        )
        key = f"{run.kind}_{run.legs}"
        outcome.figures[f"{key}_cpu_ms_per_leg_s"] = round(run.cpu_ms, 3)
        outcome.figures[f"{key}_gap_p99_ms"] = round(run.gap_p99_ms, 2)
        outcome.figures[f"{key}_served"] = round(run.served, 4)
        outcome.figures[f"{key}_memory_kb_per_leg"] = round(run.memory_kb, 1)
    outcome.notes.append(f"loop: {'asyncio' if chosen.no_uvloop else 'uvloop'}; {chosen.seconds:g} s a run")
    outcome.notes.append("the bare loop answers on arrival and has no ticker; gaps are also those of the load's clock")
    emit(outcome, chosen.json)


if __name__ == "__main__":
    main()
