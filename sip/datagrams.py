"""The UDP side of an endpoint: one socket, read by `add_reader` into one buffer, no task.

asyncio's own datagram transport allocates 256 KiB for each read, which costs 15 to 155 µs a datagram instead of 2. Here
what is dropped is not even copied.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from sip.flow import Address
from sip.routes import route_to

MAX_DATAGRAM_BYTES = 65_535
_AT_ONCE = 64
"""Datagrams read in one go; then media has its turn, however much is thrown at this port."""
_BUFFER_BYTES = 4 * 1024 * 1024
"""What may wait while the loop is busy: a fifth of a second of 20,000 datagrams a second."""
_SO_RCVBUFFORCE = 33
_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""Linux; Python has no names for them."""


class DatagramSocket:
    """A bound socket on the event loop."""

    def __init__(
        self,
        host: str,
        port: int,
        admit: Callable[[Address], bool],
        receive: Callable[[bytes, "DatagramFlow"], None],
        refused: Callable[["DatagramFlow"], None] | None = None,
    ) -> None:
        """`admit` decides by the source alone, before anything is looked at.

        `refused` is told who is not there by ICMP (RFC 3261 §18.4); without it that costs nothing. Raises: OSError.
        """
        self._loop = asyncio.get_running_loop()
        self._admit = admit
        self._receive = receive
        self._refused = refused
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
        self._room = bytearray(MAX_DATAGRAM_BYTES)
        try:
            self._socket.setblocking(False)
            _enlarge(self._socket)
            if refused is not None:
                self._socket.setsockopt(*_RECVERR[self.family], 1)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.local: Address = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket.fileno(), self._read)

    def send(self, data: bytes, remote: Address) -> None:
        """Send now or never: what gets lost is sent again by its transaction."""
        try:
            self._socket.sendto(data, remote)
        except OSError:  # a full buffer, an ICMP refusal of an earlier datagram, no route, closed
            return

    def close(self) -> None:
        """Stop reading and free the port. Safe to call twice."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self._socket.fileno() >= 0

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                length, source = self._socket.recvfrom_into(self._room)
            except BlockingIOError:
                return
            except OSError:  # an ICMP refusal of something sent before
                self._read_refusals()
                continue
            remote = source[:2]
            # Keep-alives (RFC 5626 §3.5.2, and single blanks that some phones send) are not worth a look.
            if self._admit(remote) and length > 4:
                self._receive(bytes(memoryview(self._room)[:length]), DatagramFlow(self, remote))
            if self._socket.fileno() < 0:
                return

    def _read_refusals(self) -> None:
        if self._refused is None:
            return
        for _ in range(_AT_ONCE):
            try:
                *_, remote = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            self._refused(DatagramFlow(self, remote[:2]))


def _enlarge(bound: socket.socket) -> None:
    """Ask for a large buffer: with the right to (CAP_NET_ADMIN) beyond the system's limit, else up to that."""
    try:
        bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except OSError:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)


@dataclass(frozen=True, slots=True)
class DatagramFlow:
    """The way to one peer over UDP."""

    socket: DatagramSocket
    remote: Address

    @property
    def transport(self) -> str:
        """Always UDP."""
        return "UDP"

    @property
    def local(self) -> Address:
        """Where the peer reaches us."""
        host, port = self.socket.local
        return (route_to(self.remote[0]) if host in ("0.0.0.0", "::") else host), port

    @property
    def is_open(self) -> bool:
        """Whether the socket is."""
        return self.socket.is_open

    def send(self, data: bytes) -> bool:
        """Send; a loss is made good by repeating."""
        self.socket.send(data, self.remote)
        return True

    def toward(self, port: int) -> "DatagramFlow":
        """Return the way to another port of the same host."""
        return self if port == self.remote[1] else DatagramFlow(self.socket, (self.remote[0], port))


class NamedFlow:
    """The way to a peer of which only the name is known: keeps what is to be sent until it has been looked up."""

    def __init__(
        self,
        socket: DatagramSocket,
        remote: Address,
        found: Callable[[str], None],
        failed: "Callable[[NamedFlow], None]",
    ) -> None:
        """Run `resolve`; `found` is told the address, `failed` that there is no such name."""
        self.remote = remote
        """The name, and then the address."""
        self._socket = socket
        self._tell_found = found
        self._failed = failed
        self._found: DatagramFlow | None = None
        self._waiting: list[bytes] = []
        self._is_lost = False

    @property
    def transport(self) -> str:
        """Always UDP."""
        return "UDP"

    @property
    def local(self) -> Address:
        """Where the peer reaches us, as far as that is known."""
        return self._socket.local if self._found is None else self._found.local

    @property
    def is_open(self) -> bool:
        """Whether something may still be sent."""
        return not self._is_lost and self._socket.is_open

    def send(self, data: bytes) -> bool:
        """Send, or keep it until the name is known."""
        if self._found is not None:
            return self._found.send(data)
        self._waiting = [*self._waiting[-8:], data]
        return self.is_open

    def toward(self, port: int) -> "NamedFlow":
        """Return itself."""
        return self

    async def resolve(self) -> None:
        """Look the name up and send what has waited."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*self.remote, type=socket.SOCK_DGRAM, family=self._socket.family)
        except OSError:
            self._is_lost = True
            self._failed(self)
            return
        address = found[0][4]
        self.remote = (str(address[0]), int(address[1]))
        self._found = DatagramFlow(self._socket, self.remote)
        self._tell_found(self.remote[0])
        for data in self._waiting:
            self._found.send(data)
        self._waiting.clear()
