"""Calls whose upstream is killed in the middle of an answer: how many are lost, and how long the caller hears nothing.

Calls go one after the other through this service, its `upstream` engine and a proxy that resets the connection in the
middle of a frame of audio, to a second instance of this service. Silence is the longest time between two audio deltas.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from bench.harness import Outcome, emit, parser, percentile, progress, scripted_service
from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import Fault, FaultyUpstream, Passage

_STORY = "speed: real_time\nturns: [{reply: [{say: Once upon a time there was a ship., audio_ms: 1500}]}]\n"
_ASK = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A story, please."}]},
}


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=50)
    given = options.parse_args()
    port = free_port()
    with scripted_service(_STORY) as upstream, tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
        config = Path(folder, "config.yaml")
        config.write_text(
            f"engines:\n  up: {{type: upstream, url: 'ws://127.0.0.1:{port}/v1/realtime', model: bench}}\n"
            "agents: {bench: {engine: up}}\naliases: {gpt-realtime: up}\nlog: {level: error}\n"
        )
        with ServiceProcess("--config", str(config)) as service:
            progress(f"{given.calls} calls …")
            calls = asyncio.run(hold(f"{service.url}?model=bench", upstream.url, port, given.calls))
    whole = sum(call["completed"] == 2 and not call["missing"] for call in calls)
    silences_ms = [call["silence_ms"] for call in calls]
    outcome = Outcome("upstream killed in mid-answer", ("calls", "lost", "complete", "silence p50 ms", "max ms"))
    lost = sum(call["lost"] for call in calls)
    outcome.rows.append((len(calls), lost, whole, percentile(silences_ms, 0.5), max(silences_ms)))
    outcome.figures = {"calls": len(calls), "lost": lost, "complete": whole, "silence_max_ms": max(silences_ms)}
    outcome.notes.append("complete: both answers were completed, and the new upstream holds every item of the call")
    emit(outcome, given.json)


async def hold(url: str, upstream: str, port: int, count: int) -> list[dict[str, Any]]:
    """Hold the calls."""
    # Each call makes two connections: the first is killed, the second goes on.
    proxy = FaultyUpstream(upstream, [Fault.CUT, Fault.NONE] * count, after=4, keeps=True)
    async with proxy.serving(port=port):
        calls = []
        for _ in range(count):
            made = await call(url)
            made["missing"] = made["items"] - known(proxy.passages[-1])
            calls.append(made)
        return calls


def known(passage: Passage) -> set[str]:
    """Return the items that the upstream holds: those that it was told, and those that it made."""
    told = [json.loads(message) for message in (*passage.to_upstream, *passage.to_client)]
    kinds = ("conversation.item.create", "conversation.item.added")
    return {event["item"]["id"] for event in told if event["type"] in kinds}


async def call(url: str) -> dict[str, Any]:
    """Ask twice; the first answer is broken off."""
    found: dict[str, Any] = {"completed": 0, "silence_ms": 0.0, "lost": False, "items": set()}
    try:
        async with asyncio.timeout(30), connect(url, max_size=None) as socket:
            for _ in range(2):
                await socket.send(json.dumps(_ASK))
                await socket.send('{"type":"response.create"}')
                heard_s: float | None = None
                async for message in socket:
                    event = json.loads(message)
                    if event["type"] == "response.output_audio.delta":
                        now_s = time.monotonic()
                        found["silence_ms"] = max(found["silence_ms"], (now_s - (heard_s or now_s)) * 1000)
                        heard_s = now_s
                    elif event["type"] == "conversation.item.added":
                        found["items"].add(event["item"]["id"])
                    elif event["type"] == "response.done":
                        found["completed"] += event["response"]["status"] == "completed"
                        break
    except (OSError, TimeoutError):
        found["lost"] = True
    return found


if __name__ == "__main__":
    main()
