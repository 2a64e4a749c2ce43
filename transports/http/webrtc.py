"""`POST /v1/realtime/calls`: an offer in, an answer out, and a session for as long as the connection lives.

key 401 → beta 400 → type 415 → size 413 → SDP 400 → session 400 → model 404 → place 429/503 → 201
    201 ─► connected ─► session
     └──► nobody came: place free
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict

from transports.http.auth import Caller, KeyRing, identify_caller
from transports.http.beta import call_refusal, is_beta
from transports.http.calls import Call, Calls, call_not_found
from transports.http.client_secrets import ClientSecrets
from transports.http.errors import ApiError
from transports.http.middleware import client_request_id, request_id
from transports.http.rate_limits import limit_by
from transports.http.sessions import Place, Sessions
from transports.rtp.quality import MediaTraffic
from transports.rtp.ticker import Ticker
from transports.shared import SharedTransport
from transports.webrtc import description
from transports.webrtc.description import RemoteDescription
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.errors import ConnectFailed, DescriptionRefused, PortsTaken
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer
from transports.webrtc.settings import WebRtcSettings, link_headers
from transports.webrtc.transport import WebRtcTransport
from voice.errors import CapacityError
from voice.protocol.client_events import ClientEvent
from voice.protocol.dialect import GA, Dialect, beta_dialect
from voice.protocol.opening import combine, decode_opening
from voice.protocol.session_config import SessionUpdateBody

log = structlog.get_logger(__name__)

SDP_TYPE = "application/sdp"
_PATH = "/v1/realtime/calls"
_INTERNAL_ERROR = 1011
_GOING_AWAY = 1001
_END_S = 1.0


@dataclass(slots=True)
class WebRtcCalls:
    """Makes calls and holds them: one task each, all of one TaskGroup, from `start` to `close_all`."""

    sessions: Sessions
    keys: KeyRing
    secrets: ClientSecrets
    calls: Calls
    settings: WebRtcSettings = field(default_factory=WebRtcSettings)
    translates_beta: bool = False
    """Clients of the beta are served in their own words, and not refused."""
    traffic: MediaTraffic = field(default_factory=MediaTraffic)
    certificates: CertificateStore = field(default_factory=CertificateStore)
    _network: Network | None = None
    _ticker: Ticker | None = None
    _group: asyncio.TaskGroup | None = None
    _open: dict[str, WebRtcTransport] = field(default_factory=dict)

    async def start(self, _: web.Application) -> None:
        """Be ready for calls (signal `on_startup`)."""
        self._network = Network(self.settings.network)
        self._ticker = Ticker()
        self._group = await asyncio.TaskGroup().__aenter__()

    async def close_all(self, _: web.Application) -> None:
        """End the calls that draining has left over (signal `on_shutdown`): by the task that has called `start`."""
        reason = "The service is stopping."
        ending = [_apart(transport.aclose(_GOING_AWAY, reason)) for transport in self._open.values()]
        await asyncio.gather(*ending)
        group, self._group = self._group, None
        if group is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):  # their sessions have heard of it; what lasts longer is cancelled
                    await group.__aexit__(None, None, None)
        if self._ticker is not None:
            self._ticker.close()

    async def create(self, request: web.Request) -> web.Response:
        """Answer an offer."""
        caller = identify_caller(request, self.keys, self.secrets)
        dialect = self._dialect(request, caller)
        limit_by(request, lambda: self.sessions.room(caller.key_id))
        sdp, opening = await _read_body(request)
        offer = _read_offer(sdp)
        opening = combine(caller.opening, opening)
        agent = self.sessions.resolve((opening.model if opening is not None else None) or request.query.get("model"))
        if opening is not None:
            self.sessions.preview(agent, opening)  # what a session would refuse is refused here, with its words
        place = self.sessions.admit(
            agent, key_id=caller.key_id, opening=opening, safety_identifier=caller.safety_identifier
        )
        call_id = self.calls.new_id()
        with structlog.contextvars.bound_contextvars(call_id=call_id, session=place.session_id):
            answer = await self._begin(place, offer, call_id, caller, dialect)
            log.info(
                "call created",
                agent=agent.name,
                request_id=request_id(request),
                client_request_id=client_request_id(request),
            )
        headers = CIMultiDict({hdrs.LOCATION: f"{_PATH}/{call_id}"})
        for link in link_headers(self.settings.ice_servers_for(caller.key_id or "anyone", time.time())):
            headers.add(hdrs.LINK, link)
        return web.Response(status=201, text=answer, content_type=SDP_TYPE, headers=headers)

    async def restart(self, request: web.Request) -> web.Response:
        """Answer a new offer of a live call, by which it goes on over other addresses: an extension, after RFC 9725."""
        caller = identify_caller(request, self.keys, self.secrets)
        call_id = request.match_info["call_id"]
        call = self.calls.find(call_id, caller.key_id, joinable=False)
        transport = self._open.get(call_id)
        if transport is None or self._group is None:
            raise call_not_found()  # a session over WebSocket has no addresses to change
        sdp, _ = await _read_body(request)
        offer = _read_offer(sdp)
        with structlog.contextvars.bound_contextvars(call_id=call_id, session=call.place.session_id):
            try:
                answer = await transport.restart(offer)
            except DescriptionRefused as error:
                raise _refused(error) from error
            except PortsTaken as error:
                raise _no_port() from error
            self._group.create_task(_apart(transport.finish_restart(offer)), name=f"{call_id} restart")
        return web.Response(text=answer, content_type=SDP_TYPE)

    def _dialect(self, request: web.Request, caller: Caller) -> Dialect[ClientEvent]:
        """Return how the caller speaks. Raises: ApiError 400 to clients of the beta where they are not served."""
        if not is_beta(request) and not caller.speaks_beta:
            return GA
        if not self.translates_beta:
            raise call_refusal()
        return beta_dialect()

    async def _begin(
        self, place: Place, offer: RemoteDescription, call_id: str, caller: Caller, dialect: Dialect[ClientEvent]
    ) -> str:
        """Open the sockets and let the call wait for its peer; return the answer.

        What is started here inherits the context variables, by which its log lines name the call.
        """
        if self._network is None or self._ticker is None or self._group is None:
            raise RuntimeError("calls are made between start and close_all")
        peer = Peer(self._network, self.certificates, self.traffic, is_controlling=False)
        try:
            answer = await peer.answer(offer)
        except BaseException as error:
            place.release()
            await peer.aclose()
            if isinstance(error, PortsTaken):
                raise _no_port() from error
            raise
        transport = WebRtcTransport(peer, self._ticker, self.settings.limits, dialect)
        call = Call(SharedTransport(transport, place.receive), place, caller.key_id)
        self._open[call_id] = transport
        self.calls.add(call_id, call)
        self._group.create_task(_apart(self._hold(call, transport, call_id)), name=call_id)
        return answer

    async def _hold(self, call: Call, transport: WebRtcTransport, call_id: str) -> None:
        try:
            await transport.connect()
            await call.place.run(call.transport)
        except ConnectFailed as error:
            log.info("call not connected", stage=error.stage)
            call.place.release()
        except Exception:  # the boundary of a session: the others go on
            log.exception("call failed")
            call.place.release()
            await call.transport.aclose(_INTERNAL_ERROR, "The server had an error.")
        finally:
            self.calls.remove(call_id)
            self._open.pop(call_id, None)
            await call.transport.aclose()


async def _apart(work: Coroutine[None, None, None]) -> None:
    """Do what belongs to one call. The TaskGroup of all calls must not see what goes wrong in one."""
    try:
        await work
    except Exception:  # the boundary of a task
        log.exception("call failed")


def _no_port() -> CapacityError:
    return CapacityError("No media port is free; try again in a moment.", retry_after_s=5.0)


def _read_offer(sdp: str) -> RemoteDescription:
    try:
        return description.read(sdp)
    except DescriptionRefused as error:
        raise _refused(error) from error


def _refused(error: DescriptionRefused) -> ApiError:
    return ApiError(400, error.message, code="invalid_offer", param="sdp")


async def _read_body(request: web.Request) -> tuple[str, SessionUpdateBody | None]:
    """Return the offer, and the session where the form has one. Raises: ApiError, ContractError."""
    if request.content_type == SDP_TYPE:
        return (await request.read()).decode("utf-8", "replace"), None
    if request.content_type != "multipart/form-data":
        raise ApiError(
            415,
            f"Unsupported content type: '{request.content_type}'. Send the offer as application/sdp, or as the part "
            "'sdp' of multipart/form-data.",
            code="unsupported_content_type",
        )
    try:
        form = await request.post()
    except (ValueError, AssertionError) as error:  # no boundary, a part without an end
        raise ApiError(400, "The multipart body cannot be read.", code="invalid_multipart") from error
    sdp, session = _part(form.get("sdp")), _part(form.get("session"))
    if sdp is None:
        raise ApiError(400, "Missing required parameter: 'sdp'.", code="missing_required_parameter", param="sdp")
    return sdp, decode_opening(session) if session is not None else None


def _part(value: str | bytes | bytearray | web.FileField | None) -> str | None:
    """Return a part's text: by name alone, whatever type or file name it comes with (contract 1.3)."""
    if isinstance(value, web.FileField):
        value = value.file.read()
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else value
