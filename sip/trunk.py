"""Whom calls come from: a trunk is a set of addresses, of credentials, or both, and what its calls are like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address

from sip.codecs import G722, OPUS, PCMA, PCMU, Codec
from sip.crypto import Srtp

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Trunk:
    """One carrier, PBX or group of phones."""

    name: str
    networks: tuple[Network, ...] = ()
    """Where its requests come from. Empty: anywhere, and then there must be credentials."""
    passwords: Mapping[str, str] = field(default_factory=dict)
    """Password by user name. Empty: the address is enough."""
    codecs: tuple[Codec, ...] = (PCMU, PCMA)
    """What its calls may use, in our order of preference."""
    srtp: Srtp = Srtp.OFF
    transports: frozenset[str] = frozenset(("UDP", "TCP", "TLS"))
    """By which its calls may come."""
    public_address: str | None = None
    """What this trunk reaches us at, in Contact and SDP; None: the endpoint's, else the address of the socket."""
    max_calls: int | None = None
    calls_per_s: float | None = None
    """None: only the limits over all calls count."""

    @property
    def needs_credentials(self) -> bool:
        """Whether its callers are challenged."""
        return bool(self.passwords)


LOOPBACK = Trunk("loopback", codecs=(PCMU, PCMA, G722, OPUS), srtp=Srtp.OPTIONAL)
"""Calls from this machine to an endpoint that only this machine reaches: no trunk need be configured for them."""


class TrunkTable:
    """Finds trunks by where a request comes from."""

    def __init__(self, trunks: Sequence[Trunk], is_trusted: Callable[[str], bool] = lambda _: False) -> None:
        """Calls that belong to no trunk are taken from addresses that `is_trusted`: those of this machine."""
        self._trunks = tuple(trunks)
        self._is_trusted = is_trusted
        self._known: dict[str, tuple[Trunk, ...]] = {}

    def find(self, host: str) -> tuple[Trunk, ...]:
        """Return the trunks that a request from this address may belong to; none means: be silent.

        Trunks that name the address come before those that any address may use.
        """
        known = self._known.get(host)
        if known is None:
            known = self._find(host)
            if len(self._known) > 4096:  # spoofed sources must not fill the memory
                self._known.clear()
            self._known[host] = known
        return known

    def _find(self, host: str) -> tuple[Trunk, ...]:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return ()
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        named = [trunk for trunk in self._trunks if any(address in network for network in trunk.networks)]
        roaming = [trunk for trunk in self._trunks if not trunk.networks and trunk.needs_credentials]
        found = (*named, *roaming)
        if not found and self._is_trusted(str(address)):
            return (LOOPBACK,)
        return found
