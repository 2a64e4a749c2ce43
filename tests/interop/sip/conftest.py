"""Real SIP peers against our endpoint: sipp, baresip and Kamailio from Debian, all on this machine."""

import asyncio
import json
import random
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sip.call import IncomingCall
from sip.call_effects import CallEnded
from sip.endpoint import EndpointSettings, SipEndpoint
from sip.media import Agreement, LocalMedia
from voice.talk.service import free_port as tcp_port

PATIENCE_S = 20.0


def needs(program: str) -> None:
    """Skip a test whose peer is not installed."""
    if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
        pytest.skip(f"{program} is not installed: `make peers` tells")


def free_port() -> int:
    """Return a port that is free for UDP and TCP; below those that the kernel gives to others."""
    while True:
        port = tcp_port()
        with suppress(OSError), socket.socket(type=socket.SOCK_DGRAM) as datagram:
            datagram.bind(("127.0.0.1", port))
            return port


def free_media_ports(count: int) -> int:
    """Return an even port from which so many are free for UDP; below those that the kernel gives to others."""
    for _ in range(200):
        first = random.randrange(10_000, 20_000 - count, 2)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no ports are free")


@dataclass
class Leg:
    """What one call was told."""

    call: IncomingCall
    agreements: list[Agreement] = field(default_factory=list)
    infos: list[bytes] = field(default_factory=list)
    end: CallEnded | None = None
    is_confirmed: bool = False

    def media_changed(self, agreement: Agreement) -> None:
        self.agreements.append(agreement)

    def confirmed(self) -> None:
        self.is_confirmed = True

    def info_arrived(self, content_type: str, body: bytes) -> None:
        self.infos.append(body)

    def info_answered(self, status: int) -> None: ...

    def ended(self, ended: CallEnded) -> None:
        self.end = ended


class Desk:
    """Takes calls: rings, and answers after a while."""

    def __init__(self, answer_after_s: float | None = 0.0) -> None:
        """`answer_after_s`: None never answers."""
        self.answer_after_s = answer_after_s
        self.legs: list[Leg] = []

    def call_arrived(self, call: IncomingCall) -> None:
        leg = Leg(call)
        self.legs.append(leg)
        call.listen(leg)
        call.ring()
        if self.answer_after_s == 0.0:
            self._answer(leg)
        elif self.answer_after_s is not None:
            asyncio.get_running_loop().call_later(self.answer_after_s, self._answer, leg)

    def _answer(self, leg: Leg) -> None:
        if leg.end is None:
            trunk = leg.call.arrival.trunk
            leg.call.answer(LocalMedia(leg.call.arrival.address, 40_000, codecs=trunk.codecs, srtp=trunk.srtp))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(
    desk: Desk, settings: EndpointSettings | None = None, **named: object
) -> AsyncIterator[SipEndpoint]:
    """Run an endpoint on a free port; nothing may be left over at its end."""
    settings = settings or EndpointSettings(port=0, tls_port=0)
    async with SipEndpoint(settings, named.pop("trunks", ()), desk, **named) as endpoint:  # type: ignore[arg-type]
        yield endpoint
        assert endpoint.agent.admission.calls == endpoint.calls


@dataclass(frozen=True)
class Ran:
    """A program that has ended."""

    status: int
    said: str


class Sipp:
    """Runs sipp."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, scenario: str, port: int, *options: str, calls: int = 1) -> Ran:
        """Run a scenario against a port of this machine; the status is 0 when every call went as written."""
        (self._folder / "scenario.xml").write_text(scenario)
        errors = self._folder / "errors.log"
        arguments = ["sipp", "-sf", str(self._folder / "scenario.xml"), f"127.0.0.1:{port}", "-i", "127.0.0.1"]
        arguments += [
            "-p",
            str(free_port()),
            "-mp",
            str(free_media_ports(4)),
            "-m",
            str(calls),
            "-nostdin",
            "-s",
            "100",
        ]
        arguments += ["-timeout", "30", "-trace_err", "-error_file", str(errors), *options]
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            async with asyncio.timeout(40):
                _, said = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        written = errors.read_text(errors="replace") if errors.exists() else ""
        return Ran(process.returncode or 0, said.decode(errors="replace")[-500:] + written[-2000:])


@pytest.fixture
def sipp(tmp_path: Path) -> Sipp:
    """Run sipp scenarios."""
    needs("sipp")
    return Sipp(tmp_path)


class Baresip:
    """A phone without a sound card, told what to do over its control port (JSON in netstrings)."""

    def __init__(
        self,
        folder: Path,
        *,
        transport: str = "udp",
        account: str = "",
        config: str = "",
        codec: str = "PCMU/8000/1",
        rate_hz: int = 8_000,
    ) -> None:
        """`rate_hz` is that of `mic.wav` in `folder`, which is what the phone says."""
        self._control = free_port()
        self.folder = folder
        lines = [
            "poll_method epoll",
            f"sip_listen 127.0.0.1:{free_port()}",
            "net_interface 127.0.0.1",
            "call_local_timeout 120",
            f"audio_source aufile,{folder}/mic.wav",
            f"ausrc_srate {rate_hz}",
            f"auplay_srate {rate_hz}",
            "ausrc_channels 1",
            "auplay_channels 1",
            "module_path /usr/lib/baresip/modules",
            *(f"module {name}.so" for name in ("g711", "g722", "opus", "aufile", "sndfile", "srtp")),
            "module_tmp account.so",
            "module_app menu.so",
            "module_app ctrl_tcp.so",
            f"ctrl_tcp_listen 127.0.0.1:{self._control}",
            f"snd_path {folder}",
            config,
        ]
        (folder / "config").write_text("\n".join(lines) + "\n")
        (folder / "accounts").write_text(
            f"<sip:alice@127.0.0.1;transport={transport}>;regint=0;audio_codecs={codec}{account}\n"
        )
        (folder / "contacts").write_text("")
        self._log = (folder / "baresip.log").open("wb")
        self.events: list[dict[str, object]] = []

    async def __aenter__(self) -> "Baresip":
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-4", "-f", str(self.folder), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._control)
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._listening.cancel()
        await asyncio.wait({self._listening})
        self._writer.close()
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(3):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._log.close()

    async def _listen(self) -> None:
        while True:
            try:
                size = (await self._reader.readuntil(b":"))[:-1]
                self.events.append(json.loads(await self._reader.readexactly(int(size))))
                await self._reader.readexactly(1)
            except (asyncio.IncompleteReadError, ConnectionError):
                return

    def tell(self, command: str, params: str = "") -> None:
        """Give a command: dial, hangup, hold, resume …"""
        data = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self._writer.write(b"%d:%s," % (len(data), data))

    async def event(self, *kinds: str) -> dict[str, object]:
        """Wait for an event of one of these types."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = next((one for one in self.events if one.get("type") in kinds), None)
                if found is not None:
                    return found
                await asyncio.sleep(0.02)


@pytest.fixture
def make_baresip(tmp_path: Path) -> Callable[..., Baresip]:
    """Make a phone: `transport, account, config`."""
    needs("baresip")
    import wave

    with wave.open(str(tmp_path / "mic.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16_000 * 60))
    return lambda **named: Baresip(tmp_path, **named)
