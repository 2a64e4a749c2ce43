"""Whatever goes wrong with an upstream, once or for good: the caller hears somebody soon, and the log says why.

Every fault has an engine of its own in the first of two instances, at the patience of the defaults. All calls are held
at the same time.
"""

import asyncio
import json
import textwrap
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from websockets.asyncio.client import connect

from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import Fault, FaultyUpstream

Frame = dict[str, Any]
SPARE = """
    transcripts: [hello]
    turns: [{reply: [{say: The spare engine goes on., audio_ms: 600, hz: 880}]}]
"""
IN_ANSWER = (Fault.STALL, Fault.DRIP, Fault.CUT, Fault.GARBAGE, Fault.EXPIRE, Fault.SHUFFLE)
CAUSES = {
    Fault.REFUSE: "broke the handshake off",
    Fault.UNAUTHORIZED: "invalid_api_key",
    Fault.OVERLOADED: "rate_limit_exceeded",
    Fault.UNAVAILABLE: "(503 server_error)",
    Fault.MUTE: "took too long|did not answer the handshake in time",
    Fault.STALL: "does not go on with its answer",
    Fault.DRIP: "engine slow",
    Fault.CUT: "broke off",
    Fault.GARBAGE: "something that is no event",
    Fault.EXPIRE: "session is over",
    Fault.SHUFFLE: "out of order",
}
EXPECTED = {
    "answer": ("ship", "cancelled"),
    "spare": ("The spare engine goes on.", "completed"),
    "apology": ("I am sorry", "failed"),
}
"""By how a call ends: words that are heard, and the status of the response."""

Kind = Literal["once", "spared", "alone"]


@dataclass
class Case:
    """A call that something goes wrong with: once; or for good, with another engine or without."""

    fault: Fault
    kind: Kind
    port: int = field(default_factory=free_port)
    proxy: FaultyUpstream | None = None
    frames: list[Frame] = field(default_factory=list)
    quiet_s: float = 0.0
    """The longest time without sound."""

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.fault.value}"

    @property
    def session(self) -> str:
        return str(self.frames[0]["session"]["id"])

    def words(self) -> str:
        kind = "response.output_audio_transcript.done"
        return " ".join(frame["transcript"] for frame in self.frames if frame["type"] == kind)

    def status(self) -> str:
        return str(self.frames[-1]["response"]["status"])


def cases() -> list[Case]:
    kinds: tuple[Kind, ...] = ("once", "spared", "alone")
    return [Case(fault, kind) for fault in Fault if fault is not Fault.NONE for kind in kinds]


def end_of(case: Case) -> str:
    # A refused key is not shown again, and of an upstream that drips nothing is heard for five seconds.
    lasting = case.kind != "once" or case.fault in (Fault.UNAUTHORIZED, Fault.DRIP)
    if case.fault is Fault.SHUFFLE or not lasting:
        return "answer"
    return "spare" if case.kind == "spared" else "apology"


async def call(service: ServiceProcess, scripted: ServiceProcess, case: Case) -> None:
    """Open a session before the fault, so that it meets a call under way; ask, and listen to the end or long enough."""
    faults = [case.fault] if case.fault in IN_ANSWER else [Fault.CUT, case.fault]
    case.proxy = FaultyUpstream(scripted.url, faults, after=2, lasts=case.kind != "once", keeps=True)
    loop = asyncio.get_running_loop()
    async with case.proxy.serving(port=case.port), connect(f"{service.url}?model={case.name}") as socket:
        case.frames.append(json.loads(await socket.recv()))
        message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "A story, please."}]}
        await socket.send(json.dumps({"type": "conversation.item.create", "item": message}))
        await socket.send('{"type": "response.create"}')
        heard_s, heard = loop.time(), 0
        while case.frames[-1]["type"] != "response.done":
            case.frames.append(json.loads(await socket.recv()))
            if case.frames[-1]["type"] == "response.output_audio.delta":
                heard += 1
                if heard == 40:  # the story is long, and goes well
                    await socket.send('{"type": "response.cancel"}')
            elif case.frames[-1]["type"] != "response.done":
                continue
            case.quiet_s = max(case.quiet_s, loop.time() - heard_s)
            heard_s = loop.time()


DEAF_PORT = free_port()


async def talk_to_nobody(service: ServiceProcess, scripted: ServiceProcess, hold: Any, say: Any) -> list[Frame]:
    """Talk to an agent whose upstream finds the turns; the upstream is gone after the first answer."""
    proxy = FaultyUpstream(scripted.url, [])
    async with AsyncExitStack() as upstream:
        await upstream.enter_async_context(proxy.serving(port=DEAF_PORT))

        async def conversation(client: Any) -> None:
            await client.ask(say("Good evening."))
            await upstream.aclose()
            await client.ask(say("Is anybody there?"))

        frames: list[Frame] = await hold(service, "deaf", conversation)
        return frames


@dataclass
class Outcome:
    """All calls, and what the first instance has written into its log."""

    cases: dict[str, Case]
    log: list[str]
    service: ServiceProcess


@pytest.fixture(scope="module")
def outcome(scripted: ServiceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """Hold every call."""
    folder, held = tmp_path_factory.mktemp("front"), cases()
    engines, agents = ["  spare: {type: scripted, script: spare.yaml}"], []
    for case in held:
        fallback = ", fallback: [spare]" if case.kind == "spared" else ""
        url = f"ws://127.0.0.1:{case.port}/v1/realtime"
        engines.append(f"  {case.name}: {{type: upstream, url: '{url}', model: long-answer{fallback}}}")
        agents.append(f"  {case.name}: {{engine: {case.name}}}")
    url = f"ws://127.0.0.1:{DEAF_PORT}/v1/realtime"
    engines.append(f"  deaf: {{type: upstream, url: '{url}', model: plain, turns: upstream, fallback: [spare]}}")
    agents.append("  deaf: {engine: deaf}")
    lines = "\n".join(["engines:", *engines, "agents:", *agents])
    (folder / "config.yaml").write_text(f"{lines}\naliases: {{gpt-realtime: spare}}\nlog: {{level: info}}\n")
    (folder / "spare.yaml").write_text(textwrap.dedent(SPARE))
    with ServiceProcess("--config", str(folder / "config.yaml"), ready_timeout_s=30) as service:

        async def hold_all() -> None:
            async with asyncio.timeout(60), asyncio.TaskGroup() as calls:
                for case in held:
                    calls.create_task(call(service, scripted, case))

        asyncio.run(hold_all())
        yield Outcome({case.name: case for case in held}, service.output(10_000).splitlines(), service)


FAULTS = [fault for fault in Fault if fault is not Fault.NONE]
EACH = pytest.mark.parametrize("name", [case.name for case in cases()])


@EACH
def test_the_caller_hears_an_answer_another_engine_or_an_apology_within_five_seconds(
    name: str, outcome: Outcome
) -> None:
    case = outcome.cases[name]
    assert case.quiet_s < 5
    assert case.words()
    said, status = EXPECTED[end_of(case)]
    assert said in case.words()
    assert case.status() == status


@EACH
def test_the_log_names_the_cause(name: str, outcome: Outcome) -> None:
    case = outcome.cases[name]
    lines = [line for line in outcome.log if case.session in line]
    assert any(cause in line for line in lines for cause in CAUSES[case.fault].split("|")), "\n".join(lines)
    assert any("engine replaced" in line for line in lines) == (end_of(case) == "spare")
    assert any("no engine answers" in line for line in lines) == (end_of(case) == "apology")


@pytest.mark.parametrize("kind", ["spared", "alone"])
def test_a_refused_key_is_shown_once(kind: str, outcome: Outcome) -> None:
    case = outcome.cases[f"{kind}-401"]
    assert case.proxy is not None
    assert [passage.fault for passage in case.proxy.passages] == [Fault.CUT, Fault.UNAUTHORIZED]


@pytest.mark.parametrize("fault", FAULTS)
def test_nobody_is_run_over(fault: Fault, outcome: Outcome) -> None:
    for kind in ("once", "spared", "alone"):
        case = outcome.cases[f"{kind}-{fault.value}"]
        assert case.proxy is not None
        assert len(case.proxy.passages) <= 6


@EACH
def test_everything_that_was_sent_is_official(name: str, outcome: Outcome, unofficial: Any) -> None:
    proxy = outcome.cases[name].proxy
    assert proxy is not None
    assert unofficial(proxy) == []


async def test_a_caller_is_heard_though_the_upstream_that_finds_turns_is_gone(
    outcome: Outcome, scripted: ServiceProcess, hold: Any, say: Any, violations: Any
) -> None:
    frames = await talk_to_nobody(outcome.service, scripted, hold, say)
    assert violations(frames) == []
    words = [frame["transcript"] for frame in frames if frame["type"] == "response.output_audio_transcript.done"]
    assert words == ["Good evening and welcome.", "The spare engine goes on."]
