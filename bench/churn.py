"""Sessions come and go: memory, tasks and descriptors of the service must return to where they were.

Of every ten sessions four end well after an answer, three break off in mid-answer, two hang up in mid-speech, and one
is held by a client process that is killed with -9 in mid-answer.
"""

import argparse
import asyncio
import base64
import json
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.harness import Outcome, ProcessFigures, emit, look_at, parser, progress, say, scripted_service
from bench.scripts import SHORT_ANSWER
from voice.talk.service import ServiceProcess

AT_A_TIME = 20
KILLED_TOGETHER = 25
WARM_SESSIONS = 200
CHUNK_BYTES = 9_600
"""200 ms at 24 kHz."""


@dataclass(frozen=True, slots=True)
class Look:
    """The service at one moment."""

    process: ProcessFigures
    tasks: int | None
    """asyncio tasks, where the service tells them."""
    active: int | None


def main() -> None:
    """Run it."""
    options = parser(__doc__)
    options.add_argument("--sessions", type=int, default=1000, help="how many come and go")
    options.add_argument("--die", metavar="URL", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.die:
        asyncio.run(_be_killed(given.die))
        return
    with scripted_service(SHORT_ANSWER) as service:
        url = f"{service.url}?model=bench"
        asyncio.run(churn(url, WARM_SESSIONS))
        before = settled(service)
        since_s = time.monotonic()
        asyncio.run(churn(url, given.sessions))
        took_s = time.monotonic() - since_s
        after = settled(service)
        asyncio.run(churn(url, given.sessions))
        again = settled(service)
    emit(outcome_of((before, after, again), given.sessions, took_s), given.json)


async def churn(url: str, sessions: int) -> None:
    """Open, use and drop that many sessions."""
    speech = _speech()
    kinds = (answer, answer, answer, answer, break_off, break_off, break_off, hang_up, hang_up)
    killed = sessions // 10
    room = asyncio.Semaphore(AT_A_TIME)

    async def one(number: int) -> None:
        async with room:
            await kinds[number % len(kinds)](url, speech)

    for start in range(0, killed, KILLED_TOGETHER):
        await asyncio.to_thread(_kill_clients, url, min(KILLED_TOGETHER, killed - start))
    await asyncio.gather(*(one(number) for number in range(sessions - killed)))
    progress(f"{sessions} sessions have come and gone")


async def answer(url: str, speech: list[str]) -> None:
    """A session that ends as it should."""
    async with connect(url, compression=None, max_size=None) as socket:
        await _ask(socket, speech)
        await _until(socket, '"response.done"')


async def break_off(url: str, speech: list[str]) -> None:
    """A client that is gone in mid-answer, without a close frame."""
    socket = await connect(url, compression=None, max_size=None)
    await _ask(socket, speech)
    await _until(socket, '"response.output_audio.delta"')
    socket.transport.abort()
    await socket.wait_closed()


async def hang_up(url: str, speech: list[str]) -> None:
    """A client that hangs up in mid-speech."""
    async with connect(url, compression=None, max_size=None) as socket:
        for message in speech[: len(speech) // 2]:
            await socket.send(message)


async def _ask(socket: ClientConnection, speech: list[str]) -> None:
    """Push to talk, so that no time has to pass."""
    detection = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    await socket.send(json.dumps({"type": "session.update", "session": detection}))
    for message in speech:
        await socket.send(message)
    await socket.send('{"type":"input_audio_buffer.commit"}')
    await socket.send('{"type":"response.create"}')


async def _until(socket: ClientConnection, kind: str) -> None:
    async with asyncio.timeout(60):
        async for message in socket:
            if kind in str(message)[:300]:
                return


def _speech() -> list[str]:
    pcm = say("One question, please.").pcm
    chunks = (pcm[start : start + CHUNK_BYTES] for start in range(0, len(pcm), CHUNK_BYTES))
    return [json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(c).decode()}) for c in chunks]


def _kill_clients(url: str, sessions: int) -> None:
    command = [sys.executable, "-m", "bench.churn", "--sessions", str(sessions), "--die", f"{url}&count={sessions}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()


async def _be_killed(url: str) -> None:
    """Hold sessions in mid-answer until the end comes."""
    url, _, count = url.rpartition("&count=")
    speech = _speech()
    sockets = [await connect(url, compression=None, max_size=None) for _ in range(int(count))]
    for socket in sockets:
        await _ask(socket, speech)
    for socket in sockets:
        await _until(socket, '"response.output_audio.delta"')
    print("in mid-answer", flush=True)
    await asyncio.gather(*(_until(socket, "never") for socket in sockets), return_exceptions=True)
    raise ConnectionClosed(None, None)


def settled(service: ServiceProcess, patience_s: float = 30) -> Look:
    """Look at the service once its sessions are gone and a moment has passed."""
    deadline_s = time.monotonic() + patience_s
    while (active := _metric(service, "voice_sessions")) and time.monotonic() < deadline_s:
        time.sleep(0.2)
    time.sleep(2.0)
    tasks = _metric(service, "tasks")
    return Look(look_at(service.pid), None if tasks is None else int(tasks), None if active is None else int(active))


def _metric(service: ServiceProcess, name: str) -> float | None:
    """Return the gauge whose name ends so, summed over its labels; None where there is none."""
    with urllib.request.urlopen(f"{service.http_url}/metrics", timeout=5) as answered:
        text = answered.read().decode()
    found = re.findall(rf"^\w*{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for value in found) if found else None


def outcome_of(looks: tuple[Look, Look, Look], sessions: int, took_s: float) -> Outcome:
    """Make the table."""
    outcome = Outcome(f"{sessions} sessions come and go", ("", "RSS MB", "tasks", "descriptors", "sessions open"))
    for name, look in zip(("before", f"after {sessions}", f"after {2 * sessions}"), looks, strict=True):
        megabytes = look.process.rss_bytes / 1e6
        outcome.rows.append((name, megabytes, look.tasks, look.process.descriptors, look.active))
        outcome.figures[name] = {
            "rss_mb": megabytes,
            "tasks": look.tasks,
            "descriptors": look.process.descriptors,
            "sessions_open": look.active,
        }
    outcome.figures["seconds"] = took_s
    outcome.notes.append(f"before: {WARM_SESSIONS} sessions had been served; {sessions} took {took_s:.0f} s")
    return outcome


if __name__ == "__main__":
    main()
