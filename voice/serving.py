"""Runs the service in this process: listens, loads the models meanwhile, and stops well.

start ──► listening (/healthz 200) ──► models loaded (/readyz 200)
1st SIGTERM or SIGINT ──► draining: /readyz 503, sessions go on for `drain_s` ──► stopped
2nd ──► what is left ends at once
"""

import asyncio
import errno
import gc
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from aiohttp import web

from voice.config import ServerConfig
from voice.errors import VoiceError

_log = structlog.get_logger(__name__)

CERTIFICATE_LOOK_S = 10.0
"""How often the files of the certificate are looked at."""

_YOUNG_OBJECTS = 10_000
"""How many there may be before they are looked through for cycles. At Python's 700 that took 6 % of a relay's time
(`bench.relay`); the sessions free nearly all they make without it."""

_YOUNGER_COLLECTIONS = (2, 2)
"""How many before older objects are looked at. What an ended session leaves hangs in circles and waits for that: at
Python's 10, and with so many young objects, it is the memory of hundreds of calls (`bench.webrtc_churn`)."""

_CLEANUP_S = 5.0
"""What closing sockets and ending the model host may take."""


class ListenError(VoiceError):
    """The address cannot be listened at."""


class Draining(Protocol):
    """The part of the session manager that is needed to stop."""

    @property
    def active(self) -> int:
        """How many sessions live."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Take no new session; return when all have ended, ending those that last longer than that."""
        ...


class Announcer(Protocol):
    """Tells the operator how far the service is."""

    def listening(self, host: str, port: int) -> None:
        """It listens, at the address and port that were really bound."""
        ...

    def ringing(self, listening: Mapping[str, tuple[str, int]]) -> None:
        """The phone line listens at these addresses: UDP, TCP, TLS."""
        ...

    def loading(self) -> None:
        """The models are being loaded."""
        ...

    def ready(self) -> None:
        """Everything is there that sessions need."""
        ...

    def stopping(self, sessions: int) -> None:
        """It was told to stop, and waits for so many sessions."""
        ...


class Models(Protocol):
    """What takes a while to be there."""

    async def load(self) -> None:
        """Return when the models are loaded."""
        ...

    async def aclose(self) -> None:
        """End what `load` began. Safe without it."""
        ...


class PhoneLine(Protocol):
    """What calls come by."""

    @property
    def listening(self) -> Mapping[str, tuple[str, int]]:
        """The addresses that were bound, by transport."""
        ...

    async def open(self) -> None:
        """Listen. Raises: ListenError."""
        ...

    def drain(self) -> None:
        """Refuse new calls; those that are up go on."""
        ...

    async def aclose(self) -> None:
        """End what is left and listen no more. Safe without `open`."""
        ...


class Certificate(Protocol):
    """What TLS is served with."""

    @property
    def context(self) -> ssl.SSLContext:
        """Holds the certificate as it is now."""
        ...

    def reload_if_changed(self) -> bool:
        """Take renewed files; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What is to be run."""

    application: web.Application
    sessions: Draining
    announcer: Announcer
    models: Models | None = None
    """None when nobody thinks with them."""
    certificate: Certificate | None = None
    """None where TLS is not served."""
    phone_line: PhoneLine | None = None
    """None where no phone rings."""
    try_engines: Callable[[], Coroutine[Any, Any, None]] | None = None
    """Tries the engines out once, beside everything else, and says what is wrong with them; raises nothing."""


async def serve(served: Served, config: ServerConfig) -> None:
    """Serve until a signal asks for the end. Raises: ListenError."""
    stop = _StopSignals()
    # aiohttp's own wait at the end is not needed: the sessions have been drained by then.
    runner = web.AppRunner(served.application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    beside: list[asyncio.Task[None]] = []
    try:
        with stop.handled():
            context = served.certificate.context if served.certificate is not None else None
            served.announcer.listening(*await _listen(runner, config, context))
            if served.phone_line is not None:
                await served.phone_line.open()
                served.announcer.ringing(served.phone_line.listening)
            beside = [asyncio.create_task(work, name=name) for name, work in _work_beside(served)]
            await stop.first.wait()
            await _drain(served, stop, config.drain_s)
    finally:
        for task in beside:
            task.cancel()
            await asyncio.wait({task})
        if served.phone_line is not None:
            await _within(served.phone_line.aclose(), "hang up")
        await _within(runner.cleanup(), "close the connections")
        if served.models is not None:
            await _within(served.models.aclose(), "end the model host")


def _work_beside(served: Served) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
    yield "load models", _load(served)
    if served.certificate is not None:
        yield "renew certificate", _renew(served.certificate)
    if served.try_engines is not None:
        yield "try engines", served.try_engines()


async def _renew(certificate: Certificate) -> None:
    while True:
        await asyncio.sleep(CERTIFICATE_LOOK_S)
        certificate.reload_if_changed()


async def _load(served: Served) -> None:
    if served.models is not None:
        served.announcer.loading()
        try:
            await served.models.load()
        except Exception:  # noqa: BLE001 -- the boundary of a task
            _log.exception("the models cannot be loaded; sessions that need them are refused")
            return
    # One collection of the old generation over a heap of this size delays every session by up to 187 ms (measured):
    # what is there now stays for good and need not be looked at again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *_YOUNGER_COLLECTIONS)
    served.announcer.ready()


async def _drain(served: Served, stop: "_StopSignals", drain_s: float) -> None:
    if served.phone_line is not None:
        served.phone_line.drain()
    served.announcer.stopping(served.sessions.active)
    drained = asyncio.create_task(served.sessions.drain(drain_s), name="drain")
    second = asyncio.create_task(stop.second.wait(), name="second signal")
    # A session that does not end although it was told to must not keep the process.
    await asyncio.wait({drained, second}, timeout=drain_s + _CLEANUP_S, return_when=asyncio.FIRST_COMPLETED)
    for task in (drained, second):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _within(work: Awaitable[None], what: str) -> None:
    try:
        async with asyncio.timeout(_CLEANUP_S):  # in this task: a TaskGroup is left by the task that has entered it
            await work
    except TimeoutError:
        _log.warning("gave up waiting", what=what, after_s=_CLEANUP_S)


async def _listen(
    runner: web.AppRunner, config: ServerConfig, context: ssl.SSLContext | None = None
) -> tuple[str, int]:
    site = web.TCPSite(runner, config.host, config.port, backlog=1024, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise ListenError(explain(error, config.host, config.port)) from error
    host, port = runner.addresses[0][:2]
    return str(host), int(port)


def explain(error: OSError, host: str, port: int, *, set_host: str = "--host ", set_port: str = "--port ") -> str:
    """Say in one sentence why an address cannot be listened at, and what helps.

    `set_host` and `set_port` are how another one is asked for.
    """
    if isinstance(error, socket.gaierror):
        return f"the host name {host} is not known: give an address of this machine, as in {set_host}127.0.0.1"
    # asyncio gives one error of its own where several addresses were tried.
    code = error.errno
    if code == errno.EADDRINUSE:
        other = port % 65535 + 1
        return f"port {port} on {host} is in use: stop what listens there, or take another, as in {set_port}{other}"
    if code == errno.EACCES:
        return f"port {port} needs more rights than this user has: take one above 1023, as in {set_port}8080"
    if code == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: take one that is, as in {set_host}127.0.0.1"
    return f"cannot listen at {host} port {port}: {os.strerror(code) if code else error}"


class _StopSignals:
    """The first and the second signal that asks for the end."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT while the block lasts; a Ctrl-C after it ends the process the ordinary way."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._note)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _note(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
