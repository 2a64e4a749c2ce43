"""`voice serve`."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voice.config import Config


class ConsoleAnnouncer:
    """Prints where the service listens, what to try, and when it is ready."""

    def __init__(self, config: "Config") -> None:
        self._config = config
        self._console = Console(highlight=False, soft_wrap=True)

    def listening(self, host: str, port: int) -> None:
        """Print the addresses."""
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        answering = self._config.answering
        others = [name for name in (*self._config.agents, *self._config.aliases) if name != answering]
        more = f" [dim](or {others[0]} and {len(others) - 1} more: GET /v1/models)[/]" if len(others) > 1 else ""
        web, socket = ("https", "wss") if self._config.server.tls else ("http", "ws")
        usual = port == 8080 and web == "http"
        talk = "voice talk question.wav" + ("" if usual else f" --url {socket}://{at}/v1/realtime")
        self._console.print(f"[bold]Listening on {web}://{escape(at)}[/]")
        if self._config.console.enabled:
            self._console.print(f"  page     {web}://{escape(at)}/ (open it in a browser and talk)")
        self._console.print(f"  clients  {socket}://{escape(at)}/v1/realtime?model={escape(answering)}{more}")
        self._console.print(f"  try      {escape(talk)}")
        self._console.print(f"  state    curl {web}://{escape(at)}/readyz")

    def ringing(self, listening: "Mapping[str, tuple[str, int]]") -> None:
        """Print where the phone rings."""
        host, port = listening["UDP"]
        at = f"[{host}]" if ":" in host else host
        tls = f", TLS {listening['TLS'][1]}" if "TLS" in listening else ""
        self._console.print(f"  phone    sip:{escape(at)}:{port} (UDP, TCP{tls})")
        if self._config.sip.is_loopback:
            self._console.print(f"  try      voice call sip:{escape(at)}:{port} --wav question.wav")

    def loading(self) -> None:
        """Print what the wait is for."""
        self._console.print("Loading the models ...")

    def ready(self) -> None:
        """Print that callers are served."""
        took_s = time.time() - psutil.Process().create_time()
        self._console.print(f"[bold green]Ready[/] after {took_s:.1f} s. Ctrl-C stops.")

    def stopping(self, sessions: int) -> None:
        """Print what is waited for."""
        if sessions:
            self._console.print(
                f"Stopping: waiting up to {self._config.server.drain_s:g} s for {sessions} "
                f"session{'s' if sessions > 1 else ''}; Ctrl-C again ends them."
            )
        else:
            self._console.print("Stopping.")


class EngineChoice(StrEnum):
    """What `--engine` takes."""

    CASCADE = "cascade"
    SCRIPTED = "scripted"
    UPSTREAM = "upstream"


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen at. Anything but this machine's own needs `server.keys`.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes any free port.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="Without it: config.yaml in this folder, else the defaults."
        ),
    ] = None,
    engine: Annotated[
        EngineChoice | None, typer.Option(help="Let every agent think with this engine; scripted needs no models.")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where the engine `upstream` is: another Realtime server, wss://…/v1/realtime."
        ),
    ] = None,
) -> None:
    """Start the service and serve until Ctrl-C.

    It listens at once; /readyz answers 200 as soon as a caller would be served. The first Ctrl-C (or SIGTERM) lets
    the sessions finish, the second ends them.

    Examples:

        voice serve

        voice serve --port 9000 --config my-agents.yaml

        voice serve --engine scripted

        voice serve --engine upstream --upstream ws://127.0.0.1:8081/v1/realtime?model=gpt-realtime

        VOICE__LOG__LEVEL=debug voice serve
    """
    from voice.config_file import load, override

    loaded = override(load(config), host=host, port=port, engine=engine.value if engine else None, upstream=upstream)
    from voice.app import run  # after the file: what stands in it wrongly is told at once

    run(loaded, ConsoleAnnouncer(loaded.config))
