"""A SIP endpoint on asyncio: the sockets and the clock around `UserAgent`.

    async with SipEndpoint(EndpointSettings(port=5060), trunks, application) as endpoint:
        …                        # calls come to `application.call_arrived`
        endpoint.drain()         # new calls get 503, those that are up go on
                                 # leaving ends what is left with BYE

UDP and TCP share a port, TLS has its own. There is no task but one for each connection while it is being made. Every
source is judged before a byte of it is read, on TLS before the handshake.
"""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from sip.auth import Credentials, DigestClient
from sip.call import Application
from sip.caller import CallerListener, OutgoingCall
from sip.caller_machine import CallerCall, Destination
from sip.connection import Received, StreamFlow
from sip.datagrams import DatagramFlow, DatagramSocket, NamedFlow
from sip.dialog_base import CallSettings
from sip.flow import Address, Flow, Hop, hop_of
from sip.gate import Gate, GateLimits
from sip.media import LocalMedia
from sip.parser import parse_datagram
from sip.routes import is_address, is_loopback, is_own
from sip.streams import StreamEvents, StreamLimits, Streams, Tasks
from sip.trunk import Trunk, TrunkTable
from sip.user_agent import AgentSettings, Clocks, UserAgent, new_tag
from sip.watch import Watch

logger = logging.getLogger("sip")

_LOOK_S = 5.0
"""How often overdue connections are looked for."""
_GOODBYE_S = 1.0
"""How long the end waits for the answers to its BYEs."""
_GOODBYE_LOOKS = 50
_PORT_TRIES = 20


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where an endpoint listens and what it takes."""

    host: str = "127.0.0.1"
    port: int = 5060
    """UDP and TCP; 0 takes a free one."""
    tls_port: int = 5061
    """With a certificate only; 0 takes a free one."""
    agent: AgentSettings = field(default_factory=AgentSettings)
    gate: GateLimits = field(default_factory=GateLimits)
    streams: StreamLimits = field(default_factory=StreamLimits)
    heeds_icmp: bool = False
    """A request over UDP fails at once where ICMP says that nobody is there (RFC 3261 §18.4): for callers, not for a
    port that strangers reach."""


class SipEndpoint:
    """Listens, sends and keeps time. A context manager: listening begins on entering, all ends on leaving."""

    def __init__(
        self,
        settings: EndpointSettings,
        trunks: Sequence[Trunk],
        application: Application,
        *,
        tls: ssl.SSLContext | None = None,
        tls_client: ssl.SSLContext | None = None,
        look: Callable[[], object] = lambda: None,
        watch: Watch | None = None,
    ) -> None:
        """`tls` serves; load a renewed certificate into it at any time. `tls_client` is for connections of ours.

        `look` is called every five seconds: a good time to look whether the certificate has been renewed. `watch` names
        peers that are asked by OPTIONS whether they are there.

        Where only this machine reaches the endpoint, calls from it need no trunk.
        """
        self._settings = settings
        self._serves_tls = tls is not None
        self._owner_looks = look
        self._watch = watch or Watch({}, lambda *_: None)
        table = TrunkTable(trunks, is_own) if is_loopback(settings.host) else TrunkTable(trunks)
        self.gate = Gate(table, settings.gate)
        clocks = Clocks(time.monotonic, time.time)
        self.agent = UserAgent(settings.agent, self.gate, application, self, clocks, deadline_moved=self._arm)
        self._tasks = Tasks()
        events = StreamEvents(self._receive_from_stream, self._failed)
        self._streams = Streams(settings.streams, self.gate, self._tasks, events, tls=tls, tls_client=tls_client)
        self._datagrams: DatagramSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._looking: asyncio.TimerHandle | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "SipEndpoint":
        """Listen. Raises: OSError; its `filename` is UDP, TCP or TLS: what could not be bound."""
        self._loop = asyncio.get_running_loop()
        self._bind()
        await self._tasks.__aenter__()
        self._looking = self._loop.call_later(_LOOK_S, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every call with BYE, wait a moment for the answers, close everything."""
        self.drain()
        self.agent.hang_up_all('Q.850;cause=31;text="service is stopping"')
        for _ in range(_GOODBYE_LOOKS):
            if not self.agent.calls.is_waiting:
                break
            await asyncio.sleep(_GOODBYE_S / _GOODBYE_LOOKS)
        self._close()
        await self._tasks.__aexit__(None, None, None)

    def drain(self) -> None:
        """Refuse new calls with 503 and say so to OPTIONS; those that are up go on."""
        self.agent.admission.is_draining = True

    @property
    def listening(self) -> dict[str, Address]:
        """The addresses that were bound, by transport."""
        udp = {} if self._datagrams is None else {"UDP": self._datagrams.local}
        return udp | self._streams.listening

    @property
    def calls(self) -> int:
        """How many live."""
        return len(self.agent.calls)

    def call(
        self,
        destination: Destination,
        local: LocalMedia,
        listener: CallerListener,
        credentials: Sequence[Credentials] = (),
    ) -> OutgoingCall:
        """Call somebody. `local.address` may be empty: it becomes ours as the other side reaches it.

        Raises: ValueError for an address that leads nowhere.
        """
        hop = hop_of(destination.uri)
        if hop is None:
            raise ValueError(f"{destination.uri} is no sip: address with udp, tcp or tls")
        digest = DigestClient(credentials, new_tag) if credentials else None

        def make(settings: CallSettings) -> CallerCall:
            return CallerCall(
                destination,
                settings,
                call_id=f"{secrets.token_hex(12)}@{destination.caller.uri_text.rpartition('@')[2]}",
                local_tag=new_tag(),
                session_id=str(secrets.randbelow(2**62)),
                digest=digest,
            )

        return self.agent.call(make, local, listener, self.open(hop))

    # --- Network ----------------------------------------------------------------------------------------------------

    def open(self, hop: Hop) -> Flow:
        """Return a way to a hop; an open connection is used again."""
        self.gate.expect(hop.host)
        if hop.transport == "UDP" and self._datagrams is not None:
            if is_address(hop.host):
                return DatagramFlow(self._datagrams, (hop.host, hop.port))
            named = NamedFlow(self._datagrams, (hop.host, hop.port), self.gate.expect, self._failed)
            self._tasks.spawn(named.resolve(), f"resolve {hop.host}")
            return named
        return self._streams.open(hop.transport, (hop.host, hop.port))

    # --- listening --------------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        """Bind UDP and TCP to one port; a free one for TCP may be taken for UDP, so that several are tried."""
        host, port = self._settings.host, self._settings.port
        refused = self._failed if self._settings.heeds_icmp else None
        for left in range(_PORT_TRIES if port == 0 else 1, 0, -1):
            self._streams.listen("TCP", host, port)
            try:
                bound = self._streams.listening["TCP"][1]
                self._datagrams = DatagramSocket(host, bound, self._admit, self._receive_datagram, refused)
                break
            except OSError as error:
                self._streams.close()
                if left == 1:
                    error.filename = "UDP"
                    raise
        if self._serves_tls:
            try:
                self._streams.listen("TLS", host, self._settings.tls_port)
            except OSError:
                self._close()
                raise

    # --- receiving --------------------------------------------------------------------------------------------------

    def _admit(self, remote: Address) -> bool:
        return self.gate.admit(time.monotonic(), remote)

    def _receive_datagram(self, data: bytes, flow: DatagramFlow) -> None:
        self._take(parse_datagram(data), flow)

    def _receive_from_stream(self, message: Received, flow: StreamFlow) -> None:
        if self._admit(flow.remote):
            self._take(message, flow)
        else:
            flow.abort()

    def _take(self, message: Received, flow: Flow) -> None:
        try:
            self.agent.receive(message, flow)
        except Exception:
            logger.exception("a message from %s:%d could not be dealt with", *flow.remote)
        self._arm()

    def _failed(self, flow: Flow) -> None:
        self.agent.flow_failed(flow)
        self._arm()

    # --- time -------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        due = self.agent.next_deadline()
        if due == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = None
        if due is not None:
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._wake)

    def _wake(self) -> None:
        self._timer = self._timer_at = None
        try:
            self.agent.handle_timer()
        except Exception:
            logger.exception("a timer could not be dealt with")
        self._arm()

    def _look(self) -> None:
        """Close the connections whose peers are silent or dawdling."""
        now = time.monotonic()
        self._streams.drop_overdue(now)
        self._owner_looks()
        for name, uri in self._watch.take_due(now):
            self._probe(name, uri)
        self._looking = self._loop.call_later(_LOOK_S, self._look)

    def _probe(self, name: str, uri: str) -> None:
        def answered(status: int) -> None:
            self._watch.answered(time.monotonic(), name, status)

        hop = hop_of(uri)
        if hop is None:
            answered(503)
        else:
            self.agent.probe(uri, self.open(hop), answered)

    def _close(self) -> None:
        self._streams.close()
        if self._datagrams is not None:
            self._datagrams.close()
        for handle in (self._timer, self._looking):
            if handle is not None:
                handle.cancel()
