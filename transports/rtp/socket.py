"""Datagram sockets for media, and the ports they stand on.

`add_reader` and `recvfrom` with a small buffer: asyncio's own datagram transport reads into 256 KiB, which costs 15 to
155 µs a packet. No task, no queue: the callback runs when the datagram is there.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from transports.rtp.errors import PortsExhausted
from transports.rtp.packet import MAX_PACKET_BYTES

Address = tuple[str, int]
Receive = Callable[[bytes, Address], None]
"""Called with a datagram and where it came from. Must not block or raise."""

_EXPEDITED_FORWARDING = 0xB8  # DSCP 46, as voice is marked (RFC 3246)
_BUFFER_BYTES = 64 * 1024  # 300 packets of G.711: more than anyone will wait for


class DatagramSocket:
    """One bound UDP socket on the event loop."""

    def __init__(self, bound: socket.socket, receive: Receive, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Takes the socket over; `receive` is called from now on."""
        bound.setblocking(False)
        self._socket = bound
        self._receive = receive
        self._loop = loop or asyncio.get_running_loop()
        self.local: Address = bound.getsockname()[:2]
        """What it is bound to."""
        self.unsent_packets = 0
        """That the kernel did not take: its buffer was full, or there is no way to the peer."""
        self._loop.add_reader(bound.fileno(), self._read)

    def send(self, datagram: bytes, destination: Address) -> bool:
        """Send now or never: what the kernel does not take is counted and lost, as media is."""
        try:
            self._socket.sendto(datagram, destination)
        except OSError:  # BlockingIOError, an ICMP refusal of an earlier packet, no route, closed
            self.unsent_packets += 1
            return False
        return True

    def close(self) -> None:
        """Stop reading and free the port. Safe to call twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        """Take one datagram; the loop comes back for more, and others have their turn in between.

        Looking for a second one, fifty times a second in vain, costs 0.1 ms a second (bench.sip, bare).
        """
        try:
            datagram, source = self._socket.recvfrom(MAX_PACKET_BYTES)
        except OSError:  # nothing after all, or an ICMP "port unreachable" of something sent before: it may come up yet
            return
        self._receive(datagram, source[:2])


def bind(host: str, port: int) -> socket.socket:
    """Return a UDP socket on that address, marked as voice. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            if family == socket.AF_INET6:
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _EXPEDITED_FORWARDING)
            else:
                bound.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _EXPEDITED_FORWARDING)
        except OSError:
            pass  # a container may forbid it: unmarked voice is still voice
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


class PortPool:
    """Hands out even ports of a range, RTCP's being the next; a freed one rests first.

    Rest ("quarantine"): packets of the old call still under way would be heard in the new one. Ports are given
    longest-rested first, so a port is as old as can be when it comes back.
    """

    def __init__(self, first: int, last: int, quarantine_s: float = 5.0) -> None:
        """Both ends included. Raises ValueError for a range without a pair."""
        if not 0 < first <= last < 65536 or last - (first + first % 2) < 1:
            raise ValueError(f"no pair of ports in {first}-{last}")
        self._first, self._last = first, last
        self._quarantine_s = quarantine_s
        self._free: deque[tuple[int, float]] = deque((port, 0.0) for port in range(first + first % 2, last, 2))
        self._taken: set[int] = set()

    @property
    def taken(self) -> int:
        """Pairs in use."""
        return len(self._taken)

    def acquire(self, now_s: float) -> int:
        """Return an even port. Raises PortsExhausted."""
        if not self._free or self._free[0][1] > now_s:
            raise PortsExhausted(self._first, self._last)
        port = self._free.popleft()[0]
        self._taken.add(port)
        return port

    def release(self, port: int, now_s: float) -> None:
        """Give a port back. One that is not taken is ignored, so that it is safe to call twice."""
        if port in self._taken:
            self._taken.remove(port)
            self._free.append((port, now_s + self._quarantine_s))

    def bind_pair(self, host: str, now_s: float) -> tuple[socket.socket, socket.socket]:
        """Return RTP and RTCP sockets on a pair of ports; passes over ports that some other program holds.

        Raises:
            PortsExhausted: none is free.
        """
        for _ in range(len(self._free)):
            port = self.acquire(now_s)
            try:
                media = bind(host, port)
            except OSError:
                self.release(port, now_s)
                continue
            try:
                return media, bind(host, port + 1)
            except OSError:
                media.close()
                self.release(port, now_s)
        raise PortsExhausted(self._first, self._last)
