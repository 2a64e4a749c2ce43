"""WebRTC calls come and go: memory and descriptors of the service must return to where they were.

Of every ten calls four hang up properly, two close the page in mid-answer, two lose their network (the sockets close
without a word), one is hung up by the service, and one offers and never comes.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from bench.churn import Look, outcome_of, settled
from bench.harness import emit, parser, progress, scripted_service
from bench.scripts import SHORT_ANSWER
from transports.webrtc.client import dial
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer

AT_A_TIME = 10
WARM_CALLS = 100
SETTINGS = {"VOICE__WEBRTC__VANISHED_S": "5", "VOICE__WEBRTC__CONNECT_S": "3"}


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=200, help="how many come and go")
    given = options.parse_args()
    with scripted_service(SHORT_ANSWER, settings=SETTINGS) as service:
        url = f"{service.http_url}/v1/realtime/calls?model=bench"
        asyncio.run(churn(url, WARM_CALLS))
        looks: list[Look] = [settled(service)]
        since_s = time.monotonic()
        for _ in range(2):
            asyncio.run(churn(url, given.calls))
            looks.append(settled(service))
        took_s = (time.monotonic() - since_s) / 2
    outcome = outcome_of((looks[0], looks[1], looks[2]), given.calls, took_s)
    outcome.notes[0] = f"before: {WARM_CALLS} calls had been served; {given.calls} took {took_s:.0f} s"
    emit(outcome, given.json)


async def churn(url: str, calls: int) -> None:
    """Make and drop that many calls."""
    kinds = (*[hang_up] * 4, *[close_page] * 2, *[cut_network] * 2, be_hung_up, stay_away)
    room = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int) -> None:
        async with room:
            await kinds[number % len(kinds)](url)

    await asyncio.gather(*(one(number) for number in range(calls)))
    progress(f"{calls} calls have come and gone")


@asynccontextmanager
async def answering(url: str) -> AsyncIterator[tuple[Peer, str]]:
    """Call, ask for an answer and give the peer once it is under way."""
    peer, call_id = await dial(url)
    try:
        assert peer.channel is not None
        peer.channel.send('{"type":"response.create"}')
        async with asyncio.timeout(30):
            async for message in peer.channel.messages():
                if json.loads(message)["type"] == "output_audio_buffer.started":
                    break
        yield peer, call_id
    finally:
        await peer.aclose()


async def hang_up(url: str) -> None:
    """Hear the answer for a while, then say goodbye."""
    async with answering(url):
        await asyncio.sleep(0.3)


async def close_page(url: str) -> None:
    """Go as soon as the answer begins."""
    async with answering(url):
        pass


async def cut_network(url: str) -> None:
    """Be gone without a word."""
    async with answering(url) as (peer, _):
        peer.cut()


async def be_hung_up(url: str) -> None:
    """Let the service end it."""
    async with answering(url) as (_, call_id):
        await _post(url.replace("?model=bench", f"/{call_id}/hangup"))


async def stay_away(url: str) -> None:
    """Make an offer and never come."""
    peer = Peer(Network(), CertificateStore(), None, is_controlling=True)
    offer = await peer.offer()
    await _post(url, offer)
    await peer.aclose()


async def _post(url: str, offer: str | None = None) -> None:
    headers = {"Content-Type": "application/sdp"} if offer else None
    async with aiohttp.ClientSession() as http, http.post(url, data=offer, headers=headers) as answer:
        answer.raise_for_status()


if __name__ == "__main__":
    main()
