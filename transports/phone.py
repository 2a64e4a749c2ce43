"""The phone: takes the calls of a SIP endpoint, finds who answers, and holds a session for each.

INVITE ─► who answers? 404 ─► place 503 ─► ports 503 ─► 200 ─► media ─► session ─► BYE
                                                          └─► the offer does not fit: 488, place free
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from sip.call import IncomingCall
from sip.errors import StateError
from transports.http.calls import Call, Calls
from transports.http.sessions import Place, Sessions
from transports.phone_metrics import PhoneMetrics
from transports.rtp.errors import PortsExhausted
from transports.rtp.socket import PortPool
from transports.rtp.ticker import Ticker
from transports.shared import SharedTransport
from transports.sip_call import KeySettings, SipCallTransport
from transports.sip_media import MediaGround
from voice.errors import CapacityError, ContractError, EngineError

log = structlog.get_logger(__name__)

_GOING_AWAY = 1001
_INTERNAL_ERROR = 1011
_RETRY_AFTER = ("Retry-After", "5")


@dataclass(frozen=True, slots=True)
class PhoneSettings:
    """What the operator says about the audio of calls."""

    host: str = "127.0.0.1"
    """Where media is received."""
    first_port: int = 20_000
    last_port: int = 21_999
    quarantine_s: float = 5.0
    """How long a port rests after a call."""
    media_timeout_s: float = 30.0
    first_media_timeout_s: float = 20.0
    """For callers of whom nothing has been heard at all."""
    hears_tones: bool = False
    keys: KeySettings = field(default_factory=KeySettings)


Route = Callable[[IncomingCall], str | None]
"""Return the agent for a call, "" for the default one, None when nobody answers there."""


class Phone:
    """An `Application` of a `SipEndpoint`. Takes calls from `start` to `aclose`."""

    def __init__(
        self, sessions: Sessions, calls: Calls, route: Route, settings: PhoneSettings, metrics: PhoneMetrics
    ) -> None:
        """`calls` is where sidebands look for them."""
        self._sessions = sessions
        self._calls = calls
        self._route = route
        self._settings = settings
        self._metrics = metrics
        self._ports = PortPool(settings.first_port, settings.last_port, settings.quarantine_s)
        self._ground: MediaGround | None = None
        self._group: asyncio.TaskGroup | None = None
        self._open: set[SipCallTransport] = set()
        self._is_stopping = False

    @property
    def active(self) -> int:
        """Calls that are up."""
        return len(self._open)

    async def start(self) -> None:
        """Be ready for calls."""
        settings = self._settings
        self._ground = MediaGround(
            settings.host,
            self._ports,
            Ticker(),
            self._metrics.traffic,
            timeout_s=settings.media_timeout_s,
            first_timeout_s=settings.first_media_timeout_s,
            hears_tones=settings.hears_tones,
        )
        self._group = await asyncio.TaskGroup().__aenter__()

    async def aclose(self) -> None:
        """Hang up every call, and wait until their sessions have ended: by the task that has called `start`, if any.

        Cancelling ends the sessions at once.
        """
        self._is_stopping = True
        for transport in tuple(self._open):
            await transport.aclose(_GOING_AWAY, "The service is stopping.")
        group, self._group = self._group, None
        if group is not None:
            await group.__aexit__(None, None, None)
        if self._ground is not None:
            self._ground.ticker.close()

    def trunk_changed(self, name: str, is_up: bool, status: int) -> None:
        """Note that a trunk is there, or is not."""
        self._metrics.trunk_up.labels(name).set(is_up)
        (log.info if is_up else log.warning)("trunk is up" if is_up else "trunk is down", trunk=name, status=status)

    # ---- Application

    def call_arrived(self, call: IncomingCall) -> None:
        """Answer, or refuse with the reason in one line of the log."""
        ground, group = self._ground, self._group
        name = self._route(call)
        if ground is None or group is None or self._is_stopping:
            self._refuse(call, 503, "the service is stopping")
        elif name is None:
            self._refuse(call, 404, "no route for the number")
        else:
            try:
                agent = self._sessions.resolve(name or None)
                place = self._sessions.admit(agent, key_id=None)
            except ContractError as error:
                self._refuse(call, 404, error.message)
            except (CapacityError, EngineError) as error:
                self._refuse(call, 503, str(error))
            else:
                call_id = self._calls.new_id()
                with structlog.contextvars.bound_contextvars(call_id=call_id, session=place.session_id):
                    self._take(call, place, agent.name, ground, group, call_id)

    def _take(
        self, call: IncomingCall, place: Place, agent: str, ground: MediaGround, group: asyncio.TaskGroup, call_id: str
    ) -> None:
        """Answer; what is started here inherits the context variables, by which its log lines name the call."""
        try:
            transport = SipCallTransport(call, ground, self._settings.keys)
        except PortsExhausted as error:
            place.release()
            self._refuse(call, 503, str(error))
            return
        shared = SharedTransport(transport, place.receive)
        transport.tell = shared.send_event
        arrival = call.arrival
        log.info(
            "call arrived",
            sip_call_id=call.invite.call_id,
            trunk=arrival.trunk.name,
            source=f"{arrival.transport} {arrival.host}:{arrival.port}",
            caller=call.caller,
            called=call.called,
            agent=agent,
        )
        call.listen(transport)
        self._open.add(transport)
        self._calls.add(call_id, Call(shared, place, None, is_anyones=True, phone=transport))
        group.create_task(self._hold(shared, transport, place, call_id), name=call_id)
        try:
            call.answer(transport.local_media)
        except StateError as error:  # given up while it arrived
            transport.ended_early(str(error))

    async def _hold(self, shared: SharedTransport, transport: SipCallTransport, place: Place, call_id: str) -> None:
        loop = asyncio.get_running_loop()
        began_s, is_up = loop.time(), False
        try:
            is_up = await transport.wait_started()
            if is_up:
                self._metrics.active.inc()
                await place.run(shared, transport)
            else:
                place.release()
        except Exception:  # the boundary of a call: the others go on
            log.exception("call failed")
            place.release()
            await shared.aclose(_INTERNAL_ERROR, "The server had an error.")
        finally:
            self._calls.remove(call_id)
            self._open.discard(transport)
            quality = transport.quality
            await shared.aclose()
            if is_up:
                self._metrics.end(transport.codec, quality)
            log.info(
                "call ended",
                reason=transport.end_reason,
                duration_s=round(loop.time() - began_s, 1),
                codec=transport.codec,
                encrypted=transport.is_encrypted,
                loss=round(quality.loss, 4),
                far_loss=round(quality.far_loss, 4),
                jitter_ms=round(quality.jitter_ms, 1),
                round_trip_ms=None if quality.round_trip_ms is None else round(quality.round_trip_ms, 1),
                mos=round(quality.mos, 2),
            )

    def _refuse(self, call: IncomingCall, status: int, reason: str) -> None:
        log.info(
            "call refused",
            status=status,
            reason=reason,
            trunk=call.arrival.trunk.name,
            caller=call.caller,
            called=call.called,
        )
        self._metrics.refused.labels(str(status)).inc()
        call.reject(status, None, *([_RETRY_AFTER] if status == 503 else []))
