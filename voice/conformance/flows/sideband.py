"""Calls over WebRTC, and who joins one from aside (contract 1.3, 1.4, 2.1, 6)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from voice.conformance.flow import request as any_request
from voice.conformance.flows.items import message
from voice.conformance.target import Target, served
from voice.conformance.verdict import Failed, Frame, Skipped, check, equal
from voice.conformance.wire import Refused, Wire, WireClosed

if TYPE_CHECKING:
    from voice.conformance.webrtc_wire import WebRtcWire

request = partial(any_request, family="sideband")

_BROWSER = {
    "Origin": "https://kiosk.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
}


_TRIES = 20


class Listener:
    """Keeps every frame that a wire brings."""

    def __init__(self, target: Target, wire: Wire) -> None:
        self.frames: list[Frame] = []
        self.wire = wire
        self.timeout_s = target.settings.timeout_s

    async def until(self, type: str) -> Frame:
        """Read on to the next frame of that type. Raises: Failed."""
        try:
            async with asyncio.timeout(self.timeout_s):
                while True:
                    frame: Frame = json.loads(await self.wire.receive())
                    self.frames.append(frame)
                    if frame["type"] == type:
                        return frame
        except TimeoutError:
            raise Failed(f"{type} did not come", self.frames[-1] if self.frames else None) from None
        except WireClosed as error:
            raise Failed(f"the server hung up ({error}) before {type}") from None

    async def send(self, type: str, **fields: Any) -> None:
        """Send an event."""
        await self.wire.send(json.dumps({"type": type, **fields}))


@asynccontextmanager
async def _call(target: Target, session: Frame | None = None) -> AsyncIterator["WebRtcWire"]:
    """A call of our own. Raises: Skipped where the target is one that goes on already."""
    if target.is_call:
        raise Skipped("the target is a call of somebody else's")
    leg = await target.open_webrtc(session)
    try:
        yield leg
    finally:
        await leg.aclose()


@request("a call with its session")
async def call_with_session(target: Target) -> None:
    """Offer and session in one form: 201, the answer, its `Location`; a hang-up ends the call (contract 1.3, 1.4)."""
    async with _call(target, {"type": "realtime", "instructions": "Set with the offer."}) as leg:
        equal("status", leg.answer.status, 201, leg.answer.as_frame())
        equal("content-type", leg.answer.headers.get("content-type", "").partition(";")[0], "application/sdp")
        location = leg.answer.headers.get("location", "")
        check(f"/realtime/calls/{leg.call_id}" in location and leg.call_id, f"Location is {location!r}")
        created = await Listener(target, leg).until("session.created")
        equal("instructions", created["session"]["instructions"], "Set with the offer.", created)
        path = f"/realtime/calls/{leg.call_id}/hangup"
        answer = await target.call("POST", path)
        equal("status of the hang-up", answer.status, 200, answer.as_frame())
        try:
            async with asyncio.timeout(target.settings.timeout_s):
                while True:
                    await leg.receive()
        except WireClosed:
            pass
        await _gone(target, path)


async def _gone(target: Target, path: str) -> None:
    """Check that a call that was hung up is not found, which may take the server a moment. Raises: Failed."""
    answer = await target.call("POST", path)
    for _ in range(_TRIES):
        if answer.status != 200:
            break
        await asyncio.sleep(0.1)
        answer = await target.call("POST", path)
    equal("status of a second hang-up", answer.status, 404, answer.as_frame())


@request("preflight of a call")
async def preflight(target: Target) -> None:
    """A browser asks first whether it may send its offer from another origin (contract 1.3)."""
    answer = served(await target.call("OPTIONS", "/realtime/calls", headers=_BROWSER), "OPTIONS /realtime/calls")
    shown = {"status": answer.status, "headers": answer.headers}
    check(answer.status in (200, 204), f"status is {answer.status}", shown)
    allowed = answer.headers.get("access-control-allow-headers", "").lower()
    for name in _BROWSER["Access-Control-Request-Headers"].split(","):
        check(name in allowed or allowed == "*", f"{name} is not among the headers that are allowed", shown)
    check("access-control-allow-origin" in answer.headers, "no origin is allowed", shown)


@request("sidebands", kind="flow", timeout_s=90.0)
async def sidebands(target: Target) -> None:
    """Two join a call: both see every event in the same order, both steer, and neither ends it by leaving."""
    async with _call(target) as leg, AsyncExitStack() as stack:
        caller = Listener(target, leg)
        joined = []
        for _ in range(2):
            wire = await target.open({"call_id": leg.call_id, "model": None})
            stack.push_async_callback(wire.aclose)
            joined.append(Listener(target, wire))
        everyone = [caller, *joined]
        for each in everyone:
            await each.until("session.created")
            each.frames.clear()
        first, second = joined
        await first.send("session.update", session={"type": "realtime", "instructions": "Steered from aside."})
        for each in everyone:
            updated = await each.until("session.updated")
            equal("instructions", updated["session"]["instructions"], "Steered from aside.", updated)
        await second.send("conversation.item.create", item=message("user", "Say hello in one short sentence."))
        await second.send("response.create")
        for each in everyone:
            await each.until("output_audio_buffer.stopped")
        order = [frame["event_id"] for frame in first.frames]
        equal("the order of events at the second sideband", [frame["event_id"] for frame in second.frames], order)
        audio = [frame for frame in first.frames if frame["type"] == "response.output_audio.delta"]
        check(not audio, "audio goes to a sideband, whose call has it on the media path", audio[0] if audio else None)
        await first.wire.aclose()
        await second.send("session.update", session={"type": "realtime"})
        await second.until("session.updated")
        await target.call("POST", f"/realtime/calls/{leg.call_id}/hangup")
        await _closes(second)


@request("the caller leaves", kind="flow")
async def caller_leaves(target: Target) -> None:
    """When the media leg ends, so do its sidebands (contract 6, 8)."""
    async with _call(target) as leg:
        wire = await target.open({"call_id": leg.call_id, "model": None})
        await leg.aclose()
        await _closes(Listener(target, wire))


async def _closes(listener: Listener) -> None:
    """Check that the end of a call closes its sidebands, with 1000."""
    try:
        async with asyncio.timeout(listener.timeout_s):
            while True:
                await listener.wire.receive()
    except TimeoutError:
        raise Failed("the sideband was not closed at the end of its call") from None
    except WireClosed as error:
        equal("the close code of a sideband at the end of its call", error.code, 1000)


@request("sideband with a client secret")
async def secret_joins_nothing(target: Target) -> None:
    """A client secret joins no call: 404 (contract 2.3)."""
    async with _call(target) as leg:
        answer = served(await target.call("POST", "/realtime/client_secrets", json={}), "POST /realtime/client_secrets")
        try:
            wire = await target.open({"call_id": leg.call_id, "model": None}, key=answer.body["value"])
        except Refused as error:
            equal("status", error.status, 404, {"status": error.status, "body": error.body})
            return
        await wire.aclose()
        raise Failed("a client secret joined a call")
