"""The two ways in which bytes come: a URL of the hub, and packages of the registry that `pip` is configured for."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from voice.models.weights import Package

_CONNECT_TIMEOUT_S = 5.0
_READ_BYTES = 1 << 18
_POLL_S = 0.2
_PIP_RETRIES = 3

ShowBytes = Callable[[int], None]
"""Gets the bytes loaded so far."""


class SourceUnreachable(Exception):
    """A source gives nothing, or not all; the next one is tried. The text is one sentence."""


class Registry(Protocol):
    """Loads one package's wheel into a folder and returns its path, unless it is there already."""

    def __call__(self, package: Package, folder: Path, platform: str | None, show: ShowBytes) -> Path:
        """Raises: SourceUnreachable."""
        ...


def continue_download(url: str, target: Path, size_bytes: int, show: ShowBytes) -> None:
    """Load a URL into `target`, going on where an earlier attempt stopped.

    Raises: SourceUnreachable; what has come so far stays in `target`.
    """
    have = target.stat().st_size if target.exists() else 0
    if have > size_bytes:
        target.unlink()
        have = 0
    if have == size_bytes:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    host = urllib.parse.urlsplit(url).netloc
    try:
        with urllib.request.urlopen(request, timeout=_CONNECT_TIMEOUT_S) as response:
            if response.status != 206:
                have = 0  # the server does not do ranges: it sends all of it again
            with target.open("ab" if have else "wb") as out:
                while chunk := response.read(_READ_BYTES):
                    out.write(chunk)
                    have += len(chunk)
                    show(have)
    except (urllib.error.URLError, TimeoutError, ConnectionError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise SourceUnreachable(f"{host} cannot be reached ({reason}).") from error
    if have != size_bytes:
        raise SourceUnreachable(f"{host} sent {have} of {size_bytes} bytes.")


def pip_download(package: Package, folder: Path, platform: str | None, show: ShowBytes) -> Path:
    """Load a wheel with `pip download`, as an opaque file: no dependencies, nothing built, nothing run.

    Raises: SourceUnreachable.
    """
    if (here := _wheel_in(folder, package)) is not None:
        show(package.size_bytes)
        return here
    with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as scratch:
        loaded = Path(scratch) / "loaded"
        temporary = Path(scratch) / "tmp"
        temporary.mkdir()
        _run_pip(package, loaded, temporary, platform, show)
        wheel = _wheel_in(loaded, package)
        if wheel is None:
            raise SourceUnreachable(f"The package registry gave no wheel for {package.name} {package.version}.")
        return Path(shutil.move(wheel, folder / wheel.name))


def _run_pip(package: Package, loaded: Path, temporary: Path, platform: str | None, show: ShowBytes) -> None:
    """Run pip and show how its temporary files grow: its own progress bar cannot be read by a program."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--quiet", "--disable-pip-version-check", "--retries", str(_PIP_RETRIES), "--dest", str(loaded)]
    command += ["--platform", platform] if platform is not None else []
    command += [f"{package.name}=={package.version}"]
    with (temporary / "pip.log").open("w+b") as log:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(temporary)},
            )
        except OSError as error:
            raise SourceUnreachable(f"pip cannot be run: {error}.") from error
        try:
            while process.poll() is None:
                show(min(_size_of(loaded) + _size_of(temporary), package.size_bytes))
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait()
        if process.returncode:
            log.seek(0)
            lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
            raise SourceUnreachable(f"pip could not load {package.name} {package.version} ({errors[-1].strip()}).")
    show(package.size_bytes)


def _wheel_in(folder: Path, package: Package) -> Path | None:
    stem = package.name.replace("-", "_")
    return next(iter(sorted(folder.glob(f"{stem}-{package.version}-*.whl"))), None)


def _size_of(folder: Path) -> int:
    """Bytes of the files under a folder that another process is changing."""
    total = 0
    for path in folder.rglob("*") if folder.exists() else ():
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
