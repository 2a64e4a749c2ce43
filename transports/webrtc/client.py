"""Dials out: the client's end of `POST /v1/realtime/calls`, against this service or any server of the contract."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from aiohttp import hdrs

from transports.webrtc import description
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.errors import CallRefused, ConnectFailed, DescriptionRefused
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer

CONNECT_S = 15.0


async def dial(
    url: str,
    *,
    key: str | None = None,
    session: dict[str, Any] | None = None,
    network: Network | None = None,
) -> tuple[Peer, str]:
    """Call `url`, the whole address of `…/realtime/calls`; return the connected peer and the call's id.

    With `session` the multipart form is used, else the raw one. The caller must `aclose` the peer. Raises: CallRefused,
    ConnectFailed.
    """
    peer = Peer(network or Network(), CertificateStore(), None, is_controlling=True)
    async with AsyncExitStack() as cleanup:
        cleanup.push_async_callback(peer.aclose)
        answer, call_id = await _exchange(url, await peer.offer(), key, session)
        try:
            peer.accept(description.read(answer))
        except DescriptionRefused as error:
            raise CallRefused(201, f"its answer cannot be used: {error.message}") from error
        if peer.channel is not None:
            peer.channel.open()
        try:
            async with asyncio.timeout(CONNECT_S):
                await peer.connect()
        except TimeoutError as error:
            raise ConnectFailed("ice") from error
        cleanup.pop_all()
    return peer, call_id


async def _exchange(url: str, offer: str, key: str | None, session: dict[str, Any] | None) -> tuple[str, str]:
    headers = {hdrs.ACCEPT: "application/sdp"}
    if key:
        headers[hdrs.AUTHORIZATION] = f"Bearer {key}"
    data: str | aiohttp.FormData
    if session is None:
        data, headers[hdrs.CONTENT_TYPE] = offer, "application/sdp"
    else:
        data = aiohttp.FormData({"sdp": offer, "session": json.dumps(session)}, default_to_multipart=True)
    timeout = aiohttp.ClientTimeout(total=CONNECT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.post(url, data=data, headers=headers) as answer,
        ):
            text = await answer.text()
            if answer.status not in (200, 201):
                raise CallRefused(answer.status, _reason(text))
            return text, answer.headers.get(hdrs.LOCATION, "").rpartition("/")[2]
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CallRefused(0, str(error) or "timed out") from error


def _reason(text: str) -> str:
    """Return a refusal's words, from the JSON of contract 1.0 where it is that."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
