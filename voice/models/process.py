"""The host's process seen from the media process: a child, a socket, and nothing left over at the end."""

import asyncio
import asyncio.subprocess
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import structlog

import voice
from voice.models.watchdog import Watchdog
from voice.models.wire import FromHost, ToHost, Unpacker, decode_from_host, pack

log = structlog.get_logger(__name__)

_END_WAIT_S = 3.0
"""A host ends at once when its socket is closed; after this it is killed."""


class HostProcess:
    """A running host process."""

    def __init__(self, child: asyncio.subprocess.Process, transport: asyncio.Transport) -> None:
        """Use `start`."""
        self._child = child
        self._transport = transport

    @classmethod
    async def start(cls, receive: Callable[[FromHost], None], *, nice: int) -> Self:
        """Start the process; `receive` gets every message of it, on the event loop. Raises: OSError."""
        ours, theirs = socket.socketpair()
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "voice.models.host",
                str(theirs.fileno()),
                str(nice),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: _Link(receive), sock=ours)
        return cls(child, transport)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def send(self, message: ToHost) -> None:
        """Send a message. To a process that has died it goes nowhere: `wait` tells."""
        if not self._transport.is_closing():
            self._transport.write(pack(message))

    async def wait(self) -> int:
        """Wait for the end; returns the exit code (negative: the signal). Cancelling is safe."""
        return await self._child.wait()

    async def wait_watched(self, watchdog: Watchdog, every_s: float) -> int:
        """Wait for the end as `wait` does, and bring a process to it that hangs. Cancelling is safe."""
        waiting = asyncio.create_task(self.wait(), name="model-host-end")
        try:
            while not (await asyncio.wait({waiting}, timeout=every_s))[0]:
                complaint = watchdog.complaint(time.monotonic())
                if complaint is not None and self._child.returncode is None:
                    log.error("model host hangs", why=complaint, pid=self.pid)
                    self._child.kill()
            return waiting.result()
        finally:
            waiting.cancel()

    async def end(self) -> None:
        """End the process and wait until it is gone. Safe to call on a dead one."""
        self._transport.abort()
        try:
            async with asyncio.timeout(_END_WAIT_S):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()


class _Link(asyncio.Protocol):
    """Turns what arrives into messages."""

    def __init__(self, receive: Callable[[FromHost], None]) -> None:
        self._receive = receive
        self._unpacker = Unpacker()

    def data_received(self, data: bytes) -> None:
        for body in self._unpacker.feed(data):
            self._receive(decode_from_host(body))


def _environment() -> dict[str, str]:
    """The child finds this very package, however the parent found it."""
    root = str(Path(voice.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{inherited}" if inherited else root}
