"""Many callers in one process: our own SIP signalling, RTP on a steady grid, arrivals by the kernel's clock."""

import asyncio
import selectors
import socket
import struct
import time
from collections.abc import Sequence

from sip.call import IncomingCall
from sip.call_effects import CallEnded
from sip.caller import OutgoingCall
from sip.caller_machine import Destination
from sip.codecs import PCMU
from sip.endpoint import SipEndpoint
from sip.headers import NameAddr
from sip.media import Agreement, LocalMedia
from transports.rtp.packet import RtpPacket, serialise_rtp
from transports.rtp.socket import bind

HOST = "127.0.0.1"
SETTING_UP = 24
"""Calls being set up at a time."""

WATCHED = 50
"""Calls whose packets are looked at: looking at all of them would cost more than serving them."""

_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_FRAME_SAMPLES = 160


class Nobody:
    """Takes no calls."""

    def call_arrived(self, call: IncomingCall) -> None:
        """Refuse."""
        call.reject(480)


class Caller:
    """One call's signalling."""

    def __init__(self) -> None:
        """Not dialled yet."""
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.remote: tuple[str, int] | None = None
        self.call: OutgoingCall | None = None
        self.end: CallEnded | None = None

    def ringing(self, status: int) -> None:
        """Nothing to do."""

    def media_changed(self, agreement: Agreement) -> None:
        """Note where to send."""
        self.remote = agreement.remote_address, agreement.remote_port

    def confirmed(self) -> None:
        """It is up."""
        self.settled.set()

    def info_arrived(self, content_type: str, body: bytes) -> None:
        """Nothing to do."""

    def info_answered(self, status: int) -> None:
        """Nothing to do."""

    def ended(self, ended: CallEnded) -> None:
        """It is over, or never came about."""
        self.remote, self.end = None, ended
        self.settled.set()
        self.over.set()


class Callers:
    """All of them. RTP runs in a thread of its own, beside the loop that signals."""

    def __init__(self, count: int, payloads: Sequence[bytes]) -> None:
        """Every caller says `payloads` over and over, each from another place on."""
        self._payloads = payloads
        self._sockets = [_stamped_socket() for _ in range(count)]
        self._selector = selectors.DefaultSelector()
        step = max(1, count // WATCHED)
        self.watched = range(0, count, step)
        for number in self.watched:
            self._selector.register(self._sockets[number], selectors.EVENT_READ, number)
        self._number = [count_ * len(payloads) // count for count_ in range(count)]
        self._last_ns = [0] * count
        self.callers = [Caller() for _ in range(count)]
        self.sent = self.received = self.unsent = 0
        self.gaps_ms: list[float] = []
        self._late_s = 0.0

    @property
    def late_ms(self) -> float:
        """How late the callers themselves have been, at worst: what they measure is not better than that."""
        return self._late_s * 1000

    async def dial(self, endpoint: SipEndpoint, port: int) -> float:
        """Set all calls up; return how many seconds that took. Raises: RuntimeError when one fails."""
        places = asyncio.Semaphore(SETTING_UP)
        started_s = time.perf_counter()

        async def one(number: int) -> None:
            caller = self.callers[number]
            async with places:
                address = self._sockets[number].getsockname()
                destination = Destination(f"sip:100@{HOST}:{port}", NameAddr(f"sip:caller{number}@{HOST}"))
                caller.call = endpoint.call(destination, LocalMedia(HOST, address[1], codecs=(PCMU,)), caller)
                await caller.settled.wait()
            if caller.remote is None:
                raise RuntimeError(f"a call was not taken: {caller.end}")

        async with asyncio.TaskGroup() as group:
            for number in range(len(self.callers)):
                group.create_task(one(number))
        return time.perf_counter() - started_s

    async def hang_up(self) -> None:
        """End all calls."""
        for caller in self.callers:
            if caller.call is not None:
                caller.call.hang_up()
        for caller in self.callers:
            await caller.over.wait()

    def aim(self, ports: Sequence[int]) -> None:
        """Send to these ports without any signalling."""
        for caller, port in zip(self.callers, ports, strict=True):
            caller.remote = HOST, port

    def talk(self, seconds: float) -> None:
        """Send 50 packets a second on every call, spread evenly over the 20 ms. Blocks: run it in a thread."""
        self.sent = self.received = 0
        self.gaps_ms.clear()
        self._last_ns = [0] * len(self.callers)
        self._late_s = 0.0
        count = len(self._sockets)
        for one, caller in zip(self._sockets, self.callers, strict=True):
            if caller.remote is not None:
                one.connect(caller.remote)
        start_s = time.perf_counter()
        for step in range(int(seconds * 50) * count):
            due_s = start_s + step * 0.02 / count
            while (wait_s := due_s - time.perf_counter()) > 0:
                self._listen(wait_s if wait_s > 0.0003 else 0)
            if not step % 16:
                self._listen(0)  # also when sending is late
            self._late_s = max(self._late_s, -wait_s)
            self._send(step % count)
        self._listen(0.05)

    def _send(self, caller: int) -> None:
        number = self._number[caller]
        self._number[caller] += 1
        remote = self.callers[caller].remote
        if remote is None:
            return
        self.sent += caller in self.watched
        payload = self._payloads[number % len(self._payloads)]
        packet = RtpPacket(0, number & 0xFFFF, number * _FRAME_SAMPLES, caller + 1, payload)
        try:
            self._sockets[caller].send(serialise_rtp(packet))
        except OSError:
            self.unsent += 1

    def _listen(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            try:
                data, extra, _, _ = self._sockets[key.data].recvmsg(2048, 64)
            except OSError:
                continue
            if len(data) != 12 + _FRAME_SAMPLES or not extra:
                continue  # RTCP
            seconds, nanoseconds = _TIMESPEC.unpack(extra[0][2])
            at_ns = seconds * 1_000_000_000 + nanoseconds
            if self._last_ns[key.data]:
                self.gaps_ms.append((at_ns - self._last_ns[key.data]) / 1e6)
            self._last_ns[key.data] = at_ns
            self.received += 1

    def close(self) -> None:
        """Free the ports."""
        self._selector.close()
        for one in self._sockets:
            one.close()


def _stamped_socket() -> socket.socket:
    """Return a socket whose packets the kernel stamps on arrival: this process being late is no gap."""
    made = bind(HOST, 0)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    return made
