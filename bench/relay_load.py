"""The two ends of `bench.relay`, in one process: the callers, and the upstream that answers all of them.

Each caller sends an append of 20 ms fifty times a second and hears a delta of 20 ms as often. The lowest bits of the
first 64 samples of each frame hold the moment at which it was sent, so that what lies between is measured in each
direction by itself, whatever is made of the frames: several may come in one event.
"""

import argparse
import asyncio
import json
import struct
import sys
import time
from typing import Any

import numpy as np
import pybase64
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.harness import percentile

FRAME_S = 0.02
FRAME_SAMPLES = 480
FRAME_BYTES = 960
FRAME_CHARS = 1280
"""Of base64: whole groups, so that an event of several frames can be cut in its text."""
_STAMP = struct.Struct(">d")
_STAMP_CHARS = 172
"""Of base64: 64 samples, and one more byte."""
_BETWEEN_CALLS_S = FRAME_S * 2.618
"""Two frames and the golden section of one: however many call, their frames fall evenly into the 20 ms."""
_DELTA = "response.output_audio.delta"
_APPEND = "input_audio_buffer.append"
_PLACE = '"response_id":"resp_x","item_id":"item_x","output_index":0,"content_index":0'


class Ends:
    """Both ends, and how long frames took between them."""

    def __init__(self, speech: bytes = b"") -> None:
        """`speech`: what callers say, over and over, as 24 kHz PCM; without it they are silent."""
        samples = np.frombuffer(speech or bytes(FRAME_BYTES), "<i2")
        self._frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES) & ~1
        self._silence = np.zeros(FRAME_SAMPLES, "<i2")
        self.up_s: list[float] = []
        self.down_s: list[float] = []
        self.watching = False

    # --- the upstream

    async def answer(self, socket: ServerConnection) -> None:
        """Be an upstream: take audio, and speak without an end once asked."""
        await _say(socket, "session.created", session={"type": "realtime", "expires_at": 0})
        speaking: asyncio.Task[None] | None = None
        try:
            async for message in socket:
                text = str(message)
                if _APPEND in text[:120] or _APPEND in text[-60:]:
                    self._take(text, '"audio":', self.up_s)
                    continue
                event = json.loads(text)
                if event["type"] == "session.update":
                    await _say(socket, "session.updated", session={"type": "realtime"})
                elif event["type"] == "conversation.item.create":
                    await _say(socket, "conversation.item.added", previous_item_id=None, item=event["item"])
                    await _say(socket, "conversation.item.done", previous_item_id=None, item=event["item"])
                elif event["type"] == "response.create" and speaking is None:
                    metadata = (event.get("response") or {}).get("metadata")
                    speaking = asyncio.create_task(self._speak(socket, metadata))
        except ConnectionClosed:
            pass  # a caller's end is cut, and not everybody between says goodbye
        finally:
            if speaking is not None:
                speaking.cancel()

    async def _speak(self, socket: ServerConnection, metadata: Any) -> None:
        status: dict[str, Any] = {"status": "in_progress", "status_details": None, "output": [], "usage": None}
        response = {"id": "resp_x", "object": "realtime.response", "metadata": metadata, **status}
        await _say(socket, "response.created", response=response)
        item = {"id": "item_x", "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
        place = {"response_id": "resp_x", "output_index": 0}
        await _say(socket, "response.output_item.added", **place, item={**item, "status": "in_progress"})
        await _say(socket, "conversation.item.added", previous_item_id=None, item={**item, "status": "in_progress"})
        part = {"type": "audio", "transcript": ""}
        await _say(socket, "response.content_part.added", **place, item_id="item_x", content_index=0, part=part)
        head = f'{{"type":"{_DELTA}","event_id":"e",{_PLACE},"delta":"'
        due_s = time.monotonic()
        while True:
            await socket.send(f'{head}{_stamped(self._silence)}"}}')
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    # --- the callers

    async def call(self, url: str, place: float, detection: Any) -> None:
        """Be a caller until cancelled; `place` among all of them, 0 to 1, keeps them from speaking in chorus."""
        async with connect(url, compression=None, max_size=None, open_timeout=30) as socket:
            heard = {"turn_detection": detection}
            session = {"type": "realtime", "audio": {"input": heard}}
            await socket.send(json.dumps({"type": "session.update", "session": session}))
            await socket.send(json.dumps({"type": "response.create"}))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._talk(socket, place))
                tasks.create_task(self._listen(socket))

    async def _talk(self, socket: ClientConnection, place: float) -> None:
        await asyncio.sleep(FRAME_S * place)
        due_s = time.monotonic()
        number = int(place * len(self._frames))
        while True:
            number = (number + 1) % len(self._frames)
            await socket.send(f'{{"type":"{_APPEND}","audio":"{_stamped(self._frames[number])}"}}')
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def _listen(self, socket: ClientConnection) -> None:
        async for message in socket:
            text = str(message)
            if _DELTA in text[:60]:
                self._take(text, '"delta":', self.down_s)

    def _take(self, text: str, name: str, into: list[float]) -> None:
        """Note how old the frames of an event are. What was resampled or cut elsewhere than at frames has no stamp."""
        if not self.watching:
            return
        now_s = time.monotonic()
        start = text.index(name) + len(name)
        start = text.index('"', start) + 1
        end = text.index('"', start)
        for at in range(start, end - FRAME_CHARS + 1, FRAME_CHARS):
            age_s = now_s - _stamp_of(text[at : at + _STAMP_CHARS])
            if 0 <= age_s < 60:
                into.append(age_s)


async def _say(socket: ServerConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, "event_id": "e", **fields}))


def _stamped(frame: "np.ndarray[Any, np.dtype[np.int16]]") -> str:
    samples = frame.copy()
    samples[:64] |= np.unpackbits(np.frombuffer(_STAMP.pack(time.monotonic()), np.uint8))
    return pybase64.b64encode_as_string(samples.tobytes())


def _stamp_of(encoded: str) -> float:
    samples = np.frombuffer(pybase64.b64decode(encoded)[:128], "<i2")
    return float(_STAMP.unpack(np.packbits((samples & 1).astype(np.uint8)).tobytes())[0])


async def run(url: str, upstream_port: int, sessions: int, detection: Any, speech: bytes) -> dict[str, Any]:
    """Hold the load; lines on standard input begin and end the watched time."""
    ends = Ends(speech)
    if url == "direct":
        url = f"ws://127.0.0.1:{upstream_port}"
    async with serve(ends.answer, "127.0.0.1", upstream_port, compression=None, max_size=None):
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        calls = []
        for number in range(sessions):
            calls.append(asyncio.create_task(ends.call(url, number / sessions, detection)))
            await asyncio.sleep(_BETWEEN_CALLS_S)
        await asyncio.sleep(3)
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
    options.add_argument("url", help="of what is between; `direct`: nothing")
    options.add_argument("upstream_port", type=int)
    options.add_argument("--sessions", type=int, default=50)
    options.add_argument("--detection", default="null", help="turn detection of the callers' sessions, as JSON")
    options.add_argument("--speech", type=argparse.FileType("rb"), help="what callers say: raw PCM of 24 kHz")
    given = options.parse_args()
    speech = given.speech.read() if given.speech else b""
    running = run(given.url, given.upstream_port, given.sessions, json.loads(given.detection), speech)
    print(json.dumps(uvloop.run(running)))


if __name__ == "__main__":
    main()
