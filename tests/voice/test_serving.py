"""The life of the process, with everything around it replaced: listening first, then models, then an orderly end."""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from aiohttp import web

import voice.serving
from voice.config import ServerConfig
from voice.serving import ListenError, Served, explain, serve


class World:
    """Writes down what happened, and asks for the end when `stop_at` happens."""

    def __init__(self, stop_at: str = "ready", signals: int = 1) -> None:
        self.seen: list[str] = []
        self.active = 1
        self._stop_at = stop_at
        self._signals = signals
        self.drained = asyncio.Event()
        self.handler = lambda: None

    def note(self, what: str) -> None:
        self.seen.append(what)
        if what == self._stop_at:
            for _ in range(self._signals):
                self.handler()

    def listening(self, host: str, port: int) -> None:
        self.note(f"listening {host}:{port}")

    def ringing(self, listening: object) -> None:
        self.note(f"ringing {listening}")

    def loading(self) -> None:
        self.note("loading")

    def ready(self) -> None:
        self.note("ready")

    def stopping(self, sessions: int) -> None:
        self.note(f"stopping {sessions}")

    async def load(self) -> None:
        await asyncio.sleep(0)

    async def aclose(self) -> None:
        self.note("closed")

    async def drain(self, timeout_s: float) -> None:
        self.note(f"draining {timeout_s:g}")
        await self.drained.wait()
        self.note("drained")


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bind nothing."""

    async def listening(_runner: web.AppRunner, config: ServerConfig, _context: object) -> tuple[str, int]:
        return config.host, config.port

    monkeypatch.setattr(voice.serving, "_listen", listening)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the test process's heap alone."""
    monkeypatch.setattr("gc.freeze", lambda: None)


async def run(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    line: "Line | None" = None,
    try_engines: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> None:
    def take(_signal: int, handler: object) -> None:
        world.handler = handler  # type: ignore[assignment]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "add_signal_handler", take, raising=False)
    monkeypatch.setattr(loop, "remove_signal_handler", lambda _signal: None, raising=False)
    async with asyncio.timeout(5):
        served = Served(web.Application(), world, world, world, phone_line=line, try_engines=try_engines)
        await serve(served, ServerConfig(drain_s=7))


@pytest.mark.usefixtures("listen")
async def test_it_listens_before_the_models_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    world.drained.set()
    await run(world, monkeypatch)
    assert world.seen == [
        "listening 127.0.0.1:8080", "loading", "ready", "stopping 1", "draining 7", "drained", "closed",
    ]  # fmt: skip


@pytest.mark.usefixtures("listen")
async def test_engines_that_are_tried_out_for_long_do_not_keep_it_from_being_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    world.drained.set()

    async def try_for_ever() -> None:
        world.note("trying")
        try:
            await asyncio.Event().wait()
        finally:
            world.note("tried")

    await run(world, monkeypatch, try_engines=try_for_ever)
    assert {"ready", "trying"} <= set(world.seen)
    assert world.seen.index("tried") > world.seen.index("drained"), "it ends with the service"


@pytest.mark.usefixtures("listen")
async def test_a_second_signal_does_not_wait_for_the_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(signals=2)
    await run(world, monkeypatch)
    assert "drained" not in world.seen
    assert world.seen[-1] == "closed"


@pytest.mark.usefixtures("listen")
async def test_a_signal_while_loading_ends_the_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(stop_at="loading")
    world.drained.set()

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(world, "load", never)
    await run(world, monkeypatch)
    assert "ready" not in world.seen
    assert world.seen[-1] == "closed"


@pytest.mark.usefixtures("listen")
async def test_models_that_cannot_be_loaded_do_not_end_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(stop_at="failed")
    world.drained.set()

    async def fail() -> None:
        asyncio.get_running_loop().call_soon(world.note, "failed")
        raise OSError("no more processes")

    monkeypatch.setattr(world, "load", fail)
    await run(world, monkeypatch)
    assert "ready" not in world.seen
    assert "drained" in world.seen


async def test_an_address_that_cannot_be_bound_ends_everything_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> tuple[str, int]:
        raise ListenError("taken")

    monkeypatch.setattr(voice.serving, "_listen", refuse)
    world = World()
    with pytest.raises(ListenError):
        await run(world, monkeypatch)
    assert world.seen == ["closed"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, "x"), ["port 80 on h is in use", "--port 81"]),
        (OSError(errno.EACCES, "x"), ["port 80 needs more rights"]),
        (OSError(errno.EADDRNOTAVAIL, "x"), ["h is no address of this machine"]),
        (socket.gaierror(socket.EAI_NONAME, "x"), ["the host name h is not known"]),
        (OSError(errno.ENFILE, "x"), ["cannot listen at h port 80: Too many open files in system"]),
    ],
)
def test_a_listening_error_is_a_sentence_with_its_remedy(error: OSError, words: list[str]) -> None:
    said = explain(error, "h", 80)
    assert "\n" not in said
    for part in words:
        assert part in said


class Line:
    """A phone line that writes down what is done to it."""

    def __init__(self, world: World, fault: ListenError | None = None) -> None:
        self.listening = {"UDP": ("127.0.0.1", 5060)}
        self._world, self._fault = world, fault

    async def open(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._world.note("line open")

    def drain(self) -> None:
        self._world.note("line drains")

    async def aclose(self) -> None:
        self._world.note("line closed")


@pytest.mark.usefixtures("listen")
async def test_the_phone_refuses_new_calls_before_the_sessions_drain_and_hangs_up_after(monkeypatch) -> None:
    world = World()
    world.drained.set()
    await run(world, monkeypatch, Line(world))
    order = ["line open", "ringing {'UDP': ('127.0.0.1', 5060)}", "ready", "line drains", "draining 7", "drained"]
    assert [what for what in world.seen if what in (*order, "line closed")] == [*order, "line closed"]


@pytest.mark.usefixtures("listen")
async def test_a_phone_line_that_cannot_listen_stops_the_start(monkeypatch) -> None:
    world = World()
    with pytest.raises(ListenError, match="port 5060"):
        await run(world, monkeypatch, Line(world, ListenError("sip: port 5060 on 127.0.0.1 is in use")))
    assert "ready" not in world.seen
