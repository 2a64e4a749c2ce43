"""Where the server plays (contract 4.7, 4.12): over WebRTC by a leg of the kit's own, or a live call that it joins.

A call that is joined (`?call_id=`) may be a phone's: then nobody speaks here, and a key is waited for.
"""

from functools import partial
from typing import TYPE_CHECKING

from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_RESPONSE, SPEECH
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import Failed, Skipped, check, equal

if TYPE_CHECKING:
    from voice.conformance.webrtc_wire import Mouth

flow = partial(any_flow, family="leg", on_leg=True)

RESPONSE = tuple(type for type in AUDIO_RESPONSE if type != "response.output_audio.delta")
"""Sound goes over the media path (contract 1.3)."""

_STARTED = "output_audio_buffer.started"
_STOPPED = "output_audio_buffer.stopped"
_CLEARED = "output_audio_buffer.cleared"
_LEAST_HEARD_MS = 300
_PATIENT = {"type": "server_vad", "silence_duration_ms": 700}
"""A pause inside the sentence must not make two turns of it: the second would cut the answer to the first."""


async def _audible(client: Client, text: str) -> Frame:
    """Ask for an answer; return the response as it was created, its sound has begun."""
    await client.say_text(text)
    response = await client.respond()
    await client.expect("response.content_part.added")
    frame = await client.expect(_STARTED)
    equal("response_id", frame["response_id"], response["id"], frame)
    return response


async def _cut(client: Client, response: Frame) -> None:
    """Check that what was not heard of a response is gone: cleared, and truncated by the server."""
    cleared = await client.expect(_CLEARED)
    equal("response_id", cleared["response_id"], response["id"], cleared)
    cut = await client.expect("conversation.item.truncated")
    (added,) = client.of("response.output_item.added", response_id=response["id"])
    equal("item_id", cut["item_id"], added["item"]["id"], cut)
    await client.quiet(_STOPPED)


@flow("playout", sends=("response.create",), shows=(*RESPONSE, _STARTED, _STOPPED))
async def playout(client: Client) -> None:
    """`started` behind the part, once; `stopped` when all was played, behind `response.done`."""
    response = await _audible(client, "Say hello in one short sentence.")
    await client.response_done(response["id"])
    frame = await client.expect(_STOPPED)
    equal("response_id", frame["response_id"], response["id"], frame)
    equal(_STARTED, len(client.of(_STARTED, response_id=response["id"])), 1, frame)
    leg = client.leg
    if leg is not None:
        check(leg.heard_ms >= _LEAST_HEARD_MS, f"only {leg.heard_ms:.0f} ms of sound came on the track", frame)


@flow(
    "stop what plays",
    sends=("response.create", "response.cancel", "output_audio_buffer.clear"),
    shows=("response.created", "response.done", _STARTED, _CLEARED, "conversation.item.truncated"),
    may=(*RESPONSE, "error"),
)
async def stop(client: Client) -> None:
    """The client's stop button: cancel, then clear; the server truncates at what was heard."""
    response = await _audible(client, "Tell me a long story.")
    await client.send("response.cancel")
    await client.send("output_audio_buffer.clear")
    frame = await client.expect("response.done", "error")
    if frame["type"] == "error":  # it was made already and only plays (contract 4.8)
        equal("error.code", frame["error"]["code"], "response_cancel_not_active", frame)
    else:
        equal("response.status", frame["response"]["status"], "cancelled", frame)
        equal("reason", frame["response"]["status_details"]["reason"], "client_cancelled", frame)
    await _cut(client, response)


@flow(
    "spoken turn on a leg",
    needs_speech=True,
    sends=("session.update",),
    shows=("session.updated", *SPEECH, *RESPONSE, _STARTED, _STOPPED),
)
async def spoken_turn(client: Client) -> None:
    """What is said on the track is a turn, and its answer is played."""
    mouth = _mouth(client)
    await client.update(audio={"input": {"turn_detection": _PATIENT}})
    mouth.say(client.speech)
    started, stopped, committed = await client.sequence(*SPEECH)
    for frame in (stopped, committed):
        equal("item_id", frame["item_id"], started["item_id"], frame)
    response = (await client.expect("response.created"))["response"]
    await client.response_done(response["id"])
    await client.expect(_STOPPED)


@flow(
    "interrupt on a leg",
    needs_speech=True,
    sends=("session.update", "response.create"),
    shows=(
        "session.updated",
        *SPEECH,
        "response.created",
        "response.done",
        _STARTED,
        _CLEARED,
        "conversation.item.truncated",
    ),
    may=(*RESPONSE, _STOPPED),
)
async def interrupt(client: Client) -> None:
    """Speech over an answer: the server flushes, truncates at what was heard, and cancels what is not made yet."""
    mouth = _mouth(client)
    await client.update(audio={"input": {"turn_detection": _PATIENT}})
    response = await _audible(client, "Tell me a long story.")
    mouth.say(client.speech)
    await client.expect("input_audio_buffer.speech_started")
    await _cut(client, response)
    answer = (await client.expect("response.created"))["response"]
    await client.response_done(answer["id"])
    (done,) = [each for each in client.of("response.done") if each["response"]["id"] == response["id"]]
    if done["response"]["status"] != "completed":
        equal("reason", done["response"]["status_details"]["reason"], "turn_detected", done)


@flow("keys", shows=("input_audio_buffer.dtmf_event_received",), may=(*RESPONSE, *SPEECH))
async def keys(client: Client) -> None:
    """A key pressed on a phone, while this runs, is an event (contract 4.12)."""
    if client.leg is not None:
        raise Skipped("only a phone leg shows it: join a call with ?call_id=, and press a key")
    try:
        frame = await client.expect("input_audio_buffer.dtmf_event_received")
    except Failed:
        raise Skipped(f"nobody pressed a key within {client.settings.timeout_s:.0f} s") from None
    check(frame["event"] in tuple("0123456789*#ABCD"), "that is no key", frame)
    check(isinstance(frame["received_at"], int), "received_at is no whole number", frame)


def _mouth(client: Client) -> "Mouth":
    if client.leg is None:
        raise Skipped("on a call that is joined nobody speaks here")
    return client.leg.mouth
