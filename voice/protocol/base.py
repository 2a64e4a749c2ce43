"""What every object on the wire has in common: which of its fields are sent."""

from typing import Any, ClassVar, Final, get_args

import msgspec
from pydantic import BaseModel, ConfigDict


class WireModel(BaseModel):
    """An object of the contract. A field that was not given is absent on the wire; one given as None is `null`.

    Constants (`type`, `object`) are sent always. Serialise with `exclude_unset=True`, as the codec does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    constants: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that hold one fixed value."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Collect the constants of a new class."""
        cls.constants = frozenset(
            name
            for name, field in cls.model_fields.items()
            if name in ("type", "object") and get_args(field.annotation) == (field.default,)
        )

    def model_post_init(self, context: Any) -> None:
        """Count the constants among the fields that were given."""
        self.__pydantic_fields_set__.update(self.constants)


PADDED_TO_BYTES: Final = 16
"""Longer than nearly every word, so that nearly every delta of words is as long as any other."""

_PADDING: Final = "3kQv9ZtXb7LmRw2c"
"""It needs to be no secret: it is encrypted with the rest, and no frame is compressed."""


class PaddedDelta(WireModel):
    """A delta of text, made as long on the wire as others: who watches encrypted frames would else read the lengths of
    the words, and of them much of what is said. The live service does so, too (contract 4.2).
    """

    delta: str
    obfuscation: str = ""
    """What fills it up to a multiple of 16 bytes of JSON, unless it is given. Clients ignore it."""

    def model_post_init(self, context: Any) -> None:
        """Pad."""
        super().model_post_init(context)
        if "obfuscation" not in self.__pydantic_fields_set__:
            written = len(msgspec.json.encode(self.delta)) - len('""')
            self.__dict__["obfuscation"] = _PADDING[: -written % PADDED_TO_BYTES]
            self.__pydantic_fields_set__.add("obfuscation")


class ServerEvent(WireModel):
    """What the server sends. Each event has a class of its own, named after its type."""

    type: str
    event_id: str
    """Unique in the session."""
