"""Which address of ours leads to a peer: what a socket that is bound to every address stands for, per peer.

The kernel knows, and is asked again after a while: interfaces come and go, and a service lives for months.
"""

import socket
import time
from collections.abc import Callable
from ipaddress import ip_address

_KEPT_S = 30.0
_KEPT = 4096
_NOWHERE = "127.0.0.1"


class Routes:
    """Remembers the answers of `look` for half a minute."""

    def __init__(self, look: Callable[[str], str | None]) -> None:
        """`look` returns our address for a peer's, None where there is no way to it: that is not remembered."""
        self._look = look
        self._known: dict[str, tuple[str, float]] = {}

    def find(self, now_s: float, host: str) -> str:
        """Return the address of ours that leads to `host`; the loopback address where there is none."""
        known = self._known.get(host)
        if known is not None and now_s - known[1] < _KEPT_S:
            return known[0]
        found = self._look(host)
        if found is None:
            self._known.pop(host, None)
            return _NOWHERE
        if len(self._known) >= _KEPT:  # spoofed sources must not fill the memory
            self._known.clear()
        self._known[host] = found, now_s
        return found


def _ask_kernel(host: str) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))  # nothing is sent
        except OSError:
            return None
        return str(probe.getsockname()[0])


_routes = Routes(_ask_kernel)


def route_to(host: str) -> str:
    """Return the address of ours that the kernel would send from to an address."""
    return _routes.find(time.monotonic(), host)


def is_own(host: str) -> bool:
    """Say whether an address is this machine's: softphones here often call by another one than the loopback."""
    return is_loopback(host) or route_to(host) == host


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    return host == "localhost" or (is_address(host) and ip_address(host.partition("%")[0]).is_loopback)


def is_address(host: str) -> bool:
    """Say whether a host is an address and not a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
