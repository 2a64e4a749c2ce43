"""What `bench.sip` compares with: phone calls that are sent back, and bare sockets that do the same."""

import argparse
import asyncio
import gc
import sys
from typing import Any

from prometheus_client import CollectorRegistry

from bench.rtp import BareLeg
from sip.admission import CallLimits
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.gate import GateLimits
from sip.user_agent import AgentSettings
from transports.http.calls import Calls
from transports.phone import Phone, PhoneSettings
from transports.phone_metrics import PhoneMetrics
from transports.port import Transport
from voice.agent import Agent
from voice.audio.levels import rms_dbfs
from voice.logs import configure_logs
from voice.protocol.client_events import ClientEvent
from voice.room import Room
from voice.session.effects import FinishAudio, PlayAudio
from voice.tooling import PhoneCall

PORTS = (24_000, 27_999)
LOUD_DBFS = -25.0
"""A tone is louder, whatever codecs make of silence is not."""


class EchoPlace:
    """Says what it hears: the whole way of a call but for its session."""

    session_id = "sess_echo"

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Echo until the caller hangs up."""
        async for frame in transport.frames():
            transport.play_audio(PlayAudio("resp", "item", 0, 0, frame, "audio/pcm"))
        await transport.aclose()

    async def receive(self, event: ClientEvent) -> None:
        """Nobody sends any."""

    def stop(self, code: int, reason: str) -> None:
        """Never needed."""

    def release(self) -> None:
        """Nothing was taken."""


class PongPlace(EchoPlace):
    """Answers each tone with one of its own at once: what is measured by that is the way there and back alone."""

    async def run(self, transport: Transport, phone: PhoneCall | None = None) -> None:
        """Answer until the caller hangs up."""
        was_loud, count = False, 0
        async for frame in transport.frames():
            is_loud = rms_dbfs(frame.pcm) > LOUD_DBFS
            if is_loud and not was_loud:
                count += 1
                transport.play_audio(PlayAudio("resp", f"item_{count}", 0, 0, frame, "audio/pcm"))
                transport.finish_audio(FinishAudio("resp", f"item_{count}"))
            was_loud = is_loud
        await transport.aclose()


class EchoSessions:
    """Admits everybody to places of one kind."""

    def __init__(self, place: type[EchoPlace]) -> None:
        """`place` is what callers get."""
        self._place = place

    problem = None
    active = 0

    def resolve(self, model: str | None) -> Agent:
        """Return the echo."""
        return Agent(model or "echo", "none")

    def models(self) -> list[Agent]:
        """Return nobody."""
        return []

    def preview(self, agent: Agent, opening: Any) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def room(self, key_id: str | None) -> Room:
        """As many as come."""
        return Room(limit=1_000_000, remaining=1_000_000)

    def admit(
        self, agent: Agent, *, key_id: str | None, opening: Any = None, safety_identifier: str | None = None
    ) -> EchoPlace:
        """Return a place."""
        return self._place()


async def phone_line(port: int, place: type[EchoPlace]) -> None:
    """Take calls until the process is ended."""
    settings = PhoneSettings(first_port=PORTS[0], last_port=PORTS[1])
    phone = Phone(EchoSessions(place), Calls(), lambda _: "", settings, PhoneMetrics(CollectorRegistry()))
    agent = AgentSettings(limits=CallLimits(max_calls=5000, calls_per_s=100_000))
    await phone.start()
    async with SipEndpoint(EndpointSettings(port=port, agent=agent, gate=GateLimits(100_000)), (), phone):
        gc.freeze()
        print("ready", flush=True)
        await asyncio.Event().wait()


async def bare(count: int) -> None:
    """Send back what comes to `count` sockets until the process is ended."""
    legs = [BareLeg() for _ in range(count)]
    print(" ".join(str(leg.port) for leg in legs), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int)
    options.add_argument("--bare", type=int)
    options.add_argument("--pong", action="store_true", help="answer tones with tones, in place of the echo")
    given = options.parse_args()
    configure_logs("warning", "json")
    work = bare(given.bare) if given.bare else phone_line(given.port, PongPlace if given.pong else EchoPlace)
    if sys.platform == "win32":
        asyncio.run(work)
    else:
        import uvloop

        uvloop.run(work)


if __name__ == "__main__":
    main()
