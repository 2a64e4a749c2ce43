"""What loss costs in words: recordings called in by WebRTC, over a clean path and over a bad one.

The bad path loses 5 % of the packets, brings 2 % late and so out of order, doubles 1 % and delays each by 0 to 40 ms.
Takes a folder as `bench.words` does.
"""

import asyncio
import json
from pathlib import Path

import aiohttp

from bench.harness import Outcome, emit, parser
from bench.webrtc_path import BadPath, without_candidates
from bench.words import Clip, hear_all, listening, score
from transports.webrtc import description
from transports.webrtc.dtls import CertificateStore
from transports.webrtc.line import WebRtcLine, calls_url, dial_line
from transports.webrtc.network import Network
from transports.webrtc.peer import Peer
from voice.talk.client import CallerOptions
from voice.talk.line import Line
from voice.talk.recording import load
from voice.talk.service import ServiceProcess

PATHS = ("clean", "bad")
SILENCE_MS = 500


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("folder", type=Path, help="WAV files and manifest.json")
    options.add_argument("--concurrency", type=int, default=2, help="calls at a time")
    options.add_argument("--paths", nargs="+", choices=PATHS, default=list(PATHS))
    options.add_argument("--show", action="store_true", help="print every clip that differs")
    given = options.parse_args()
    manifest = json.loads((given.folder / "manifest.json").read_text(encoding="utf-8"))
    clips = [Clip(load(given.folder / f"{entry['id']}.wav"), entry["text"]) for entry in manifest]
    outcome = Outcome("word error rate by WebRTC", ("path", "words", "errors", "WER %"))
    with ServiceProcess("--engine", "cascade", ready_timeout_s=120) as service:
        for path in given.paths:
            dial = dial_line if path == "clean" else dial_by_bad_path
            call = CallerOptions(service.url, "gpt-realtime", dial=dial, session=listening(SILENCE_MS))
            heard = asyncio.run(hear_all(call, clips, given.concurrency))
            words, errors = score(clips, heard, given.show)
            outcome.rows.append((path, words, errors, 100 * errors / words))
            outcome.figures[path] = {"words": words, "errors": errors, "wer_percent": 100 * errors / words}
    emit(outcome, given.json)


async def dial_by_bad_path(url: str, model: str | None, key: str | None, timeout_s: float) -> Line:
    """Call through a relay that treats packets badly, in both directions."""
    peer = Peer(Network(), CertificateStore(), None, is_controlling=True)
    relay = BadPath()
    offer = without_candidates(await peer.offer())
    headers = {"Content-Type": "application/sdp"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(calls_url(url, model), data=offer, headers=headers) as answer,
    ):
        answer.raise_for_status()
        peer.accept(description.read(await relay.enter(await answer.text())))
    if peer.channel is not None:
        peer.channel.open()
    async with asyncio.timeout(timeout_s):
        await peer.connect()
    return _RelayedLine(peer, relay)


class _RelayedLine(WebRtcLine):
    def __init__(self, peer: Peer, relay: BadPath) -> None:
        super().__init__(peer)
        self._relay = relay

    async def aclose(self) -> None:
        await super().aclose()
        self._relay.close()


if __name__ == "__main__":
    main()
