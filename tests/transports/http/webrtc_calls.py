"""Calls to a service that is scripted here: what the tests of WebRTC share."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.transports.http.conftest import Service
from transports.webrtc.client import dial
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.network import Network, NetworkSettings
from transports.webrtc.peer import Peer
from transports.webrtc.settings import WebRtcSettings
from transports.webrtc.transport import WebRtcLimits

CALLS = "/v1/realtime/calls"
LOOPBACK = NetworkSettings(addresses=("127.0.0.1",))
SETTINGS = WebRtcSettings(LOOPBACK, WebRtcLimits(connect_s=5.0, vanished_s=2.0))
"""Two looks, a second apart, see that a peer is gone."""


@asynccontextmanager
async def call(service: Service, **options: Any) -> AsyncIterator[tuple[Peer, AsyncIterator[str | bytes], str]]:
    """Call; give the peer, its messages and the call's id; hang up."""
    url = f"http://127.0.0.1:{service.port}{CALLS}"
    peer, call_id = await dial(url, network=Network(LOOPBACK), **options)
    assert peer.channel is not None
    peer.on_end(peer.channel.end)
    try:
        yield peer, peer.channel.messages(), call_id
    finally:
        await peer.aclose()


async def next_event(messages: AsyncIterator[str | bytes]) -> dict[str, Any]:
    async with asyncio.timeout(5):
        found: dict[str, Any] = json.loads(await anext(messages))
        return found


async def offer() -> str:
    """A real offer of a peer that never comes."""
    peer = Peer(Network(LOOPBACK), CertificateStore(), None, is_controlling=True)
    text = await peer.offer()
    await peer.aclose()
    return text


def post(service: Service, body: str | bytes, content_type: str = "application/sdp", **headers: str) -> Any:
    data = io.BytesIO(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
    return service.client.post(CALLS, data=data, headers={"Content-Type": content_type, **headers})
