"""Where media comes from and goes to when NAT is between: symmetric RTP (RFC 4961) that cannot be hijacked.

The address in SDP is often not the one that packets come from. So the source is learned from packets, by these rules:

    1  Until a source is learned, media goes to the SDP address.
    2  A candidate proves itself by `NEEDED` packets of one address and SSRC in sequence, with a negotiated payload
       type. One forged packet, or a scanner that sprays a port range, latches nothing.
    3  Only an allowed address is a candidate: the SDP address's host; the host that signalling comes from; the
       networks that the operator lists. Any address is one only where the operator says so (`open`), and then only
       until the first source is learned.
    4  The SDP address itself, host and port, is taken at its first packet: nobody else is hurt by that.
    5  Once learned the source stands. Packets from elsewhere are dropped and counted, and never move the media.
    6  It is learned anew only: after an offer/answer that changed the address (`restart`); after `SILENT_MS` without
       a packet from it (the peer moved or its NAT rebound), still by rules 2 and 3, now never `open`.
    7  Under SRTP the owner says `authenticated` and one packet suffices, from anywhere: only the peer can make it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from transports.rtp.packet import sequence_delta

Address = tuple[str, int]
Network = IPv4Network | IPv6Network

NEEDED = 3
SILENT_MS = 2500.0
_MAX_CANDIDATES = 4
_MAX_STEP = 10


@dataclass(frozen=True, slots=True)
class LatchRules:
    """Who may be a candidate besides the SDP address."""

    signalling_host: str | None = None
    networks: tuple[Network, ...] = ()
    """Media ranges of the trunk."""
    open: bool = False
    """Let anyone be the first source: for callers behind NAT whose SDP and signalling say nothing useful."""


@dataclass(slots=True)
class _Candidate:
    ssrc: int
    sequence: int
    packets: int = 1


class Latch:
    """One leg's remote media address."""

    def __init__(self, sdp: Address, rules: LatchRules | None = None) -> None:
        """`sdp` is the peer's address in its offer or answer."""
        self._rules = rules or LatchRules()
        self._sdp = sdp
        self._source: Address | None = None
        self._was_learned = False
        self._candidates: dict[Address, _Candidate] = {}
        self._last_packet_ms = 0.0
        self.rejected_packets = 0
        """From sources that are not, or not yet, the peer."""
        self.moves = 0
        """How often a learned source was replaced without signalling."""

    @property
    def source(self) -> Address | None:
        """The learned source, None before."""
        return self._source

    @property
    def destination(self) -> Address:
        """Where to send media now."""
        return self._source or self._sdp

    def restart(self, sdp: Address) -> None:
        """Take over the address of a new offer or answer; one that did not change restarts nothing."""
        if sdp != self._sdp:
            self._sdp = sdp
            self._source = None
            self._candidates.clear()
            self._was_learned = False

    def accept(self, source: Address, ssrc: int, sequence: int, now_ms: float, *, authenticated: bool = False) -> bool:
        """Say whether a valid packet of a negotiated payload type is the peer's; learn from it.

        Packets with which a candidate proves itself are accepted from the last needed one on.
        """
        if source == self._source:
            self._last_packet_ms = now_ms
            if self._candidates:
                self._candidates.clear()
            return True
        if authenticated or (self._source is None and source == self._sdp):
            return self._learn(source, now_ms)
        is_open_to_move = self._source is None or now_ms - self._last_packet_ms >= SILENT_MS
        if is_open_to_move and self._may_be_candidate(source) and self._prove(source, ssrc, sequence):
            return self._learn(source, now_ms)
        self.rejected_packets += 1
        return False

    def _may_be_candidate(self, source: Address) -> bool:
        host = source[0]
        if host in (self._sdp[0], self._rules.signalling_host):
            return True
        if self._rules.open and not self._was_learned:
            return True
        if not self._rules.networks:
            return False
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._rules.networks)

    def _prove(self, source: Address, ssrc: int, sequence: int) -> bool:
        candidate = self._candidates.get(source)
        if candidate is None or candidate.ssrc != ssrc:
            # Several at once, so that a second source cannot starve the first; few, so that none can fill memory.
            if candidate is None and len(self._candidates) >= _MAX_CANDIDATES:
                self._candidates.pop(next(iter(self._candidates)))
            self._candidates[source] = _Candidate(ssrc, sequence)
            return False
        in_sequence = 0 < sequence_delta(sequence, candidate.sequence) <= _MAX_STEP
        candidate.sequence = sequence
        candidate.packets = candidate.packets + 1 if in_sequence else 1
        return candidate.packets >= NEEDED

    def _learn(self, source: Address, now_ms: float) -> bool:
        self.moves += self._source is not None
        self._source = source
        self._candidates.clear()
        self._was_learned = True
        self._last_packet_ms = now_ms
        return True
