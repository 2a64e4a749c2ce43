"""A conversation through openai-agents: a spoken turn, a tool call, a barge-in, all as the SDK does them by itself.

openai_agents.py URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout, one a line.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from agents import function_tool
from agents.realtime import (
    RealtimeAgent,
    RealtimeModelEvent,
    RealtimeModelListener,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionModelSettings,
)

CHUNK_BYTES, CHUNK_S = 960, 0.02


@function_tool
def get_weather(city: str) -> str:
    """Get the weather of a city."""
    return f"sunny, 21 degrees ({city})"


class Progress(RealtimeModelListener):
    """Prints the frames and says what comes next."""

    def __init__(self, speech: dict[str, bytes]) -> None:
        self._speech = speech
        self._answers = self._deltas = 0
        self.pending = b""
        self.is_over = asyncio.Event()

    async def on_event(self, event: RealtimeModelEvent) -> None:
        if event.type == "raw_server_event":
            sys.stdout.write(json.dumps(event.data) + "\n")
            self._note(event.data)

    def _note(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "session.updated" if not self._answers and not self.pending:
                self.pending = self._speech["greeting"]
            case "response.output_audio.delta":
                self._deltas += 1
                if self._answers == 3 and self._deltas == 10:
                    self.pending = self._speech["stop"]
            case "response.done":
                self._answers, self._deltas = self._answers + 1, 0
                if self._answers in (1, 3):
                    self.pending = self._speech["weather" if self._answers == 1 else "story"]
                if self._answers == 5:
                    self.is_over.set()


async def listen(session: RealtimeSession) -> None:
    async for event in session:
        if event.type == "error":
            raise RuntimeError(str(event.error))


async def speak(session: RealtimeSession, progress: Progress) -> None:
    due_s = time.monotonic()
    while True:
        chunk, progress.pending = progress.pending[:CHUNK_BYTES], progress.pending[CHUNK_BYTES:]
        await session.send_audio(chunk.ljust(CHUNK_BYTES, b"\0"))
        due_s += CHUNK_S
        await asyncio.sleep(max(due_s - time.monotonic(), 0))


async def converse(url: str, model: str, key: str, speech: dict[str, bytes]) -> None:
    progress = Progress(speech)
    agent = RealtimeAgent(name="host", instructions="Be brief.", tools=[get_weather])
    settings: RealtimeSessionModelSettings = {"model_name": model}
    runner = RealtimeRunner(agent)
    session = await runner.run(
        model_config={"api_key": key, "url": f"{url}?model={model}", "initial_model_settings": settings}
    )
    session.model.add_listener(progress)
    async with session:
        tasks = [asyncio.create_task(listen(session)), asyncio.create_task(speak(session, progress))]
        over = asyncio.create_task(progress.is_over.wait())
        await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # one that ended before the conversation did failed
            task.cancel()


def main() -> None:
    url, model, key, folder = sys.argv[1:]
    speech = {path.stem: path.read_bytes() for path in Path(folder).glob("*.pcm")}
    asyncio.run(converse(url, model, key, speech))


if __name__ == "__main__":
    main()
