"""Translation sessions: continuous, without turns, items or responses (contract 3.8, 4.14)."""

import asyncio
import base64
import json

from voice.conformance.flow import request
from voice.conformance.flows.sideband import Listener
from voice.conformance.target import Target
from voice.conformance.verdict import Failed, Frame, NotServed, check, equal
from voice.conformance.wire import Refused, WireClosed

_MODEL = "gpt-realtime-translate"
_APPEND_BYTES = 9_600
"""200 ms, as the contract prefers."""
_EVENTS = (
    "session.created",
    "session.updated",
    "session.input_transcript.delta",
    "session.output_transcript.delta",
    "session.output_audio.delta",
    "session.closed",
    "error",
)


@request("translation session", family="translation", kind="flow", needs_speech=True, timeout_s=90.0)
async def translation(target: Target) -> None:
    """Speech goes in and speech of another language comes out, until `session.close` (contract 4.14)."""
    try:
        wire = await target.open({"model": _MODEL}, path="/realtime/translations")
    except Refused as error:
        raise NotServed(f"translation sessions are refused: {error}") from None
    client = Listener(target, wire)
    try:
        created = await client.until("session.created")
        equal("session.type", created["session"]["type"], "translation", created)
        await client.send("session.update", session={"audio": {"output": {"language": "es"}}})
        updated = await client.until("session.updated")
        equal("language", updated["session"]["audio"]["output"]["language"], "es", updated)
        await _speak(target, client)
        await client.send("session.close")
        await client.until("session.closed")
        _check(client.frames)
        await _closes(client)
    finally:
        await wire.aclose()


async def _speak(target: Target, client: Listener) -> None:
    """Append speech and the silence behind it."""
    pcm = (target.settings.speech.pcm if target.settings.speech is not None else b"") + bytes(48_000)
    for start in range(0, len(pcm), _APPEND_BYTES):
        audio = base64.b64encode(pcm[start : start + _APPEND_BYTES]).decode()
        await client.send("session.input_audio_buffer.append", audio=audio)
        await asyncio.sleep(0.05)


def _check(frames: list[Frame]) -> None:
    for frame in frames:
        check(frame["type"] in _EVENTS, f"{frame['type']} is no event of a translation session", frame)
        check(frame["type"] != "error", "an error came", frame)
        check(frame.get("event_id"), "event_id is missing", frame)
    kinds = {frame["type"] for frame in frames}
    check("session.output_audio.delta" in kinds, "no translated audio came")
    check("session.output_transcript.delta" in kinds, "no translated words came")


async def _closes(client: Listener) -> None:
    try:
        frame = json.loads(await client.wire.receive())
    except WireClosed:
        return
    raise Failed("the session went on after session.closed", frame)
