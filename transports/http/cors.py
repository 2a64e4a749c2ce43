"""Lets pages of other origins reach the routes that browsers use (contract 1.3).

Credentials are a key in a header, never a cookie: `*` gives nobody more than the key does. Without keys, pages of
other machines are refused before this (`origin.py`).
"""

from aiohttp import hdrs, web

from transports.http.rate_limits import LIMIT, REMAINING, RESET

_ALLOWED_HEADERS = (
    "Authorization, Content-Type, X-OpenAI-Agents-SDK, OpenAI-Safety-Identifier, OpenAI-Organization, OpenAI-Project, "
    "OpenAI-Beta, X-Client-Request-Id"
)
_EXPOSED_HEADERS = f"Location, Link, x-request-id, {LIMIT}, {REMAINING}, {RESET}"
_PATHS = ("/v1/realtime", "/v1/realtime/calls")
_DAY_S = "86400"


async def add_cors_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Mark answers, refusals too, so that a page may read them (signal `on_response_prepare`)."""
    if hdrs.ORIGIN in request.headers and (request.path in _PATHS or request.path.startswith(_PATHS[1] + "/")):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
        response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED_HEADERS


async def preflight(_: web.Request) -> web.Response:
    """Answer `OPTIONS`."""
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "POST, PATCH, OPTIONS",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS,
            hdrs.ACCESS_CONTROL_MAX_AGE: _DAY_S,
        },
    )
