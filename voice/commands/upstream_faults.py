"""`voice upstream-faults`: an upstream that misbehaves, in front of one that does not."""

import asyncio
from typing import Annotated

import typer

from voice.upstream.faults import Fault, FaultyUpstream


def upstream_faults(
    faults: Annotated[
        list[Fault], typer.Argument(help="One for each connection, in order; those after are left alone.")
    ],
    to: Annotated[str, typer.Option(metavar="URL", help="The upstream that does not misbehave.")] = (
        "ws://127.0.0.1:8080/v1/realtime"
    ),
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8089,
    lasts: Annotated[bool, typer.Option("--lasts", help="The last fault stays for all connections after it.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Audio deltas before a fault of an answer strikes.")] = 3,
) -> None:
    """Stand between this service and an upstream, and let things go wrong.

    refuse, 401, 429, 503 and mute happen at the handshake; stall, cut, garbage and expire in the middle of an answer;
    drip and shuffle all the time.

    Example, in three terminals; the caller hears how the answer goes on on a second connection:

        voice serve --port 8081

        voice upstream-faults cut --to ws://127.0.0.1:8081/v1/realtime

        voice serve --engine upstream --upstream "ws://127.0.0.1:8089/v1/realtime?model=receptionist"
    """

    async def run() -> None:
        proxy = FaultyUpstream(to, faults, after=after, lasts=lasts)
        async with proxy.serving(host, port) as url:
            typer.echo(f"{url} stands before {to}; faults: {', '.join(faults)}. Ctrl-C stops.")
            await asyncio.Event().wait()

    asyncio.run(run())
