"""Turns that the server detects (contract 3.6, 4.6, 4.12)."""

from functools import partial

from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_RESPONSE, ITEM, SPEECH
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import check, equal

flow = partial(
    any_flow, family="vad", needs_speech=True, sends=("input_audio_buffer.append",), shows=(*SPEECH, *AUDIO_RESPONSE)
)


async def turn(client: Client) -> Frame:
    """Wait for a whole turn; return its `committed`. Raises: Failed where it is not as contract 4.6 has it."""
    started = await client.expect("input_audio_buffer.speech_started")
    stopped = await client.expect("input_audio_buffer.speech_stopped")
    equal("item_id", stopped["item_id"], started["item_id"], stopped)
    check(
        0 <= started["audio_start_ms"] < stopped["audio_end_ms"],
        f"the speech goes from {started['audio_start_ms']} to {stopped['audio_end_ms']} ms",
        stopped,
    )
    committed = await client.expect("input_audio_buffer.committed")
    added, done = await client.sequence(*ITEM)
    for frame, id in ((committed, committed["item_id"]), (added, added["item"]["id"]), (done, done["item"]["id"])):
        equal("item id", id, started["item_id"], frame)
    equal("item.role", done["item"]["role"], "user", done)
    return committed


@flow("spoken turn", may=("session.updated",))
async def spoken_turn(client: Client) -> None:
    """Speech, then silence: the server ends the turn and answers by itself."""
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        await turn(client)
        response = (await client.expect("response.created"))["response"]
        done = await client.response_done(response["id"])
    equal("response.status", done["status"], "completed", client.last)


@flow(
    "turn without an answer",
    sends=("session.update", "input_audio_buffer.append"),
    shows=("session.updated", *SPEECH, *ITEM),
    may=AUDIO_RESPONSE,
)
async def no_answer(client: Client) -> None:
    """With `create_response: false` the turn is committed, and the client asks for the answer."""
    await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
    await client.speak()
    await turn(client)
    await client.quiet("response.created")
    response = await client.respond()
    await client.response_done(response["id"])


@flow(
    "commit in the middle of speech",
    sends=("input_audio_buffer.append", "input_audio_buffer.commit"),
    shows=("session.updated", "input_audio_buffer.speech_started", "input_audio_buffer.committed", *ITEM),
    may=("input_audio_buffer.speech_stopped", *AUDIO_RESPONSE),
)
async def early_commit(client: Client) -> None:
    """A client's commit is legal with turn detection on, and ends the turn early (contract 4.6)."""
    detection = {"type": "server_vad", "create_response": False, "silence_duration_ms": 2000}
    await client.update(audio={"input": {"turn_detection": detection}})
    await client.speak(silence_ms=100)
    started = await client.expect("input_audio_buffer.speech_started")
    await client.send("input_audio_buffer.commit")
    committed = await client.expect("input_audio_buffer.committed")
    equal("item_id", committed["item_id"], started["item_id"], committed)
    await client.sequence(*ITEM)


@flow("semantic turn", sends=("session.update", "input_audio_buffer.append"), may=("session.updated",))
async def semantic_turn(client: Client) -> None:
    """`semantic_vad`: the turn ends when what was said is complete (contract 3.6)."""
    await client.update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        await turn(client)
        response = (await client.expect("response.created"))["response"]
        await client.response_done(response["id"])


@flow(
    "idle timeout",
    needs_speech=False,
    sends=("session.update",),
    shows=("session.updated", "input_audio_buffer.timeout_triggered", "input_audio_buffer.committed", *AUDIO_RESPONSE),
)
async def idle_timeout(client: Client) -> None:
    """Nobody speaks for `idle_timeout_ms`: the server commits the silence and answers it (contract 4.12)."""
    await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    async with client.microphone():
        await client.say_text("Say hello.")
        response = await client.respond()
        await client.response_done(response["id"])
        triggered = await client.expect("input_audio_buffer.timeout_triggered", timeout_s=30)
        committed = await client.expect("input_audio_buffer.committed")
        equal("item_id", committed["item_id"], triggered["item_id"], committed)
        length_ms = triggered["audio_end_ms"] - triggered["audio_start_ms"]
        check(4000 <= length_ms <= 9000, f"the silence is {length_ms} ms long", triggered)
        second = (await client.expect("response.created"))["response"]
        await client.response_done(second["id"])
