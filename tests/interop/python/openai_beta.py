"""A conversation through openai-python's client of the beta: a spoken turn, a tool call, a barge-in.

openai_beta.py URL MODEL KEY FOLDER: FOLDER holds what is said (24 kHz PCM); every frame goes to stdout, one a line.
"""

import json
import sys
from pathlib import Path
from typing import Any

from openai import OpenAI
from openai.resources.beta.realtime.realtime import RealtimeConnection
from openai_sync import WEATHER, Microphone  # type: ignore[import-not-found]  # it lies beside what is run

SESSION: Any = {
    "modalities": ["text", "audio"],
    "voice": "verse",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
    "tools": [WEATHER],
    "temperature": 0.7,
    "max_response_output_tokens": 1000,
}


def converse(connection: RealtimeConnection, speech: dict[str, bytes]) -> None:
    connection.session.update(session=SESSION)
    microphone = Microphone(connection)
    answers = deltas = 0
    playing: str | None = None
    for event in connection:
        sys.stdout.write(event.to_json(indent=None) + "\n")
        if event.type == "session.updated":
            assert event.session.voice == "verse"
            assert event.session.input_audio_format == "pcm16"
            microphone.start()
            microphone.say(speech["greeting"])
        elif event.type == "response.audio.delta":
            deltas, playing = deltas + 1, event.item_id
            if answers == 3 and deltas == 10:
                microphone.say(speech["stop"])
        elif event.type == "input_audio_buffer.speech_started" and answers == 3 and playing:
            connection.conversation.item.truncate(item_id=playing, content_index=0, audio_end_ms=500)
        elif event.type == "response.done":
            answers, deltas = answers + 1, 0
            for item in event.response.output or []:
                if item.type == "function_call":
                    city = json.loads(item.arguments or "")["city"]
                    output = f"sunny, 21 degrees ({city})"
                    connection.conversation.item.create(
                        item={"type": "function_call_output", "call_id": item.call_id or "", "output": output}
                    )
                    connection.response.create(response={"modalities": ["audio", "text"]})
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
    with client, client.beta.realtime.connect(model=model) as connection:
        converse(connection, speech)


if __name__ == "__main__":
    main()
