"""The load generator of `bench.sessions`, in a process of its own.

N WebSocket sessions send 50 frames a second of speech and pauses, each on its own absolute grid, spread over the 20 ms
and over the cycle of speech and pause. It writes `ready` when all are connected, and its figures as JSON when its
standard input ends. Messages are made beforehand and never parsed here: the generator must not be what is measured.

    lateness of a reply frame
      relay     arrival - moment its frame was sent
      service   arrival - its place on the 100 ms grid of its response; the grid is laid through the earliest frame.
                What the engine made while the silence was still being judged is due when the response is created.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.harness import percentile, say
from bench.scripts import REPLY_MS
from voice.audio.frames import CORE_RATE_HZ

FRAME_S = 0.02
FRAME_BYTES = CORE_RATE_HZ * 2 // 50
CYCLE_FRAMES = 300
"""Six seconds: about two of speech, a pause in which the answer comes."""

REPLY_S = REPLY_MS / 1000

SPEECH = "I would like to know a little more about that please."
_AUDIO = '"response.output_audio.delta"'
_RESPONSE = '"response_id":"'


@dataclass(slots=True)
class Tally:
    """What one session saw while it was watched."""

    sent: int = 0
    send_late_s: list[float] = field(default_factory=list)
    received: int = 0
    arrivals: dict[str, list[float]] = field(default_factory=dict)
    """Of audio, by response."""
    created_s: dict[str, float] = field(default_factory=dict)
    """When each response was created."""
    echo_s: list[float] = field(default_factory=list)
    in_flight: list[float] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    lost: bool = False


def cycle_messages() -> list[str]:
    """Return the append events of one cycle: speech, then silence."""
    import base64

    pcm = say(SPEECH).pcm[: CYCLE_FRAMES * FRAME_BYTES]
    pcm += bytes(CYCLE_FRAMES * FRAME_BYTES - len(pcm))
    chunks = (pcm[start : start + FRAME_BYTES] for start in range(0, len(pcm), FRAME_BYTES))
    return [f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(chunk).decode()}"}}' for chunk in chunks]


class Session:
    """One connection under load."""

    def __init__(self, number: int, total: int, messages: list[str], *, relay: bool) -> None:
        """`number` of `total` decides its place in the cycle and in the 20 ms."""
        self.tally = Tally()
        self._offset = number * CYCLE_FRAMES // total
        self._phase_s = number * FRAME_S / total
        self._messages = messages
        self._relay = relay
        self._socket: ClientConnection

    async def open(self, url: str) -> None:
        """Connect; the first event of a service is waited for."""
        self._socket = await connect(url, compression=None, max_size=None, open_timeout=60)
        if not self._relay:
            await self._socket.recv()

    async def run(self, origin_s: float, watched: asyncio.Event) -> None:
        """Send and receive until cancelled; only what happens while `watched` is set counts."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._receive(watched))
                tasks.create_task(self._send(origin_s + self._phase_s, watched))
        except* ConnectionClosed:
            self.tally.lost = True

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()

    async def _send(self, origin_s: float, watched: asyncio.Event) -> None:
        tally, messages = self.tally, self._messages
        tick = 0
        while True:
            due_s = origin_s + tick * FRAME_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            sent_s = time.monotonic()
            if self._relay:
                tally.in_flight.append(sent_s)
            await self._socket.send(messages[(self._offset + tick) % CYCLE_FRAMES])
            if watched.is_set():
                tally.sent += 1
                tally.send_late_s.append(sent_s - due_s)
            tick += 1

    async def _receive(self, watched: asyncio.Event) -> None:
        tally = self.tally
        async for message in self._socket:
            at_s = time.monotonic()
            text = str(message)
            if self._relay:
                sent_s = tally.in_flight.pop(0)
                if watched.is_set():
                    tally.received += 1
                    tally.echo_s.append(at_s - sent_s)
            elif _AUDIO in text[:300]:
                start = text.find(_RESPONSE) + len(_RESPONSE)
                tally.arrivals.setdefault(text[start : text.find('"', start)], []).append(at_s)
                tally.received += watched.is_set()
            else:
                event = json.loads(text)
                tally.events[event["type"]] += 1
                tally.received += watched.is_set()
                if event["type"] == "response.created":
                    tally.created_s[event["response"]["id"]] = at_s


def lateness_s(tally: Tally, since_s: float, until_s: float) -> list[float]:
    """Return how late each reply frame came that was watched."""
    late = list(tally.echo_s)
    for response_id, arrivals in tally.arrivals.items():
        origin_s = min(at_s - number * REPLY_S for number, at_s in enumerate(arrivals))
        released_s = tally.created_s.get(response_id, 0.0)
        for number, at_s in enumerate(arrivals):
            if since_s <= at_s <= until_s:
                late.append(at_s - max(released_s, origin_s + number * REPLY_S))
    return late


async def run(url: str, sessions: int, relay: bool) -> dict[str, object]:
    """Hold the load until standard input ends."""
    messages = cycle_messages()
    loaded = [Session(number, sessions, messages, relay=relay) for number in range(sessions)]
    for start in range(0, sessions, 10):
        await asyncio.gather(*(session.open(url) for session in loaded[start : start + 10]))
    watched = asyncio.Event()
    origin_s = time.monotonic() + 0.1
    running = [asyncio.create_task(session.run(origin_s, watched)) for session in loaded]
    print("ready", flush=True)
    since_s = until_s = 0.0
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "watch":
            since_s = time.monotonic()
            watched.set()
        else:
            until_s = time.monotonic()
            watched.clear()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.gather(*(session.close() for session in loaded))
    return figures(loaded, since_s, until_s)


def figures(loaded: list[Session], since_s: float, until_s: float) -> dict[str, object]:
    """Sum all sessions up."""
    tallies = [session.tally for session in loaded]
    late = [value for tally in tallies for value in lateness_s(tally, since_s, until_s)]
    send_late = [value for tally in tallies for value in tally.send_late_s]
    events: Counter[str] = Counter()
    for tally in tallies:
        events.update(tally.events)
    return {
        "sent": sum(tally.sent for tally in tallies),
        "received": sum(tally.received for tally in tallies),
        "reply_frames": len(late),
        "audio_frames_ever": sum(len(arrivals) for tally in tallies for arrivals in tally.arrivals.values()),
        "late_p50_ms": percentile(late, 0.5) * 1000,
        "late_p99_ms": percentile(late, 0.99) * 1000,
        "late_max_ms": max(late, default=0.0) * 1000,
        "generator_late_p99_ms": percentile(send_late, 0.99) * 1000,
        "answers": sum(len(tally.arrivals) for tally in tallies),
        "lost": sum(tally.lost for tally in tallies),
        "events": dict(events),
    }


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("url")
    options.add_argument("--sessions", type=int, default=100)
    options.add_argument("--relay", action="store_true", help="the other end echoes and is no service")
    given = options.parse_args()
    print(json.dumps(uvloop.run(run(given.url, given.sessions, given.relay))), flush=True)


if __name__ == "__main__":
    main()
