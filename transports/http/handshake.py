"""What the WebSocket routes have in common before the 101 (contract 2.2, 2.3)."""

from aiohttp import hdrs, web

from transports.http.auth import offered_protocols
from transports.http.errors import ApiError

PROTOCOL = "realtime"
"""The one subprotocol that is ever selected: never the one that holds the key (contract 2.2)."""


def require_upgrade(request: web.Request) -> None:
    """Refuse what does not ask for a WebSocket. Raises: ApiError 426."""
    if request.headers.get(hdrs.UPGRADE, "").strip().lower() != "websocket":
        raise ApiError(
            426,
            "This URL speaks WebSocket: connect to it with a Realtime client.",
            code="upgrade_required",
            headers={hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade"},
        )


def chosen_protocol(request: web.Request) -> str | None:
    """Return the subprotocol to select: a client that offers any gets `realtime`, whatever it offers."""
    return PROTOCOL if offered_protocols(request) else None
