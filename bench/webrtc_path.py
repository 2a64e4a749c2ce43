"""A path between a WebRTC peer and the service that loses, delays, reorders and doubles by a fixed pattern."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast


def without_candidates(offer: str) -> str:
    """Return an offer that names no address: whoever answers it learns the relay's from the checks."""
    return re.sub(r"a=(candidate:.*|end-of-candidates)\r\n", "", offer)


class _Side(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr)


class BadPath:
    """A relay that treats the n-th media packet of each direction by a fixed pattern.

    Of every 100: 5 are lost, 2 come 60 ms late and so out of order, 1 comes twice; each is delayed by 0…40 ms. STUN and
    DTLS pass unharmed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._counts = [0, 0]
        self._last_s = [0.0, 0.0]
        self._server: Any = None
        self._peer: Any = None
        self.dropped = 0
        self.is_cut = False
        """True: nothing passes any more."""

    async def enter(self, answer: str) -> str:
        """Open the relay and return the answer with it in place of the service."""
        candidate = re.search(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host", answer)
        assert candidate is not None
        self._server = (candidate[1], int(candidate[2]))
        loop = self._loop
        self._front = (
            await loop.create_datagram_endpoint(lambda: _Side(self._from_peer), local_addr=(candidate[1], 0))
        )[1]
        self._back = (
            await loop.create_datagram_endpoint(lambda: _Side(self._from_server), local_addr=(candidate[1], 0))
        )[1]
        port = self._front.transport.get_extra_info("sockname")[1]
        kept = [line for line in answer.splitlines() if "candidate:" not in line or f" {candidate[2]} typ" in line]
        return "\r\n".join(line.replace(f" {candidate[2]} typ", f" {port} typ") for line in kept) + "\r\n"

    async def rebind(self) -> None:
        """Go on from another port, as a NAT does that has forgotten the one before."""
        host = self._back.transport.get_extra_info("sockname")[0]
        old = self._back
        self._back = (
            await self._loop.create_datagram_endpoint(lambda: _Side(self._from_server), local_addr=(host, 0))
        )[1]
        old.transport.close()

    def _from_peer(self, data: bytes, source: Any) -> None:
        self._peer = source
        self._pass(data, 0, lambda: self._back.transport.sendto(data, self._server))

    def _from_server(self, data: bytes, _: Any) -> None:
        self._pass(data, 1, lambda: self._front.transport.sendto(data, self._peer))

    def _pass(self, data: bytes, direction: int, send: Callable[[], None]) -> None:
        if self.is_cut:
            return
        if not 128 <= data[0] <= 191 or 192 <= data[1] <= 223:
            send()
            return
        number = self._counts[direction]
        self._counts[direction] += 1
        if number % 20 == 7:
            self.dropped += 1
            return
        now_s = self._loop.time()
        due_s = now_s + number * 17 % 41 / 1000
        if number % 50 == 11:
            due_s += 0.06  # overtaken by two or three
        else:
            # Like a queue: jitter alone brings nothing out of order.
            due_s = self._last_s[direction] = max(due_s, self._last_s[direction])
        self._loop.call_at(due_s, self._send, send)
        if number % 100 == 50:
            self._loop.call_at(due_s + 0.01, self._send, send)

    def _send(self, send: Callable[[], None]) -> None:
        if not self.is_cut:
            send()

    def close(self) -> None:
        self.is_cut = True
        self._front.transport.close()
        self._back.transport.close()
