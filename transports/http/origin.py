"""Keeps web pages of others away from a service that runs without keys.

Without keys the service listens on loopback only, so that no other machine reaches it. A browser on the same machine
still does, on behalf of any page that it has open:

- a page may open a WebSocket to 127.0.0.1 (no same-origin policy holds for WebSockets): its `Origin` tells;
- a page may rebind its own host name to 127.0.0.1 and be same-origin with the service: the `Host` header tells, since
  the browser still sends the name that it believes in.

A program (curl, an SDK) sends no `Origin`, and a `Host` of loopback. HTTP/1.0 health checks send no `Host` at all: no
browser does that. Behind a proxy, or under another name, configure a key: then the key decides and this check rests.
"""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from transports.http.errors import ApiError

_REMEDY = "Configure an API key to be reached from elsewhere."


def require_loopback(request: web.Request) -> None:
    """Let through only what a program or a page of this very machine asks.

    Raises: ApiError 403 `host_not_allowed` or `origin_not_allowed`.
    """
    host = request.headers.get(hdrs.HOST)
    if host is not None and not is_loopback(_hostname(f"//{host}")):
        raise ApiError(
            403, f"Without API keys this service answers to localhost only. {_REMEDY}", code="host_not_allowed"
        )
    for origin in request.headers.getall(hdrs.ORIGIN, []):
        # "null" (a sandboxed frame, a file) says nothing about who asks: refused like a stranger's.
        if not is_loopback(_hostname(origin)):
            raise ApiError(
                403,
                f"Without API keys this service serves pages of localhost only. {_REMEDY}",
                code="origin_not_allowed",
            )


def require_same_origin(request: web.Request) -> None:
    """Let through only what a page of this very service asks.

    Browsers say so themselves where the page is trustworthy (`Sec-Fetch-Site`, which no page can set, and which holds
    behind a proxy, too); older ones name the page's origin. A program that says neither is no page of ours.

    Raises: ApiError 403 `origin_not_allowed`.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site == "same-origin"
    else:
        host = request.headers.get(hdrs.HOST, "").lower()
        origins = request.headers.getall(hdrs.ORIGIN, [])
        allowed = bool(host) and [urlsplit(origin).netloc.lower() for origin in origins] == [host]
    if not allowed:
        raise ApiError(403, "This is for the service's own page only.", code="origin_not_allowed")


def is_loopback(hostname: str | None) -> bool:
    """Tell whether a host name means this machine whatever a name server says (RFC 6761 §6.3)."""
    if not hostname:
        return False
    name = hostname.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
