"""The two ends of `bench.relay`, in one process: the callers, and the upstream that answers all of them.

Each caller sends an append of 20 ms fifty times a second and hears a delta of 20 ms as often. The first samples of each
frame hold the moment at which it was sent, so that what lies between is measured in each direction by itself.
"""

import argparse
import asyncio
import base64
import json
import struct
import sys
import time
from typing import Any

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from bench.harness import percentile

FRAME_S = 0.02
FRAME_BYTES = 960
_STAMP = struct.Struct("<d")
_REST = bytes(FRAME_BYTES - _STAMP.size)
_DELTA = "response.output_audio.delta"


class Ends:
    """Both ends, and how long frames took between them."""

    def __init__(self) -> None:
        self.up_s: list[float] = []
        self.down_s: list[float] = []
        self.watching = False

    # --- the upstream

    async def answer(self, socket: ServerConnection) -> None:
        """Be an upstream: take audio, and speak without an end once asked."""
        await socket.send(json.dumps({"type": "session.created", "session": {"expires_at": 0}}))
        speaking: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                text = str(message)
                if '"input_audio_buffer.append"' in text[:60]:
                    self._take(text, '"audio":', self.up_s)
                elif '"response.create"' in text[:60]:
                    metadata = (json.loads(text).get("response") or {}).get("metadata")
                    speaking = asyncio.create_task(self._speak(socket, metadata))
        finally:
            if speaking is not None:
                speaking.cancel()

    async def _speak(self, socket: ServerConnection, metadata: Any) -> None:
        response = {"id": "resp_x", "metadata": metadata, "status": "in_progress", "output": []}
        await socket.send(json.dumps({"type": "response.created", "event_id": "e", "response": response}))
        head = f'{{"type":"{_DELTA}","event_id":"e","response_id":"resp_x","item_id":"item_x","output_index":0,'
        due_s = time.monotonic()
        while True:
            await socket.send(f'{head}"content_index":0,"delta":"{_stamped()}"}}')
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    # --- the callers

    async def call(self, url: str, delay_s: float, detection: Any) -> None:
        """Be a caller until cancelled."""
        async with connect(url, compression=None, max_size=None) as socket:
            heard = {"turn_detection": detection}
            session = {"type": "realtime", "audio": {"input": heard}}
            await socket.send(json.dumps({"type": "session.update", "session": session}))
            await socket.send(json.dumps({"type": "response.create"}))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._talk(socket, delay_s))
                tasks.create_task(self._listen(socket))

    async def _talk(self, socket: ClientConnection, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        due_s = time.monotonic()
        while True:
            await socket.send(f'{{"type":"input_audio_buffer.append","audio":"{_stamped()}"}}')
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            text = str(message)
            if _DELTA in text[:60]:
                self._take(text, '"delta":', self.down_s)

    def _take(self, text: str, name: str, into: list[float]) -> None:
        if self.watching:
            start = text.index(name) + len(name)
            start = text.index('"', start) + 1
            into.append(time.monotonic() - _STAMP.unpack_from(base64.b64decode(text[start : start + 12]))[0])


def _stamped() -> str:
    return base64.b64encode(_STAMP.pack(time.monotonic()) + _REST).decode()


async def run(url: str, upstream_port: int, sessions: int, detection: Any) -> dict[str, Any]:
    """Hold the load; lines on standard input begin and end the watched time."""
    ends = Ends()
    async with serve(ends.answer, "127.0.0.1", upstream_port, compression=None, max_size=None):
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        calls = []
        for number in range(sessions):
            calls.append(asyncio.create_task(ends.call(url, FRAME_S * number / sessions, detection)))
            await asyncio.sleep(0.02)
        await asyncio.sleep(2)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        ends.watching = True
        await asyncio.to_thread(sys.stdin.readline)
        ends.watching = False
        lost = sum(call.done() for call in calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    figures: dict[str, Any] = {"lost": lost}
    for name, values in (("up", ends.up_s), ("down", ends.down_s)):
        figures |= {
            f"{name}_frames": len(values),
            f"{name}_p50_ms": percentile(values, 0.5) * 1000,
            f"{name}_p99_ms": percentile(values, 0.99) * 1000,
        }
    return figures


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("url")
    options.add_argument("upstream_port", type=int)
    options.add_argument("--sessions", type=int, default=50)
    options.add_argument("--detection", default="null", help="turn detection of the callers' sessions, as JSON")
    given = options.parse_args()
    print(json.dumps(uvloop.run(run(given.url, given.upstream_port, given.sessions, json.loads(given.detection)))))


if __name__ == "__main__":
    main()
