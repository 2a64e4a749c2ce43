"""What the operator says about WebRTC, as the transport takes it."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from transports.webrtc.network import NetworkSettings
from transports.webrtc.transport import WebRtcLimits
from voice.config_webrtc import IceServerConfig, WebRtcConfig


@dataclass(frozen=True, slots=True)
class WebRtcSettings:
    """The whole of it."""

    network: NetworkSettings = field(default_factory=NetworkSettings)
    limits: WebRtcLimits = field(default_factory=WebRtcLimits)
    ice_servers: tuple[IceServerConfig, ...] = ()

    def ice_servers_for(self, client: str, now_s: float) -> list[dict[str, Any]]:
        """Return what a browser takes as `iceServers`; `client` stands in names that a TURN server logs."""
        return [_for_client(server, client, now_s) for server in self.ice_servers]


def _for_client(server: IceServerConfig, client: str, now_s: float) -> dict[str, Any]:
    told: dict[str, Any] = {"urls": list(server.urls)}
    if server.secret is not None:
        # draft-uberti-behave-turn-rest §2.2: expiry and name, signed with the secret that the TURN server knows.
        username = f"{int(now_s) + server.lifetime_s}:{client}"
        digest = hmac.new(server.secret.get_secret_value().encode(), username.encode(), hashlib.sha1).digest()
        told |= {"username": username, "credential": base64.b64encode(digest).decode()}
    elif server.credential is not None:
        told |= {"username": server.username, "credential": server.credential.get_secret_value()}
    return told


def link_headers(servers: list[dict[str, Any]]) -> list[str]:
    """Return the values of `Link` headers that tell a client of the servers (RFC 9725 §4.6)."""
    links = []
    for server in servers:
        login = (
            f'; username="{server["username"]}"; credential="{server["credential"]}"; credential-type="password"'
            if "username" in server
            else ""
        )
        links += [f'<{url}>; rel="ice-server"{login}' for url in server["urls"]]
    return links


def settings_of(config: WebRtcConfig) -> WebRtcSettings:
    """Return what a configuration says."""
    host, _, port = (config.stun_server or "").rpartition(":")
    network = NetworkSettings(
        addresses=config.addresses,
        public_address=config.public_address,
        ports=config.ports,
        stun_server=(host, int(port)) if host else None,
    )
    return WebRtcSettings(
        network, WebRtcLimits(connect_s=config.connect_s, vanished_s=config.vanished_s), config.ice_servers
    )
