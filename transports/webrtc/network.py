"""Where media is received: which addresses and ports this machine offers, and what the world knows them as."""

import ipaddress
import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass

import ifaddr

from transports.rtp.socket import bind
from transports.webrtc.errors import PortsTaken

_LOOPBACK = "127.0.0.1"
_LOOK_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How peers reach this machine."""

    addresses: tuple[str, ...] = ()
    """What to listen on; empty: every address of this machine but loopback, or loopback where there is no other.
    They may change while the service runs: a laptop goes from one network to another."""
    public_address: str | None = None
    """What peers are told instead of each address of that family: for a machine behind one-to-one NAT."""
    ports: tuple[int, int] | None = None
    """First and last UDP port; None: any that is free."""
    stun_server: tuple[str, int] | None = None
    """Asked for the address that a NAT gives this machine."""


def local_addresses() -> tuple[str, ...]:
    """Return the addresses of this machine by which others may reach it; loopback where there is none."""
    found = []
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            # An IPv6 address comes as address, flow and scope; a link-local one is of no use without its scope.
            text = address.ip if isinstance(address.ip, str) else address.ip[0]
            parsed = ipaddress.ip_address(text)
            if not (parsed.is_loopback or parsed.is_link_local):
                found.append(text)
    return tuple(found) or (_LOOPBACK,)


class Network:
    """Binds the sockets of calls."""

    def __init__(
        self, settings: NetworkSettings | None = None, look: Callable[[], tuple[str, ...]] = local_addresses
    ) -> None:
        """`look` tells this machine's addresses, where the settings name none."""
        self.settings = settings or NetworkSettings()
        self._look = look
        self._found: tuple[str, ...] = ()
        self._looked_s = -_LOOK_AGAIN_S
        first, last = self.settings.ports or (0, 0)
        self._ports = itertools.cycle(range(first, last + 1))

    def addresses(self, now_s: float) -> tuple[str, ...]:
        """Return what to listen on now. Looking costs a millisecond: at most once in five seconds."""
        if self.settings.addresses:
            return self.settings.addresses
        if now_s - self._looked_s >= _LOOK_AGAIN_S:
            self._found, self._looked_s = self._look(), now_s
        return self._found

    def bind(self, host: str) -> socket.socket:
        """Return a UDP socket on that address, its port from the range. Raises: OSError, PortsTaken."""
        if self.settings.ports is None:
            return bind(host, 0)
        first, last = self.settings.ports
        for _ in range(first, last + 1):
            try:
                return bind(host, next(self._ports))
            except OSError:
                continue
        raise PortsTaken(first, last)

    def advertised(self, host: str) -> str:
        """Return what peers are to be told instead of an address of this machine."""
        public = self.settings.public_address
        return public if public is not None and (":" in public) == (":" in host) else host
