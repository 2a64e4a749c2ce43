"""Speech without turn detection: the client says when a turn is over (contract 4.6), in each format of the wire."""

import base64
from collections.abc import Callable
from functools import partial

import numpy as np

from voice.audio.frames import CORE_RATE_HZ
from voice.audio.g711 import pcm_to_alaw, pcm_to_ulaw
from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_RESPONSE, ITEM, SPEECH
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import check, equal

_BUFFER = ("input_audio_buffer.committed", *ITEM)

flow = partial(
    any_flow,
    family="push_to_talk",
    needs_speech=True,
    sends=("session.update", "input_audio_buffer.append", "input_audio_buffer.commit"),
)

_NOISE_LEVEL = 500.0
"""Effective value of the noise, in units of a 16-bit sample."""

_TOLERANCE_MS = 120
"""What resampling may take from or add to the length of a turn."""


async def _committed(client: Client) -> Frame:
    """Commit and return the item, once it is done."""
    await client.send("input_audio_buffer.commit")
    committed = await client.expect("input_audio_buffer.committed")
    added, done = await client.sequence(*ITEM)
    equal("item.id", added["item"]["id"], committed["item_id"], added)
    equal("previous_item_id", added["previous_item_id"], committed["previous_item_id"], added)
    item: Frame = done["item"]
    equal("item.role", item["role"], "user", done)
    equal("item.status", item["status"], "completed", done)
    equal("content types", [part["type"] for part in item["content"]], ["input_audio"], done)
    check(not item["content"][0].get("audio"), "the item holds audio; only retrieved ones do", done)
    return item


@flow("push to talk", shows=("session.updated", *_BUFFER, *AUDIO_RESPONSE))
async def push_to_talk(client: Client) -> None:
    """Append, commit, ask for the answer: no speech events, and no response by itself."""
    await client.update(audio={"input": {"turn_detection": None}})
    await client.append(client.speech.pcm)
    await _committed(client)
    await client.quiet("response.created", *SPEECH[:2])
    response = await client.respond()
    done = await client.response_done(response["id"])
    equal("response.status", done["status"], "completed", client.last)
    check(done["usage"]["input_token_details"]["audio_tokens"] > 0, "usage counts no audio input", client.last)


@flow(
    "clear the buffer",
    sends=("input_audio_buffer.append", "input_audio_buffer.clear", "input_audio_buffer.commit"),
    shows=("session.updated", "input_audio_buffer.cleared", "error"),
)
async def clear(client: Client) -> None:
    """`input_audio_buffer.clear` drops what was not committed."""
    await client.update(audio={"input": {"turn_detection": None}})
    await client.append(client.speech.pcm)
    await client.send("input_audio_buffer.clear")
    await client.expect("input_audio_buffer.cleared")
    await client.send("input_audio_buffer.commit")
    error = await client.expect("error")
    equal("error.code", error["error"]["code"], "input_audio_buffer_commit_empty", error)


@flow(
    "retrieve what was said",
    sends=("input_audio_buffer.append", "conversation.item.retrieve"),
    shows=("session.updated", *_BUFFER, "conversation.item.retrieved"),
)
async def retrieve(client: Client) -> None:
    """A retrieved item shows its audio, as long as what was appended (contract 4.13)."""
    await client.update(audio={"input": {"turn_detection": None}})
    await client.append(client.speech.pcm)
    item = await _committed(client)
    await check_audio(client, item["id"])


async def check_audio(client: Client, item_id: str) -> None:
    """Retrieve a user's item, and compare the length of its audio with what was said."""
    await client.send("conversation.item.retrieve", item_id=item_id)
    frame = await client.expect("conversation.item.retrieved")
    part = frame["item"]["content"][0]
    equal("part.type", part["type"], "input_audio", frame)
    check(part.get("audio"), "the retrieved item holds no audio", None)
    audio_ms = len(base64.b64decode(part["audio"])) / 2 * 1000 / CORE_RATE_HZ
    spoken_ms = client.speech.duration_ms
    check(
        abs(audio_ms - spoken_ms) <= _TOLERANCE_MS,
        f"{spoken_ms:.0f} ms were appended, the retrieved item is {audio_ms:.0f} ms long",
    )


@flow(
    "noise reduction",
    needs_speech=False,
    sends=("session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "conversation.item.retrieve"),
    shows=("session.updated", *_BUFFER, "conversation.item.retrieved"),
)
async def noise_reduction(client: Client) -> None:
    """With noise reduction, steady noise is much quieter in the retrieved item (contract 3.2, 4.13)."""
    await client.update(audio={"input": {"turn_detection": None, "noise_reduction": {"type": "far_field"}}})
    noise = np.random.default_rng(1).normal(0, _NOISE_LEVEL, 4 * CORE_RATE_HZ).astype("<i2")
    await client.append(noise.tobytes())
    item = await _committed(client)
    await client.send("conversation.item.retrieve", item_id=item["id"])
    frame = await client.expect("conversation.item.retrieved")
    heard = np.frombuffer(base64.b64decode(frame["item"]["content"][0].get("audio") or ""), "<i2")
    check(len(heard) > CORE_RATE_HZ, "the retrieved item holds no audio")
    level = float(np.sqrt(np.mean(heard[-CORE_RATE_HZ:].astype(np.float64) ** 2)))
    check(level < _NOISE_LEVEL / 2, f"noise of {_NOISE_LEVEL:.0f} came back as {level:.0f}")


def _declare_format(name: str, law: str, encode: Callable[[bytes], bytes]) -> None:
    async def play(client: Client) -> None:
        update = {"input": {"turn_detection": None, "format": {"type": name}}}
        session = await client.update(audio=update)
        equal("format", session["audio"]["input"]["format"], {"type": name}, client.last)
        await client.append(encode(client.speech.pcm_at(8_000)))
        item = await _committed(client)
        await client.send("conversation.item.retrieve", item_id=item["id"])
        frame = await client.expect("conversation.item.retrieved")
        check(frame["item"]["content"][0].get("audio"), "the retrieved item holds no audio")

    play.__doc__ = f"The caller's speech comes as {law} at 8 kHz."
    flow(
        f"{law} speech",
        sends=("session.update", "input_audio_buffer.append", "input_audio_buffer.commit"),
        shows=("session.updated", *_BUFFER, "conversation.item.retrieved"),
    )(play)


_declare_format("audio/pcmu", "μ-law", pcm_to_ulaw)
_declare_format("audio/pcma", "A-law", pcm_to_alaw)
