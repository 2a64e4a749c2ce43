"""What a key may do from aside to calls of its own (contract 1.4). A call that nobody has, or somebody else, is 404.

accept, reject    a call that rings; one that was accepted already is 409
refer             hands a phone call over
dtmf              presses keys at the other end of a phone call (an extension)
hangup            ends a call of any kind
"""

import json
from typing import NoReturn

from aiohttp import web

from transports.http.auth import KeyRing, authenticate
from transports.http.body import read_body
from transports.http.calls import Call, Calls
from transports.http.errors import ApiError

_MAX_BODY_BYTES = 4096


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
            web.post(f"{path}/dtmf", self.press),
            web.post(f"{path}/hangup", self.hang_up),
        ]

    async def decide(self, request: web.Request) -> NoReturn:
        """Refuse to accept or reject what rings no more: the session of a WebSocket begins with its handshake."""
        self._find(request)
        raise ApiError(409, "This call has been accepted already.", code="call_already_accepted")

    async def refer(self, request: web.Request) -> NoReturn:
        """Refuse to hand a call over: one that is no phone call never can be, a phone call cannot be yet."""
        if self._find(request).phone is None:
            raise ApiError(400, "Only a phone call can be handed over.", code="unsupported_call")
        raise ApiError(400, "This service does not hand phone calls over yet.", code="unsupported_call")

    async def press(self, request: web.Request) -> web.Response:
        """Press the keys of `{"digits": "12#"}`; answered at once, they take 0.2 s each."""
        phone = self._find(request).phone
        if phone is None:
            raise ApiError(400, "Only a phone call has keys.", code="unsupported_call")
        digits = _digits(await read_body(request, _MAX_BODY_BYTES))
        try:
            taken = phone.press(digits)
        except ValueError as error:
            raise ApiError(400, f"Invalid 'digits': {error}.", code="invalid_value", param="digits") from error
        if not taken:
            raise ApiError(409, "The other side takes no keys.", code="keys_not_taken")
        return web.Response()

    async def hang_up(self, request: web.Request) -> web.Response:
        """End the call."""
        self._find(request, joinable=False).place.stop(1000, "The call was hung up.")
        return web.Response()

    def _find(self, request: web.Request, *, joinable: bool = True) -> Call:
        key_id = authenticate(request, self._keys)
        return self._calls.find(request.match_info["call_id"], key_id, joinable=joinable)


def _digits(body: bytes) -> str:
    try:
        asked = json.loads(body)
    except ValueError:
        asked = None
    digits = asked.get("digits") if isinstance(asked, dict) else None
    if not isinstance(digits, str) or not digits:
        raise ApiError(400, "The body must be an object with 'digits'.", code="invalid_value", param="digits")
    return digits
