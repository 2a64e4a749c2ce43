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
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import TracebackType

from sip.auth import Credentials, DigestClient
from sip.call import Application
from sip.caller import CallerListener, OutgoingCall
from sip.caller_machine import CallerCall, Destination
from sip.connection import ConnectionLimits, Received, StreamFlow
from sip.datagrams import DatagramFlow, DatagramSocket, NamedFlow, route_to
from sip.dialog_call import CallSettings
from sip.flow import Address, Flow, Hop, hop_of
from sip.gate import Gate, GateLimits
from sip.media import LocalMedia
from sip.parser import parse_datagram
from sip.trunk import Trunk, TrunkTable
from sip.user_agent import AgentSettings, Clocks, UserAgent, new_tag

logger = logging.getLogger("sip")

_CONNECT_S = 5.0
_LOOK_S = 5.0
"""How often overdue connections are looked for."""
_GOODBYE_S = 1.0
"""How long the end waits for the answers to its BYEs."""
_GOODBYE_LOOKS = 50
_BACKLOG = 256
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
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    max_connections: int = 2_000
    max_connections_per_host: int = 200


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
    ) -> None:
        """`tls` serves; load a renewed certificate into it at any time. `tls_client` is for connections of ours.

        `look` is called every five seconds: a good time to look whether the certificate has been renewed.

        Where only this machine reaches the endpoint, calls from it need no trunk.
        """
        self._settings = settings
        self._tls = tls
        self._tls_client = tls_client
        self._owner_looks = look
        self.gate = Gate(TrunkTable(trunks, trusts_loopback=is_loopback(settings.host)), settings.gate)
        self.agent = UserAgent(
            settings.agent,
            self.gate,
            application,
            self,
            Clocks(time.monotonic, time.time),
            deadline_moved=self._arm,
        )
        self._streams: dict[tuple[str, Address], StreamFlow] = {}
        self._listeners: list[socket.socket] = []
        self._listening: dict[str, Address] = {}
        self._datagrams: DatagramSocket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> "SipEndpoint":
        """Listen. Raises: OSError; its `filename` is UDP, TCP or TLS: what could not be bound."""
        self._loop = asyncio.get_running_loop()
        self._bind()
        await self._group.__aenter__()
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
        for task in tuple(self._tasks):
            task.cancel()
        # Not with the error: the group would wrap it, and whoever leaves by one wants it as it is.
        await self._group.__aexit__(None, None, None)

    def drain(self) -> None:
        """Refuse new calls with 503 and say so to OPTIONS; those that are up go on."""
        self.agent.admission.is_draining = True

    @property
    def listening(self) -> dict[str, Address]:
        """The addresses that were bound, by transport."""
        return dict(self._listening)

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
            self._spawn(named.resolve(), f"resolve {hop.host}")
            return named
        key = hop.transport, (hop.host, hop.port)
        known = self._streams.get(key)
        if known is not None and known.is_open:
            return known
        flow = self._stream(hop.transport, key[1])
        self._spawn(self._connect(flow), f"connect to {hop.host}:{hop.port}")
        return flow

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, flow: StreamFlow) -> None:
        secured = None
        if flow.transport == "TLS":
            secured = self._tls_client or ssl.create_default_context()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self._loop.create_connection(lambda: flow, *flow.remote, ssl=secured)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            logger.warning("no connection to %s:%d over %s: %s", *flow.remote, flow.transport, error)
            flow.connection_lost(None)

    # --- listening --------------------------------------------------------------------------------------------------

    def _bind(self) -> None:
        """Bind UDP and TCP to one port; a free one for TCP may be taken for UDP, so that several are tried."""
        host, port = self._settings.host, self._settings.port
        for left in range(_PORT_TRIES if port == 0 else 1, 0, -1):
            self._listen("TCP", host, port)
            try:
                self._datagrams = DatagramSocket(host, self._listening["TCP"][1], self._admit, self._receive_datagram)
                break
            except OSError as error:
                self._close()
                if left == 1:
                    error.filename = "UDP"
                    raise
        assert self._datagrams is not None
        self._listening["UDP"] = self._datagrams.local
        if self._tls is not None:
            self._listen("TLS", host, self._settings.tls_port)

    def _listen(self, transport: str, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        except OSError as error:
            self._close()
            error.filename = transport
            raise
        listener.setblocking(False)
        self._listeners.append(listener)
        self._listening[transport] = listener.getsockname()[:2]
        self._loop.add_reader(listener.fileno(), self._accept, listener, transport)

    def _accept(self, listener: socket.socket, transport: str) -> None:
        for _ in range(_BACKLOG):
            try:
                accepted, source = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # out of file descriptors: those who wait are served later
                logger.error("no connection can be accepted: %s", error)
                return
            remote = source[:2]
            if not self._admit(remote) or not self._has_room(remote):
                accepted.close()
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._adopt(accepted, self._stream(transport, remote)), f"accept {remote}")

    async def _adopt(self, accepted: socket.socket, flow: StreamFlow) -> None:
        secured = self._tls if flow.transport == "TLS" else None
        timeout = _CONNECT_S if secured else None
        try:
            await self._loop.connect_accepted_socket(lambda: flow, accepted, ssl=secured, ssl_handshake_timeout=timeout)
        except (OSError, TimeoutError) as error:
            self.gate.blame(time.monotonic(), flow.remote[0])
            self.gate.log.note(time.monotonic(), flow.remote, "handshake", 0, f"TLS failed: {type(error).__name__}")
            accepted.close()
            flow.connection_lost(None)

    def _has_room(self, remote: Address) -> bool:
        same = sum(1 for _, (host, _) in self._streams if host == remote[0])
        if len(self._streams) < self._settings.max_connections and same < self._settings.max_connections_per_host:
            return True
        self.gate.log.note(time.monotonic(), remote, "connection", 0, "too many connections")
        return False

    def _stream(self, transport: str, remote: Address) -> StreamFlow:
        host, port = self._listening.get(transport) or self._listening["TCP"]
        local = (route_to(remote[0]) if is_any(host) and is_address(remote[0]) else host), port
        flow = StreamFlow(
            transport,
            local,
            remote,
            self._settings.connections,
            self._receive_from_stream,
            self._stream_closed,
            time.monotonic,
        )
        self._streams[transport, remote] = flow
        return flow

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

    def _stream_closed(self, flow: StreamFlow) -> None:
        if self._streams.get((flow.transport, flow.remote)) is flow:
            del self._streams[flow.transport, flow.remote]
        self._failed(flow)

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
        for flow in [flow for flow in self._streams.values() if flow.is_overdue(now)]:
            flow.abort()
        self._owner_looks()
        self._looking = self._loop.call_later(_LOOK_S, self._look)

    def _close(self) -> None:
        for listener in self._listeners:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        self._listening.clear()
        if self._datagrams is not None:
            self._datagrams.close()
        for flow in tuple(self._streams.values()):
            flow.close()
        for handle in (self._timer, self._looking):
            if handle is not None:
                handle.cancel()


def is_address(host: str) -> bool:
    """Say whether a host is an address and not a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches an address."""
    return host == "localhost" or (is_address(host) and ip_address(host.partition("%")[0]).is_loopback)


def is_any(host: str) -> bool:
    """Say whether an address stands for all of this machine's."""
    return host in ("0.0.0.0", "::", "")
