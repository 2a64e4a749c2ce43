"""The caller speaks while the agent does (contract 4.7), and what was not heard is cut."""

import base64
from functools import partial

from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_RESPONSE, SPEECH
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import Skipped, check, equal

flow = partial(any_flow, family="barge_in", needs_speech=True)

_STARTED = "input_audio_buffer.speech_started"


async def _long_answer(client: Client) -> Frame:
    """Let it begin a long answer; return the response as it was created, its first audio has come."""
    await client.say_text("Tell me a long story.")
    response = await client.respond()
    await client.expect("response.output_audio.delta")
    return response


@flow(
    "interrupt an answer",
    sends=("response.create", "input_audio_buffer.append", "conversation.item.truncate"),
    shows=(*SPEECH, *AUDIO_RESPONSE, "conversation.item.truncated"),
)
async def interrupt(client: Client) -> None:
    """Speech over a running answer cancels it: `turn_detected`, its item incomplete, then the client truncates."""
    response = await _long_answer(client)
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        first = await client.expect(_STARTED, "response.done")
        if first["type"] == "response.done":
            raise Skipped("the answer was made faster than it could be interrupted")
        done = await client.response_done(response["id"])
        frame = client.last
        equal("response.status", done["status"], "cancelled", frame)
        details = {"type": "cancelled", "reason": "turn_detected"}
        equal("response.status_details", done["status_details"], details, frame)
        item = done["output"][-1]
        equal("item.status", item["status"], "incomplete", frame)
        await client.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=100)
        cut = await client.expect("conversation.item.truncated")
        equal("audio_end_ms", cut["audio_end_ms"], 100, cut)
        answer = await client.expect("response.created")
        await client.response_done(answer["response"]["id"])
    after = client.frames.index(frame)
    late = [each for each in client.frames[after:] if each.get("response_id") == response["id"]]
    check(not late, "events of the cancelled response came after its end", late[0] if late else None)


@flow(
    "interrupt what is still playing",
    sends=("response.create", "input_audio_buffer.append", "conversation.item.truncate"),
    shows=(*SPEECH, *AUDIO_RESPONSE, "conversation.item.truncated"),
)
async def interrupt_playing(client: Client) -> None:
    """The answer is made and the client still plays it: nothing is cancelled, no error, only the client truncates."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond()
    done = await client.response_done(response["id"])
    item_id = done["output"][-1]["id"]
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        await client.expect(_STARTED)
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=150)
        await client.expect("conversation.item.truncated")
        answer = await client.expect("response.created")
        await client.response_done(answer["response"]["id"])
    ends = [frame for frame in client.of("response.done") if frame["response"]["id"] == response["id"]]
    equal("response.done", len(ends), 1, ends[-1])


@flow(
    "not to be interrupted",
    sends=("session.update", "response.create", "input_audio_buffer.append"),
    shows=("session.updated", *SPEECH, *AUDIO_RESPONSE),
)
async def not_interrupted(client: Client) -> None:
    """With `interrupt_response: false` speech over an answer is a turn, and the answer goes on to its end."""
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    await client.update(audio={"input": {"turn_detection": detection}})
    response = await _long_answer(client)
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        await client.expect("input_audio_buffer.committed")
    done = [frame["response"] for frame in client.of("response.done")]
    found = done[0] if done else await client.response_done(response["id"])
    equal("response.status", found["status"], "completed", client.last)


@flow(
    "truncate",
    needs_speech=False,
    sends=("response.create", "conversation.item.truncate", "conversation.item.retrieve"),
    shows=(*AUDIO_RESPONSE, "conversation.item.truncated", "conversation.item.retrieved"),
)
async def truncate(client: Client) -> None:
    """Truncating cuts the audio and takes the transcript away (contract 4.7)."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond()
    item_id = (await client.response_done(response["id"]))["output"][-1]["id"]
    await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=100)
    cut = await client.expect("conversation.item.truncated")
    equal("truncated", (cut["item_id"], cut["content_index"], cut["audio_end_ms"]), (item_id, 0, 100), cut)
    await client.send("conversation.item.retrieve", item_id=item_id)
    frame = await client.expect("conversation.item.retrieved")
    part = frame["item"]["content"][0]
    equal("part.type", part["type"], "output_audio", frame)
    check(not part.get("transcript"), "the truncated item still has its transcript", frame)
    audio_ms = len(base64.b64decode(part.get("audio") or "")) / 48
    check(audio_ms <= 101, f"the truncated item still has {audio_ms:.0f} ms of audio", None)


@flow(
    "stop button",
    needs_speech=False,
    sends=("response.create", "response.cancel", "conversation.item.truncate"),
    shows=("response.created", "response.done"),
    may=(*AUDIO_RESPONSE, "conversation.item.truncated", "error"),
)
async def stop_button(client: Client) -> None:
    """A client stops the answer by itself: cancel, then truncate at what was heard."""
    response = await _long_answer(client)
    await client.send("response.cancel")
    done = await client.cancelled(response["id"])
    frame = client.last
    equal("response.status", done["status"], "cancelled", frame)
    equal("reason", done["status_details"]["reason"], "client_cancelled", frame)
    item_id = done["output"][-1]["id"]
    await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=50)
    await client.expect("conversation.item.truncated")
