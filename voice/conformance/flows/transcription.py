"""What the caller said, written down: in a conversation, and in sessions that do nothing else (contract 3.3, 3.5)."""

from functools import partial

from voice.conformance.client import Client
from voice.conformance.contract import AUDIO_RESPONSE, ITEM, SPEECH, TRANSCRIPTION
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import NotServed, check, equal

_DELTA, _COMPLETED = TRANSCRIPTION
_FAILED = "conversation.item.input_audio_transcription.failed"
_SEGMENT = "conversation.item.input_audio_transcription.segment"
_BUFFER = ("session.updated", "input_audio_buffer.committed", *ITEM)

flow = partial(
    any_flow,
    family="transcription",
    needs_speech=True,
    sends=("session.update", "input_audio_buffer.append", "input_audio_buffer.commit"),
)


async def _commit(client: Client) -> str:
    await client.append(client.speech.pcm)
    await client.send("input_audio_buffer.commit")
    item_id: str = (await client.expect("input_audio_buffer.committed"))["item_id"]
    return item_id


async def _transcribed(client: Client, item_id: str) -> None:
    """Wait for the transcript and look at it."""
    frame = await client.expect(_COMPLETED, _FAILED)
    check(frame["type"] == _COMPLETED, "the transcription failed", frame)
    equal("item_id", frame["item_id"], item_id, frame)
    check(frame["transcript"].strip(), "the transcript is empty", frame)
    usage = frame["usage"]
    if usage["type"] == "tokens":
        equal("usage.total_tokens", usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"], frame)
    joined = "".join(each.get("delta") or "" for each in client.of(_DELTA) if each["item_id"] == item_id)
    check(not joined or joined.strip() == frame["transcript"].strip(), f"the deltas join to {joined!r}", frame)


@flow("transcript of a turn", shows=(*_BUFFER, *TRANSCRIPTION))
async def transcript(client: Client) -> None:
    """The caller's words come as deltas and then whole, with their usage."""
    transcription = {"model": "gpt-4o-mini-transcribe", "language": "en"}
    await client.update(audio={"input": {"turn_detection": None, "transcription": transcription}})
    await _transcribed(client, await _commit(client))


@flow("no transcript wanted", shows=_BUFFER)
async def not_wanted(client: Client) -> None:
    """Without `transcription` nothing is written down for the client."""
    await client.update(audio={"input": {"turn_detection": None, "transcription": None}})
    await _commit(client)
    await client.quiet(*TRANSCRIPTION, _FAILED)


@flow(
    "transcript beside the answer",
    sends=("session.update", "input_audio_buffer.append"),
    shows=("session.updated", *SPEECH, _COMPLETED, *AUDIO_RESPONSE),
    may=(_DELTA,),
)
async def beside_the_answer(client: Client) -> None:
    """With turn detection, the transcript comes anywhere after the commit and never holds the answer up."""
    await client.update(audio={"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}})
    async with client.microphone() as microphone:
        microphone.say(client.speech)
        committed = await client.expect("input_audio_buffer.committed")
        done = await client.response_done()
        equal("response.status", done["status"], "completed", client.last)
        if not client.of(_COMPLETED):
            await client.expect(_COMPLETED)
    frame = client.of(_COMPLETED)[-1]
    equal("item_id", frame["item_id"], committed["item_id"], frame)


@flow("log probabilities", shows=(*_BUFFER, _COMPLETED), may=(_DELTA, "error"))
async def log_probabilities(client: Client) -> None:
    """`include` asks for the log probability of each token of a transcript (contract 3.2)."""
    await client.update(
        include=["item.input_audio_transcription.logprobs"],
        audio={"input": {"turn_detection": None, "transcription": {"model": "gpt-4o-transcribe"}}},
    )
    await _commit(client)
    frame = await client.expect(_COMPLETED)
    if not frame.get("logprobs"):
        raise NotServed("the transcript comes without log probabilities")


@flow("speakers", shows=(*_BUFFER, _SEGMENT), may=(*TRANSCRIPTION, "error"))
async def speakers(client: Client) -> None:
    """A diarising model tells who says what, segment by segment (contract 4.2)."""
    detection = {"turn_detection": None, "transcription": {"model": "gpt-4o-transcribe-diarize"}}
    await client.send("session.update", session={"type": "realtime", "audio": {"input": detection}})
    frame = await client.expect("session.updated", "error")
    if frame["type"] == "error":
        raise NotServed(f"diarisation is refused: {frame['error']['message']}")
    item_id = await _commit(client)
    frame = await client.expect(_SEGMENT, _COMPLETED, _FAILED)
    if frame["type"] != _SEGMENT:
        raise NotServed("no segment comes with a diarising model")
    equal("item_id", frame["item_id"], item_id, frame)
    check(0 <= frame["start"] < frame["end"], f"the segment goes from {frame['start']} to {frame['end']} s", frame)


@flow("a transcription that fails", shows=(*_BUFFER, _FAILED), may=(*TRANSCRIPTION, "error"))
async def failing(client: Client) -> None:
    """A model that nobody has cannot write anything down: the item stays, and the client hears why."""
    detection = {"turn_detection": None, "transcription": {"model": "conformance-no-such-model"}}
    await client.send("session.update", session={"type": "realtime", "audio": {"input": detection}})
    frame = await client.expect("session.updated", "error")
    if frame["type"] == "error":
        raise NotServed(f"an unknown transcription model is refused at once: {frame['error']['message']}")
    item_id = await _commit(client)
    frame = await client.expect(_FAILED, _COMPLETED)
    if frame["type"] == _COMPLETED:
        raise NotServed("an unknown transcription model is served by another")
    equal("item_id", frame["item_id"], item_id, frame)
    check(frame["error"].get("message"), "error.message is missing", frame)


@flow(
    "transcription session",
    shows=("session.updated", "input_audio_buffer.committed", *ITEM, _COMPLETED),
    may=(*TRANSCRIPTION, "error"),
    query={"intent": "transcription", "model": None},
)
async def transcription_session(client: Client) -> None:
    """`?intent=transcription`: buffer, items and transcripts, and never a response (contract 3.3)."""
    session = client.last["session"]
    equal("session.type", session["type"], "transcription", client.last)
    equal("session.object", session["object"], "realtime.transcription_session", client.last)
    settings = {"turn_detection": None, "transcription": {"model": "gpt-4o-mini-transcribe"}}
    await client.send("session.update", session={"type": "transcription", "audio": {"input": settings}})
    updated = await client.expect("session.updated")
    equal("session.type", updated["session"]["type"], "transcription", updated)
    await _transcribed(client, await _commit(client))
    await client.send("response.create")
    error = await client.expect("error", "response.created")
    check(error["type"] == "error", "a transcription session answers", error)
