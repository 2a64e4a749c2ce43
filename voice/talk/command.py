"""`voice talk`: call a service with recordings and see every stage of its answers."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from voice.config_file import load as load_config
from voice.errors import ConfigError
from voice.talk.client import Caller, CallerOptions
from voice.talk.errors import RecordingError, ServiceSilent
from voice.talk.line import DIALERS, dial_websocket
from voice.talk.recording import Recording, load, write_stereo
from voice.talk.report import JsonReport, Report, TextReport
from voice.talk.service import ServiceProcess, is_ready
from voice.talk.turns import Turn

KEY_VARIABLE = "VOICE_TALK_KEY"
"""Where the key is looked for when `--key` is not given: command lines are visible to other users."""

_GREETING_WAIT_S = 0.4
"""An agent that greets begins at once; one that does not is not waited for longer."""

_HEARD_WAIT_S = 10.0
_ANSWER_WAIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be said, and how."""

    recordings: list[Recording]
    options: CallerOptions
    barge_in_s: float | None = None
    """Start each next recording this long into the playing answer; None: wait until it has been played."""
    out: Path | None = None


def talk(
    files: Annotated[list[Path], typer.Argument(help="WAV files, one per turn, of any rate, width and channels.")],
    out: Annotated[Path | None, typer.Option(help="Write a stereo WAV: caller left, agent right.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print lines of JSON; the last one is the summary.")] = False,
    url: Annotated[
        str | None,
        typer.Option(help="The service. Without it: the one of config.yaml if it runs, or one started for this call."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="An agent, or an alias such as gpt-realtime.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar=KEY_VARIABLE, help="Key of the service, if it asks for one.")
    ] = None,
    barge_in: Annotated[
        float | None,
        typer.Option(
            "--barge-in", metavar="SECONDS", help="Talk over the answer: start the next file that far into it."
        ),
    ] = None,
    webrtc: Annotated[bool, typer.Option("--webrtc", help="Call by WebRTC instead of WebSocket.")] = False,
    config: Annotated[Path | None, typer.Option(help="config.yaml of a service that is started for this call.")] = None,
    engine: Annotated[str | None, typer.Option(help="Engine of a service that is started for this call.")] = None,
) -> None:
    """Hold a conversation with recordings and measure it.

    Streams each file at the pace of speech, then listens until the answer is complete. Shows what was understood, the
    answer, tool calls, and how long after the end of speech each stage came: turn decided, transcript, first token,
    first audio.

    Examples:

        voice talk question.wav

        voice talk hello.wav book.wav --out call.wav

        voice talk long-question.wav stop.wav --barge-in 1.5

        voice talk question.wav --webrtc
    """
    report: Report = JsonReport(sys.stdout) if as_json else TextReport(Console())
    recordings = [load(path) for path in files]
    if barge_in is not None and len(recordings) < 2:
        raise RecordingError("--barge-in needs a second recording to talk over the answer with")
    if out is not None and not out.absolute().parent.is_dir():
        raise RecordingError(f"{out} cannot be written: there is no folder {out.absolute().parent}")
    with _service(url, config, engine) as address:
        dial = DIALERS["webrtc"] if webrtc else dial_websocket
        plan = Plan(recordings, CallerOptions(address, model, key, dial=dial), barge_in, out)
        asyncio.run(hold(plan, report))


async def hold(plan: Plan, report: Report) -> list[Turn]:
    """Hold the planned conversation; the stereo file is written also when it fails half-way. Raises: TalkError."""
    caller = Caller(plan.options, report.event)
    async with caller:
        report.called(plan.options.url, caller.session.get("model") or "?")
        try:
            await _hear_greeting(caller)
            for number, recording in enumerate(plan.recordings):
                if number:
                    await _wait_for_turn(caller, plan.barge_in_s)
                await _say(caller, recording, report)
            await _answered(caller, caller.log.turns[-1])
            await caller.played_out()
        finally:
            if plan.out is not None:
                write_stereo(plan.out, caller.caller_track(), caller.player.render())
    report.finished(caller.log.turns, str(plan.out) if plan.out else None)
    return caller.log.turns


async def _hear_greeting(caller: Caller) -> None:
    greeting = caller.log.greeting
    await asyncio.sleep(_GREETING_WAIT_S)
    if greeting.open_responses or greeting.closed_responses:
        await caller.wait_for(lambda: greeting.answered, _ANSWER_WAIT_S, "the end of its greeting")
        await caller.played_out()


async def _say(caller: Caller, recording: Recording, report: Report) -> None:
    """Send a recording to its end, and see to it that it was heard as a turn."""
    report.said(recording)
    turn = caller.say(recording)
    await caller.utterances[-1].spoken.wait()
    try:
        await caller.wait_for(lambda: turn.decided_s is not None or turn.started_s is not None, _HEARD_WAIT_S, "a turn")
    except ServiceSilent:
        if caller.closed is not None:
            raise
        raise ServiceSilent(f"the service found no speech in {recording.name}") from None


async def _wait_for_turn(caller: Caller, barge_in_s: float | None) -> None:
    """Wait until the next recording may begin: when the answer has been heard, or that far into it."""
    turn = caller.log.turns[-1]
    if barge_in_s is None:
        await _answered(caller, turn)
        await caller.played_out()
        return
    await caller.wait_for(lambda: turn.first_audio_s is not None, _ANSWER_WAIT_S, f"an answer to {turn.recording}")
    if turn.first_audio_s is not None:
        loop = asyncio.get_running_loop()  # the loop's clock is the monotonic one
        await asyncio.sleep(max(0.0, turn.first_audio_s + barge_in_s - loop.time()))


async def _answered(caller: Caller, turn: Turn) -> None:
    await caller.wait_for(lambda: turn.answered, _ANSWER_WAIT_S, f"the whole answer to {turn.recording}")


@contextmanager
def _service(url: str | None, config: Path | None, engine: str | None) -> Iterator[str]:
    """Give the address to call: the one named, one that runs, or one started for this and stopped afterwards."""
    own = config is not None or engine is not None
    if url is not None:
        yield url
    elif not own and (running := _running()) is not None:
        yield running
    else:
        options = [*(("--config", str(config)) if config else ()), *(("--engine", engine) if engine else ())]
        with ServiceProcess(*options) as service:
            yield service.url


def _running() -> str | None:
    """Return the address of the service that config.yaml and the environment describe, if it is there and ready."""
    try:
        server = load_config().config.server
    except ConfigError:
        return None  # the service that is started then says what is wrong with it
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    if server.tls is not None or not is_ready(host, server.port):
        return None
    return f"ws://{f'[{host}]' if ':' in host else host}:{server.port}/v1/realtime"
