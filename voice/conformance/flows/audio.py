"""Answers in audio, in each of the formats of the wire (contract 3.2, 4.5)."""

import base64
from collections.abc import Callable
from functools import partial

from voice.audio.g711 import alaw_to_pcm, ulaw_to_pcm
from voice.audio.levels import peak_dbfs
from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_RESPONSE
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import check, equal

flow = partial(any_flow, family="audio", sends=("response.create",), shows=AUDIO_RESPONSE)

_MAX_DELTA_CHARS = 140_000
"""Contract 2.4 asks for about 100 KiB: some clients take no frame above 8 MiB, all are quicker with small ones."""

_SILENCE_DBFS = -60.0


def audio_of(client: Client, response_id: str) -> bytes:
    """Return all audio of a response. Raises: Failed for what is not base64."""
    payload = bytearray()
    for frame in client.of("response.output_audio.delta", response_id=response_id):
        check(len(frame["delta"]) <= _MAX_DELTA_CHARS, f"a delta has {len(frame['delta'])} characters")
        try:
            payload += base64.b64decode(frame["delta"], validate=True)
        except ValueError:
            check(False, "delta is not base64", frame)
    return bytes(payload)


async def _answer(client: Client) -> tuple[Frame, bytes]:
    """Let it answer a written question in audio; return the response as it was done, and its audio."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond()
    done = await client.response_done(response["id"])
    equal("response.status", done["status"], "completed", client.last)
    return done, audio_of(client, response["id"])


@flow("audio answer")
async def audio_answer(client: Client) -> None:
    """A spoken answer with its transcript, in the order of contract 4.5."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond()
    equal("response.output_modalities", response["output_modalities"], ["audio"], client.last)
    part = await client.expect("response.content_part.added")
    equal("part.type", part["part"]["type"], "audio", part)
    ended = await client.expect("response.content_part.done")
    item = await client.expect("response.output_item.done")
    transcripts = client.of("response.output_audio_transcript.done", response_id=response["id"])
    equal("transcripts", len(transcripts), 1, ended)
    transcript = transcripts[0]["transcript"]
    equal("part.transcript", ended["part"].get("transcript"), transcript, ended)
    content = item["item"]["content"]
    equal("content types", [part["type"] for part in content], ["output_audio"], item)
    equal("item transcript", content[0].get("transcript"), transcript, item)
    check(not content[0].get("audio"), "the item holds audio; only retrieved ones do", item)
    done = await client.response_done(response["id"])
    check(done["usage"]["output_token_details"]["audio_tokens"] > 0, "usage counts no audio", client.last)
    audio = audio_of(client, response["id"])
    check(len(audio) % 2 == 0, f"the audio has {len(audio)} bytes: half a sample is missing")
    check(len(audio) >= 9_600, f"the audio is {len(audio) / 48:.0f} ms long")
    check(peak_dbfs(audio) > _SILENCE_DBFS, "the audio is silent")


def _declare_format(name: str, law: str, decode: Callable[[bytes], bytes]) -> None:
    async def play(client: Client) -> None:
        session = await client.update(audio={"output": {"format": {"type": name}}})
        equal("format", session["audio"]["output"]["format"], {"type": name}, client.last)
        done, audio = await _answer(client)
        equal("response format", done["audio"]["output"]["format"], {"type": name}, client.last)
        pcm = decode(audio)
        check(len(audio) >= 1_600, f"the audio is {len(audio) / 8:.0f} ms long")
        check(peak_dbfs(pcm) > _SILENCE_DBFS, "the audio is silent")

    play.__doc__ = f"The answer comes as {law} at 8 kHz, one octet a sample (contract 3.2)."
    flow(f"{law} answer", sends=("session.update", "response.create"), may=("session.updated",))(play)


_declare_format("audio/pcmu", "μ-law", ulaw_to_pcm)
_declare_format("audio/pcma", "A-law", alaw_to_pcm)


@flow("voice is fixed", sends=("session.update",), may=("session.updated", "error"))
async def voice_is_fixed(client: Client) -> None:
    """Once the agent has spoken its voice stays; the same one again is taken (contract 3.2)."""
    voice = client.last["session"]["audio"]["output"]["voice"]
    await _answer(client)
    await client.update(audio={"output": {"voice": voice}})
    other = "cedar" if voice != "cedar" else "marin"
    event_id = await client.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": other}}})
    error = await client.expect("error", "session.updated")
    check(error["type"] == "error", "another voice was taken although the agent has spoken", error)
    equal("error.code", error["error"]["code"], "cannot_update_voice", error)
    check(error["error"]["event_id"] in (event_id, None), "error.event_id is not the client's", error)


@flow("two spoken answers")
async def two_spoken_answers(client: Client) -> None:
    """Audio in one response, its words as input of the next: two turns in one conversation."""
    first, _ = await _answer(client)
    second, _ = await _answer(client)
    check(first["id"] != second["id"], "two responses have one id", client.last)
    check(
        second["usage"]["input_tokens"] > first["usage"]["input_tokens"],
        "the second answer counts no more input than the first: the context is missing",
        client.last,
    )
