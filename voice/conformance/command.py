"""`voice conformance`: does a Realtime server do what the contract says?"""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from voice.conformance import mcp_server, types_check
from voice.conformance.client import Settings
from voice.conformance.flow import Flow
from voice.conformance.flows import all_flows, chosen
from voice.conformance.play import play_all
from voice.conformance.report import print_report, record, to_json
from voice.conformance.results import FlowResult, Report
from voice.conformance.speech import find_speech
from voice.conformance.target import Target
from voice.conformance.wire import Refused, Unreachable
from voice.errors import VoiceError
from voice.talk.recording import Recording
from voice.talk.service import ServiceProcess

KEY_VARIABLE = "VOICE_CONFORMANCE_KEY"
"""Where the key is looked for when `--key` is not given: command lines are visible to other users."""

OWN_CONFIG = Path(__file__).parent / "scripted" / "config.yaml"
"""What a service that is started for a run answers: a script that fits the flows."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ConformanceError(VoiceError):
    """The kit could not begin."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be checked, and how."""

    target: Target
    flows: list[Flow]
    at_once: int
    folder: Path | None
    mcp_url: str | None


def conformance(
    url: Annotated[
        str | None,
        typer.Argument(help="The server, as in ws://host:8080/v1/realtime. Without it: a scripted service of our own."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Goes into `?model=`.")] = None,
    key: Annotated[str | None, typer.Option(envvar=KEY_VARIABLE, help="Key of the server, if it asks for one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--record", metavar="DIR", help="Write a transcript of each flow there.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="FLOW", help="A flow, a family, or flow, error, rest. Repeatable.")
    ] = None,
    speech: Annotated[
        Path | None, typer.Option(metavar="FILE.wav", help="A spoken sentence of 1 to 3 s; by default synthesised.")
    ] = None,
    mcp: Annotated[str | None, typer.Option(metavar="URL", help="An MCP server that the server can reach.")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=16, help="Flows at the same time.")] = 4,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds for each thing waited for.")] = 20.0,
    listing: Annotated[bool, typer.Option("--list", help="List the flows and play none.")] = False,
) -> None:
    """Check any Realtime server against the contract, with real audio.

    Plays the canonical flows, each on its own connection, and tells which client events, server events, flows, error
    cases and REST calls hold; each failure with the frame that shows it. Exit status 1 when something fails; what the
    server honestly does not serve is shown, and no failure.

    Examples:

        voice conformance

        voice conformance ws://127.0.0.1:8080/v1/realtime --model gpt-realtime

        voice conformance wss://voice.example.com --only barge_in --record transcripts

        voice conformance "wss://voice.example.com/v1/realtime?call_id=rtc_…"   (a live call, WebRTC or SIP)
    """
    try:
        flows = chosen(only or [])
    except KeyError as error:
        raise ConformanceError(
            f"there is no flow or family {error}; --list shows all {len(all_flows())} flows"
        ) from None
    if listing:
        _list(flows)
        return
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    sentence = find_speech(speech)
    with _service(url, key) as (address, its_key):
        settings = Settings(speech=sentence, timeout_s=timeout_s, mcp_url=mcp)
        target = Target(address, model, its_key, settings)
        if target.is_call:  # one session for all flows: one at a time, and only what a live call can show
            flows, at_once = [flow for flow in flows if flow.on_leg], 1
        report = asyncio.run(check(Run(target, flows, at_once, folder, mcp), Console(stderr=True)))
    report.notes += _notes(sentence)
    _show(report, as_json=as_json)
    if report.has_failed:
        raise typer.Exit(1)


def _list(flows: Sequence[Flow]) -> None:
    for flow in flows:
        typer.echo(f"{flow.family:<14} {flow.name:<40} {flow.summary}")


def _show(report: Report, *, as_json: bool) -> None:
    if as_json:
        json.dump(to_json(report), sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        print_report(report, Console(highlight=False, soft_wrap=True))


async def check(run: Run, progress: Console) -> Report:
    """Play the flows. Raises: ConformanceError when nobody answers there."""
    await _knock(run.target)
    done = 0

    def finished(result: FlowResult) -> None:
        nonlocal done
        done += 1
        if progress.is_terminal:
            progress.print(f"{done}/{len(run.flows)} {result.flow.name}: {result.outcome}", style="dim")
        if run.folder is not None:
            record(result, run.folder)

    async with AsyncExitStack() as stack:
        target = run.target
        if run.mcp_url is None and (urlsplit(target.websocket_url()).hostname or "") in _LOOPBACK:
            target = await stack.enter_async_context(_with_mcp_server(target))
        results = await play_all(target, run.flows, types_check.load(), at_once=run.at_once, finished=finished)
    return Report(run.target.url, results)


async def _knock(target: Target) -> None:
    """See whether anybody is there, so that a typo is one sentence and not eighty failures."""
    try:
        wire = await target.open()
    except Unreachable as error:
        raise ConformanceError(f"{error}; start one with: voice serve") from None
    except Refused as error:
        hint = " Give a key with --key." if error.status == 401 else ""
        raise ConformanceError(f"{target.websocket_url()} refused the connection: {error}{hint}") from None
    await wire.aclose()


@asynccontextmanager
async def _with_mcp_server(target: Target) -> AsyncIterator[Target]:
    async with mcp_server.serving() as url:
        given = target.settings
        settings = Settings(given.speech, given.timeout_s, given.quiet_s, given.paced, url)
        yield Target(target.url, target.model, target.key, settings)


def _notes(speech: Recording | None) -> list[str]:
    notes = []
    if types_check.version() is None:
        notes.append(types_check.MISSING)
    if speech is None:
        notes.append("there was no speech: give --speech FILE.wav, or install the extra `embedded`")
    return notes


@contextmanager
def _service(url: str | None, key: str | None) -> Iterator[tuple[str, str | None]]:
    """Give the address and the key: those named, or of a scripted service that is stopped afterwards.

    Ours wants a key, so that what is refused to those without one is seen.
    """
    if url is not None:
        yield url, key
        return
    key = secrets.token_urlsafe()
    keys = {"VOICE__SERVER__KEYS": json.dumps([key])}
    with ServiceProcess("--config", str(OWN_CONFIG), environment=keys) as service:
        yield service.url, key
