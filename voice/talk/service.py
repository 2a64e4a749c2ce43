"""A service of one's own as a child process: for `voice talk` without a running one, for benches and tests."""

import errno
import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from voice.talk.errors import ServiceUnreachable

_COMMAND = "import sys; from voice.cli import main; sys.exit(main())"
"""The command line itself, without relying on its script being on the path."""


_PORTS = range(22_000, 32_000)
"""Below those that Linux gives to connections that go out, one of which might take a port before its server does."""

_untried = iter(random.sample(_PORTS, len(_PORTS)))
"""Each is given once a process: whoever asked for one may not listen there yet."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a TCP port that nobody has at this moment. Raises: ServiceUnreachable when none is left, OSError."""
    for port in _untried:
        try:
            with socket.create_server((host, port)):
                return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise ServiceUnreachable(f"no port is free on {host} from {_PORTS.start} to {_PORTS.stop - 1}")


def is_ready(host: str, port: int, timeout_s: float = 1.0, *, tls: ssl.SSLContext | None = None) -> bool:
    """Tell whether a service there would take a caller (`/readyz` answers 200)."""
    connection = (
        http.client.HTTPConnection(host, port, timeout=timeout_s)
        if tls is None
        else http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls)
    )
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class ServiceProcess:
    """Starts `voice serve` on a free port, waits until it is ready, stops it by its pid at the end."""

    def __init__(
        self,
        *options: str,
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
        ready_timeout_s: float = 60.0,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        """Prepare only.

        `options` go to `voice serve`; `prefix` goes before the interpreter (`taskset -c 0`); `folder` is where it runs.
        `tls` is a certificate for 127.0.0.1 and its key, which it then speaks https and wss with.
        """
        self.host = "127.0.0.1"
        self.port = free_port(self.host)
        self.url = f"{'wss' if tls else 'ws'}://{self.host}:{self.port}/v1/realtime"
        self.http_url = f"{'https' if tls else 'http'}://{self.host}:{self.port}"
        place = ("--host", self.host, "--port", str(self.port))
        self._command = [*prefix, sys.executable, "-c", _COMMAND, "serve", *place, *options]
        self._environment = _environment(tls) | (environment or {})
        self._trust = ssl.create_default_context(cafile=tls[0]) if tls else None
        self._folder = folder
        self._ready_timeout_s = ready_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it. Raises: ServiceUnreachable with the last lines it printed when it does not get ready."""
        self._output = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            cwd=self._folder,
        )
        deadline_s = time.monotonic() + self._ready_timeout_s
        while not is_ready(self.host, self.port, tls=self._trust):
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline_s:
                said = self.output(12)
                self.stop()
                why = (
                    f"ended with status {ended}"
                    if ended is not None
                    else f"was not ready after {self._ready_timeout_s:.0f} s"
                )
                raise ServiceUnreachable(f"the service started for this {why}:\n{said}".rstrip())
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def pid(self) -> int:
        """Of the service itself."""
        if self._process is None:
            raise RuntimeError("the service was not started")
        return self._process.pid

    def output(self, lines: int = 200) -> str:
        """Return the last lines it printed."""
        if self._output is None:
            return ""
        # The child writes through the same open file: its own offset must not be moved.
        size = os.fstat(self._output.fileno()).st_size
        text = os.pread(self._output.fileno(), size, 0).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def stop(self, grace_s: float = 4.0) -> int | None:
        """End it and return its exit status: SIGTERM lets sessions finish, a second one ends them, then SIGKILL.

        Safe to call twice.
        """
        if self._process is None:
            return None
        for sign in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(sign)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        if self._output is not None:
            self._output.close()
            self._output = None
        return self._process.returncode


def _environment(tls: tuple[Path, Path] | None) -> dict[str, str]:
    """The child runs these very sources, whatever folder it runs in."""
    paths = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    if tls is not None:
        environment["VOICE__SERVER__TLS__CERTIFICATE"], environment["VOICE__SERVER__TLS__KEY"] = map(str, tls)
    return environment
