"""What every object on the wire has in common: which of its fields are sent."""

from typing import Any, ClassVar, get_args

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


class ServerEvent(WireModel):
    """What the server sends. Each event has a class of its own, named after its type."""

    type: str
    event_id: str
    """Unique in the session."""
