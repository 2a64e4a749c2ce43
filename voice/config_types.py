"""What the sections of the configuration are made of: field types that look around for secrets, files, models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

HIDDEN = "****"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a value of the configuration may refer to; given to pydantic as the validation context."""

    folder: Path = field(default_factory=Path.cwd)
    """Relative paths start here: the folder of the configuration file."""
    environ: Mapping[str, str] = field(default_factory=dict)


def _surroundings(info: ValidationInfo) -> Surroundings:
    return info.context if isinstance(info.context, Surroundings) else Surroundings()


def _complain(text: str) -> PydanticCustomError:
    # A custom error, because pydantic would put "Value error, " before a ValueError's text.
    return PydanticCustomError("config", "{reason}", {"reason": text})


def _read_secret(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str):
        return value
    kind, _, name = value.partition(":")
    if kind == "env":
        secret = _surroundings(info).environ.get(name, "")
        if not secret:
            raise _complain(f"the environment variable {name} is not set")
    elif kind == "file":
        path = _surroundings(info).folder / name
        try:
            secret = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise _complain(f"the secret file {name} cannot be read: {error.strerror}") from error
        if not secret:
            raise _complain(f"the secret file {name} is empty")
    else:
        secret = value
    if not secret:
        raise _complain("a secret cannot be empty")
    if not secret.isascii() or not secret.isprintable() or secret != secret.strip():
        raise _complain("a secret must be printable ASCII without blanks around it, to stand in a header")
    return secret


def _find(value: Any, info: ValidationInfo, kind: Literal["file", "folder"]) -> Any:
    if not isinstance(value, str | Path):
        return value
    path = _surroundings(info).folder / Path(value).expanduser()
    if not (path.is_file() if kind == "file" else path.is_dir()):
        raise _complain(f"there is no {kind} {value}")
    return path


@dataclass(frozen=True, slots=True)
class ModelName:
    """Marks text that must name a model of the manifest."""

    role: str
    """As in `voice models list`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the name after the text."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        from voice.models.weights import MODELS  # imported late: `voice config` should not wait for it

        names = [model.name for model in MODELS.values() if model.role == self.role]
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; there is {', '.join(names)}"
            raise _complain(f"'{name}' is no {self.role.removesuffix('-model')} model{hint}")
        return name


Secret = Annotated[
    SecretStr,
    BeforeValidator(_read_secret),
    PlainSerializer(lambda _secret: HIDDEN, return_type=str),
    GetPydanticSchema(
        get_pydantic_json_schema=lambda _schema, _handler: {
            "type": "string",
            "description": "The secret itself, or where it is: env:NAME or file:path.",
        }
    ),
]
"""Written in the file as it is, or better as `env:NAME` or `file:path`."""

ExistingFile = Annotated[Path, BeforeValidator(lambda value, info: _find(value, info, "file"))]
"""A file that must be there; a relative path starts in the configuration file's folder."""

ExistingFolder = Annotated[Path, BeforeValidator(lambda value, info: _find(value, info, "folder"))]


class Section(BaseModel):
    """A part of the tree: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class TlsConfig(Section):
    """Makes the service speak https and wss by itself. Renewed files are taken without a restart."""

    certificate: ExistingFile
    """PEM, the whole chain."""
    key: ExistingFile
    """PEM, without a passphrase."""


__all__ = [
    "HIDDEN",
    "ExistingFile",
    "ExistingFolder",
    "ModelName",
    "Secret",
    "Section",
    "Surroundings",
    "TlsConfig",
]
