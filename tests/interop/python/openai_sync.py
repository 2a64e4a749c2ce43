"""A conversation through openai-python's synchronous client: a spoken turn, a tool call, a barge-in.

openai_sync.py URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout, one a line.
"""

import base64
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from openai import OpenAI
from openai.resources.realtime.realtime import RealtimeConnection

CHUNK_BYTES, CHUNK_S = 960, 0.02
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
SESSION: Any = {
    "type": "realtime",
    "tools": [WEATHER],
    "audio": {
        "input": {
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
        }
    },
}


class Microphone(threading.Thread):
    """Sends what is said at the pace of speech, and silence in between."""

    def __init__(self, connection: RealtimeConnection) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self._pending = b""
        self._is_off = threading.Event()

    def say(self, speech: bytes) -> None:
        self._pending = speech

    def run(self) -> None:
        due_s = time.monotonic()
        while not self._is_off.wait(max(due_s - time.monotonic(), 0)):
            chunk, self._pending = self._pending[:CHUNK_BYTES], self._pending[CHUNK_BYTES:]
            audio = base64.b64encode(chunk.ljust(CHUNK_BYTES, b"\0")).decode()
            self._connection.input_audio_buffer.append(audio=audio)
            due_s += CHUNK_S

    def off(self) -> None:
        self._is_off.set()
        self.join()


def converse(connection: RealtimeConnection, speech: dict[str, bytes]) -> None:
    connection.session.update(session=SESSION)
    microphone = Microphone(connection)
    answers = deltas = 0
    playing: str | None = None
    for event in connection:
        sys.stdout.write(event.to_json(indent=None) + "\n")
        if event.type == "session.updated":
            microphone.start()
            microphone.say(speech["greeting"])
        elif event.type == "response.output_audio.delta":
            deltas, playing = deltas + 1, event.item_id
            if answers == 3 and deltas == 10:
                microphone.say(speech["stop"])
        elif event.type == "input_audio_buffer.speech_started" and answers == 3 and playing:
            connection.conversation.item.truncate(item_id=playing, content_index=0, audio_end_ms=500)
        elif event.type == "response.done":
            answers, deltas = answers + 1, 0
            for item in event.response.output or []:
                if item.type == "function_call":
                    city = json.loads(item.arguments)["city"]
                    output: Any = {
                        "type": "function_call_output",
                        "call_id": item.call_id,
                        "output": f"sunny, 21 degrees ({city})",
                    }
                    connection.conversation.item.create(item=output)
                    connection.response.create()
            if answers in (1, 3):
                playing = None
                microphone.say(speech["weather" if answers == 1 else "story"])
            if answers == 5:
                break
    microphone.off()


def main() -> None:
    url, model, key, folder = sys.argv[1:]
    speech = {path.stem: path.read_bytes() for path in Path(folder).glob("*.pcm")}
    base = url.removesuffix("/realtime")
    client = OpenAI(api_key=key, base_url=base.replace("ws", "http", 1), websocket_base_url=base)
    with client, client.realtime.connect(model=model) as connection:
        converse(connection, speech)


if __name__ == "__main__":
    main()
