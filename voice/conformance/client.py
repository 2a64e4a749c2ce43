"""The client that flows are written with: a connection, and what clients do with one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from voice.audio.frames import CORE_RATE_HZ
from voice.conformance.connection import Connection, Settings
from voice.conformance.verdict import Failed, Frame, Skipped
from voice.talk.microphone import Microphone, WireFormat
from voice.talk.recording import Recording, from_pcm

if TYPE_CHECKING:
    from voice.conformance.webrtc_wire import WebRtcWire

__all__ = ["Client", "Frame", "Settings"]

_APPEND_BYTES = 9_600
"""200 ms of PCM in one append, where nobody speaks in real time."""


class Client(Connection):
    """The client of one flow."""

    # --- Events -----------------------------------------------------------------------------------------------------

    async def update(self, **session: Any) -> Frame:
        """Send `session.update` and return the session of `session.updated`."""
        await self.send("session.update", session={"type": "realtime", **session})
        frame = await self.expect("session.updated")
        found: Frame = frame["session"]
        return found

    async def say_text(self, text: str, **fields: Any) -> Frame:
        """Put a user's words into the conversation; return the item as it was done."""
        content = [{"type": "input_text", "text": text}]
        await self.create_item({"type": "message", "role": "user", "content": content}, **fields)
        found: Frame = self.last["item"]
        return found

    async def create_item(self, item: Frame, **fields: Any) -> Frame:
        """Create an item; return the frame that added it."""
        await self.send("conversation.item.create", item=item, **fields)
        added = await self.expect("conversation.item.added")
        await self.expect("conversation.item.done", where=lambda frame: frame["item"]["id"] == added["item"]["id"])
        return added

    async def respond(self, **response: Any) -> Frame:
        """Ask for a response and return it as it was created."""
        await self.send("response.create", **({"response": response} if response else {}))
        found: Frame = (await self.expect("response.created"))["response"]
        return found

    async def response_done(self, response_id: str | None = None, *, timeout_s: float | None = None) -> Frame:
        """Return the response as it was done; any, or that one."""
        frame = await self.expect(
            "response.done",
            where=lambda frame: response_id is None or frame["response"]["id"] == response_id,
            timeout_s=timeout_s or 2 * self.settings.timeout_s,
        )
        found: Frame = frame["response"]
        return found

    async def cancelled(self, response_id: str) -> Frame:
        """Return the response that was just told to stop, as it was done.

        Raises: Skipped when it was complete before the server heard of that, which it then says (contract 4.8).
        """
        done = await self.response_done(response_id)
        frame = self.last
        if done["status"] != "completed":
            return done
        error = await self.expect("error")
        if error["error"]["code"] == "response_cancel_not_active":
            raise Skipped("the answer was made faster than it could be cancelled")
        raise Failed("the running response was not cancelled", frame)

    @property
    def leg(self) -> "WebRtcWire | None":
        """The kit's own leg, with a mouth and an ear; None on a WebSocket."""
        from voice.conformance.webrtc_wire import WebRtcWire  # here: aiortc takes half a second to load

        return self._wire if isinstance(self._wire, WebRtcWire) else None

    # --- Sound ------------------------------------------------------------------------------------------------------

    async def append(self, pcm: bytes) -> None:
        """Send audio at once."""
        for start in range(0, len(pcm), _APPEND_BYTES):
            await self._append(pcm[start : start + _APPEND_BYTES])

    async def _append(self, audio: bytes) -> None:
        encoded = base64.b64encode(audio).decode()
        event = {"type": "input_audio_buffer.append", "audio": f"<{len(audio)} bytes>"}
        await self.send_text(json.dumps({**event, "audio": encoded}), event)

    @property
    def speech(self) -> Recording:
        """A spoken sentence. Raises: Skipped when there is none."""
        if self.settings.speech is None:
            raise Skipped("no speech: give --speech FILE.wav, or install the embedded voice (extra `embedded`)")
        return self.settings.speech

    @asynccontextmanager
    async def microphone(self, wire: WireFormat = "audio/pcm") -> AsyncIterator[Microphone]:
        """A microphone that is open: silence all the time, and what `say` gives it."""
        microphone = Microphone(self._append_quietly, wire)
        task = asyncio.create_task(microphone.run(), name="conformance microphone")
        try:
            yield microphone
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _append_quietly(self, audio: bytes) -> None:
        with suppress(Failed):  # whoever waits for the server hears of it
            await self._append(audio)

    async def speak(self, recording: Recording | None = None, silence_ms: int = 1200) -> None:
        """Say a sentence and be silent after it, without a microphone that stays open."""
        pcm = (recording or self.speech).pcm + bytes(2 * CORE_RATE_HZ * silence_ms // 1000)
        if not self.settings.paced:
            await self.append(pcm)
            return
        async with self.microphone() as microphone:
            await microphone.say(from_pcm("speech", pcm)).spoken.wait()
