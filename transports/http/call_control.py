"""What a key may do from aside to calls of its own (contract 1.4). A call that nobody has, or somebody else, is 404.

accept, reject    a call that rings; one that was accepted already is 409
refer             hands a phone call over
hangup            ends a call of any kind
"""

from typing import NoReturn

from aiohttp import web

from transports.http.auth import KeyRing, authenticate
from transports.http.calls import Call, Calls
from transports.http.errors import ApiError


class CallControl:
    """The requests about live calls. Needs a key: a client secret opens sessions and does nothing else."""

    def __init__(self, keys: KeyRing, calls: Calls) -> None:
        """`calls` are those of this process."""
        self._keys = keys
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return what to add to an application."""
        path = "/v1/realtime/calls/{call_id}"
        return [
            web.post(f"{path}/accept", self.decide),
            web.post(f"{path}/reject", self.decide),
            web.post(f"{path}/refer", self.refer),
            web.post(f"{path}/hangup", self.hang_up),
        ]

    async def decide(self, request: web.Request) -> NoReturn:
        """Refuse to accept or reject what rings no more: the session of a WebSocket begins with its handshake."""
        self._find(request)
        raise ApiError(409, "This call has been accepted already.", code="call_already_accepted")

    async def refer(self, request: web.Request) -> NoReturn:
        """Refuse to hand over what is no phone call."""
        self._find(request)
        raise ApiError(400, "Only a phone call can be handed over.", code="unsupported_call")

    async def hang_up(self, request: web.Request) -> web.Response:
        """End the call."""
        self._find(request, joinable=False).place.stop(1000, "The call was hung up.")
        return web.Response()

    def _find(self, request: web.Request, *, joinable: bool = True) -> Call:
        key_id = authenticate(request, self._keys)
        return self._calls.find(request.match_info["call_id"], key_id, joinable=joinable)
