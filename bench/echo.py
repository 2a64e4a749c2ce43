"""The yardstick of `bench.sessions`: a bare `websockets` server that sends every message back, and nothing else."""

import argparse
import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve


async def echo(socket: ServerConnection) -> None:
    """Send back what comes."""
    async for message in socket:
        await socket.send(message)


async def run(port: int) -> None:
    """Serve until the process is ended."""
    async with serve(echo, "127.0.0.1", port, compression=None, max_size=None) as server:
        print("ready", flush=True)
        await server.serve_forever()


def main() -> None:
    """Run it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("port", type=int)
    options.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    given = options.parse_args()
    if given.loop == "uvloop" and sys.platform != "win32":
        import uvloop

        uvloop.run(run(given.port))
    else:
        asyncio.run(run(given.port))


if __name__ == "__main__":
    main()
