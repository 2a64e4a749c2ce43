"""Plays flows against a server, each on its own connection and under its own deadline. A fault of one ends only it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from voice.conformance.checks import Checks, Violation
from voice.conformance.client import Client, Settings
from voice.conformance.flow import Flow
from voice.conformance.grammar import Grammar
from voice.conformance.results import FlowResult, Outcome
from voice.conformance.types_check import TypesCheck
from voice.conformance.verdict import Failed, NotServed, Skipped
from voice.conformance.wire import Refused, Unreachable, Wire

_CLOSE_S = 5.0


class Door(Protocol):
    """What flows are played against: a `Target`, or in tests something that opens wires to a fake."""

    @property
    def settings(self) -> Settings:
        """What all flows share."""
        ...

    @property
    def is_call(self) -> bool:
        """True where all flows join one live call."""
        ...

    async def open(self, query: dict[str, str | None] | None = None) -> Wire:
        """Open a session. Raises: Refused, Unreachable."""
        ...

    async def open_leg(self) -> Wire:
        """Open a session whose audio the server plays. Raises: Refused, Unreachable, NotServed."""
        ...


async def play_all(
    door: Door,
    flows: Sequence[Flow],
    types: TypesCheck | None,
    *,
    at_once: int = 1,
    finished: Callable[[FlowResult], None] = lambda _: None,
) -> list[FlowResult]:
    """Play flows, some of them at once; the results come in the order of `flows`."""
    places = asyncio.Semaphore(at_once)

    async def one(flow: Flow) -> FlowResult:
        async with places:
            result = await play(door, flow, types)
        finished(result)
        return result

    return list(await asyncio.gather(*(one(flow) for flow in flows)))


async def play(door: Door, flow: Flow, types: TypesCheck | None) -> FlowResult:
    """Play one flow to its end. Whatever the server does is a result; only a fault of the kit's own raises."""
    started_s = time.monotonic()
    if flow.needs_speech and door.settings.speech is None:
        result = FlowResult(flow, "skipped", "no speech: give --speech FILE.wav, or install the extra `embedded`")
    elif flow.connects:
        result = await _play_connected(door, flow, types)
    else:
        outcome, reason, violation = await _judge(flow, flow.play(door))
        result = FlowResult(flow, outcome, reason, [violation] if violation else [])
    result.took_s = time.monotonic() - started_s
    return result


async def _play_connected(door: Door, flow: Flow, types: TypesCheck | None) -> FlowResult:
    try:
        wire = await (door.open_leg() if flow.on_leg else door.open(flow.query))
    except NotServed as error:
        return FlowResult(flow, "not served", str(error))
    except (Refused, Unreachable) as error:
        body = {"status": error.status, "body": error.body} if isinstance(error, Refused) else None
        reason = f"the server refused the connection: {error}" if isinstance(error, Refused) else str(error)
        return FlowResult(flow, "failed", reason, [Violation(reason, body)])
    anytime = {"input_audio_buffer.dtmf_event_received"} if flow.on_leg else set()  # who is on the phone may press keys
    checks = Checks({*flow.shows, *flow.may, *anytime}, types, grammar=Grammar(joins=door.is_call))
    client = Client(wire, checks, door.settings)
    client.start()
    try:
        outcome, reason, violation = await _judge(flow, _perform(client, flow))
    finally:
        try:
            async with asyncio.timeout(_CLOSE_S):
                await client.aclose()
        except TimeoutError:
            pass  # a server that does not take its leave is none of this flow's matter
    found = [*client.violations, *([violation] if violation else [])]
    if violation is not None and violation.frame is not None:
        # Told once: that a frame came which nobody expects, and that it ended the flow.
        found = [each for each in found if each is violation or each.event or each.frame is not violation.frame]
    if found and outcome != "failed":
        outcome, reason = "failed", found[0].text
    seen = frozenset(str(frame.get("type")) for frame in client.frames)
    return FlowResult(flow, outcome, reason, found, frozenset(client.sent_types), seen, client.transcript)


async def _perform(client: Client, flow: Flow) -> None:
    await client.expect("session.created")
    await flow.play(client)
    await client.settle()
    missing = await client.missing(flow.shows)
    if missing:
        raise Failed(f"never came: {', '.join(missing)}")


async def _judge(flow: Flow, work: Awaitable[None]) -> tuple[Outcome, str, Violation | None]:
    try:
        async with asyncio.timeout(flow.timeout_s):
            await work
    except TimeoutError:
        reason = f"did not end within {flow.timeout_s:.0f} s"
        return "failed", reason, Violation(reason)
    except Failed as error:
        return "failed", error.message, Violation(error.message, error.frame)
    except (Refused, Unreachable) as error:
        frame = {"status": error.status, "body": error.body} if isinstance(error, Refused) else None
        return "failed", str(error), Violation(str(error), frame)
    except (KeyError, TypeError, IndexError) as error:
        # A flow reads frames as the contract has them: what it stumbles over is missing, and named by the checks.
        reason = f"a frame lacks what the flow reads: {error!r}"
        return "failed", reason, Violation(reason)
    except NotServed as error:
        return "not served", str(error), None
    except Skipped as error:
        return "skipped", str(error), None
    return "held", "", None
