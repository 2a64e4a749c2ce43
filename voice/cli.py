"""The command line, `voice`. Only the command that is asked for is imported, so that `--help` answers at once.

Exit status: 0 done; 1 it could not be done; 2 the command line or the configuration is wrong; 130 interrupted.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from voice.errors import ConfigError, ModelError, VoiceError

if TYPE_CHECKING:
    from voice.talk.line import Line

# Before numpy is imported: products of the size of ours are no quicker on more threads, which would spin beside the
# media (11.6 instead of 1.9 ms per session-second, measured).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

EXIT_FAILED = 1
EXIT_WRONG = 2
EXIT_INTERRUPTED = 130

HELP = """A realtime voice agent service: it serves the OpenAI Realtime API from your own machine.

Start it, then talk to it:

    voice serve

    voice talk question.wav

Clients connect to ws://127.0.0.1:8080/v1/realtime?model=gpt-realtime; the official ones need only another base URL.
"""


TALK = "voice.talk.command:talk"


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand that is imported when it is asked for."""

    name: str
    target: str
    """`module:function`, or `module:app` of a group."""
    summary: str
    """The line in `voice --help`."""
    is_group: bool = False


COMMANDS = (
    Command("serve", "voice.commands.serve:serve", "Start the service."),
    Command("talk", TALK, "Hold a conversation with recordings and measure it."),
    Command("call", "transports.softphone.command:call", "Call a SIP address with recordings: a softphone."),
    Command("conformance", "voice.conformance.command:conformance", "Check any Realtime server against the contract."),
    Command(
        "upstream-faults",
        "voice.commands.upstream_faults:upstream_faults",
        "Stand before an upstream and let things go wrong, to see what callers hear.",
    ),
    Command("doctor", "voice.doctor:doctor", "Check this machine; each fault with its fix."),
    Command("models", "voice.commands.models:app", "List, fetch and verify the embedded models.", is_group=True),
    Command("config", "voice.commands.config:app", "Check and show the configuration.", is_group=True),
)


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the application with the command that `arguments` names imported, the others by name only."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        add_completion=False,  # it would need every command imported
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown" if sys.stdout.isatty() else None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    for command in COMMANDS:
        if command.name == wanted:
            _add(app, command, _load(command.target))
        else:
            app.command(command.name, help=command.summary)(_not_imported)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. An operator's mistake is one sentence, never a traceback."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        build(arguments)(args=arguments, prog_name="voice")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else EXIT_FAILED
    except ConfigError as error:
        return _say(str(error), EXIT_WRONG)
    except ModelError as error:
        return _say(_with_command(error), EXIT_FAILED)
    except VoiceError as error:
        return _say(str(error), EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output is gone (`voice models list | head`): nothing to say
        return EXIT_FAILED
    return 0


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"voice {version('realtime-voice-agent')}")
    except PackageNotFoundError:
        typer.echo("voice, run from its sources and not installed")
    raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _add(app: typer.Typer, command: Command, target: object) -> None:
    if isinstance(target, typer.Typer):
        app.add_typer(target, name=command.name, help=command.summary)
    elif callable(target):
        app.command(command.name)(target)


def _load(target: str) -> object:
    if target == TALK:
        from voice.talk.line import DIALERS

        DIALERS["webrtc"] = _dial_webrtc
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


async def _dial_webrtc(url: str, model: str | None, key: str | None, timeout_s: float) -> "Line":
    """Bring WebRTC to `voice talk`, which is of a package that knows no transport."""
    from transports.webrtc.line import dial_line

    return await dial_line(url, model, key, timeout_s)


def _not_imported() -> None:
    raise AssertionError("the command line named another command")


def _with_command(error: ModelError) -> str:
    text = str(error)
    return text if error.command in text else f"{text}: run `{error.command}`"


def _say(text: str, status: int) -> int:
    typer.echo(f"voice: {text}" if "\n" not in text else text, err=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
