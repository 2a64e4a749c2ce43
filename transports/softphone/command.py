"""`voice call`: a softphone on the command line."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sip.auth import Credentials
from sip.crypto import Srtp
from transports.softphone.call import CallFailed, Dialling, Outcome, Softphone
from voice.talk.recording import Recording, load, write_stereo

PASSWORD_VARIABLE = "VOICE_CALL_PASSWORD"
"""Where the password is looked for: command lines are visible to other users."""


class CodecChoice(StrEnum):
    """What `--codec` takes."""

    PCMU = "pcmu"
    PCMA = "pcma"
    G722 = "g722"
    OPUS = "opus"


class SrtpChoice(StrEnum):
    """What `--srtp` takes."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


def call(
    uri: Annotated[str, typer.Argument(metavar="URI", help="As in sip:receptionist@127.0.0.1 or sips:100@host.")],
    wav: Annotated[list[Path] | None, typer.Option(help="What to say, one file a turn; repeat it.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a stereo WAV: caller left, agent right.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")] = False,
    user: Annotated[str | None, typer.Option(help="User name, if the other side asks for one.")] = None,
    password: Annotated[str | None, typer.Option(envvar=PASSWORD_VARIABLE, help="Better in the environment.")] = None,
    codec: Annotated[list[CodecChoice] | None, typer.Option(help="Offer these, in this order; repeat it.")] = None,
    srtp: Annotated[SrtpChoice, typer.Option(help="Encrypted audio, keys by SDES.")] = SrtpChoice.OFF,
    keys: Annotated[str, typer.Option(help="Keys to press when the call is up: 12#.")] = "",
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long to wait for the agent's first sound.")
    ] = 15.0,
    insecure: Annotated[bool, typer.Option(help="Take any certificate over TLS.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="Take certificates of this authority, too (PEM).")] = None,
) -> None:
    """Call a SIP address with recordings and listen.

    Dials, says each recording, waits for the end of its answer, hangs up. Shows how long after the end of speech each
    answer began.

    Examples:

        voice call sip:receptionist@127.0.0.1 --wav question.wav

        voice call sip:100@pbx.example.com;transport=tcp --user alice --wav hello.wav --wav book.wav --out call.wav
    """
    dialling = Dialling(
        uri,
        caller=user or "softphone",
        credentials=(Credentials(user, password or ""),) if user else (),
        codecs=tuple(choice.value for choice in codec or CodecChoice),
        srtp=Srtp(srtp.value),
        verify=not insecure,
        ca_file=ca_file,
        wait_s=wait,
        keys=keys,
    )
    _hold(dialling, [load(path) for path in wav or []], out, as_json=as_json)


def _hold(dialling: Dialling, recordings: Sequence[Recording], out: Path | None, *, as_json: bool) -> None:
    """Hold the call and show what became of it. Raises: CallFailed."""
    if out is not None and not out.absolute().parent.is_dir():
        raise CallFailed(f"{out} cannot be written: there is no folder {out.absolute().parent}")
    console = Console(highlight=False, soft_wrap=True)
    phone = Softphone(dialling, (lambda _: None) if as_json else lambda line: console.print(f"  {escape(line)}"))
    if not as_json:
        console.print(f"[bold]Calling {escape(dialling.uri)}[/]")
    try:
        asyncio.run(phone.call(recordings))
    except OSError as error:
        raise CallFailed(f"the call cannot be made: {error.strerror or error}") from error
    finally:
        if out is not None and phone.outcome.heard:
            write_stereo(out, phone.outcome.said, phone.outcome.heard)
    _show(phone.outcome, out, console, as_json=as_json)


def _show(outcome: Outcome, out: Path | None, console: Console, *, as_json: bool) -> None:
    seconds = len(outcome.heard) / 48_000
    if as_json:
        shown = asdict(outcome)
        del shown["said"], shown["heard"]
        sys.stdout.write(json.dumps(shown | {"duration_s": round(seconds, 2)}) + "\n")
        return
    console.print(f"[bold]Over[/] after {seconds:.1f} s: {escape(outcome.ended)}")
    if out is not None:
        console.print(f"  written to {escape(str(out))}")
