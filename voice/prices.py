"""What models cost: a price list read from one file, and a meter that adds up what a session used. Money is decimal.

A response costs (in - cached) at the input price, cached at the cached price, out at the output price, for words,
speech and pictures each (contract §5); listening goes by the minute, speaking by characters or minutes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from voice.engines.port import TokenUsage

MILLION = Decimal(1_000_000)

Dollars = Annotated[Decimal, BeforeValidator(str), Field(ge=0)]
"""Written as a number; read as the digits that stand there, not as the nearest binary fraction."""


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class TokenPrice(_Entry):
    """Of a million tokens of one kind."""

    input: Dollars = Field(Decimal(0), alias="in")
    cached: Dollars | None = None
    """None: cached tokens cost what others do."""
    output: Dollars = Field(Decimal(0), alias="out")

    def cost(self, taken: int, cached: int, given: int) -> Decimal:
        """Return what so many tokens cost; `cached` of those taken were in the server's cache."""
        cached_price = self.input if self.cached is None else self.cached
        return ((taken - cached) * self.input + cached * cached_price + given * self.output) / MILLION


class Price(_Entry):
    """Of one model; what it is not charged for is 0."""

    text: TokenPrice = TokenPrice()
    audio: TokenPrice = TokenPrice()
    image: TokenPrice = TokenPrice()
    minutes: Dollars = Decimal(0)
    """A minute of speech that is written down."""
    characters: Dollars = Decimal(0)
    """A million characters that are spoken."""
    minutes_spoken: Dollars = Decimal(0)
    """A minute of speech that is made."""

    def of_tokens(self, usage: TokenUsage) -> Decimal:
        """Return what a response costs."""
        return (
            self.text.cost(usage.input_text, usage.cached_text, usage.output_text)
            + self.audio.cost(usage.input_audio, usage.cached_audio, usage.output_audio)
            + self.image.cost(usage.input_image, usage.cached_image, 0)
        )

    def of_listening(self, duration_s: float) -> Decimal:
        """Return what so much speech costs to be written down."""
        return self.minutes * _exact(duration_s) / 60

    def of_speaking(self, characters: int, duration_s: float) -> Decimal:
        """Return what a text costs to be spoken."""
        return self.characters * characters / MILLION + self.minutes_spoken * _exact(duration_s) / 60


_entries = TypeAdapter(dict[str, Price])


class PriceList:
    """Prices by model."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = dict(prices)

    @classmethod
    def read(cls, path: Path | None = None) -> "PriceList":
        """Read a file, or the one that comes with the service. Raises: OSError, ValueError."""
        text = (
            path.read_text(encoding="utf-8")
            if path is not None
            else resources.files("voice").joinpath("prices.yaml").read_text(encoding="utf-8")
        )
        try:
            entries = YAML(typ="safe").load(text)
        except YAMLError as error:
            raise ValueError(str(error)) from error
        return cls(_entries.validate_python(entries or {}))

    def find(self, model: str) -> Price | None:
        """Return the price of a model, or of the longest name that it begins with; None for one that is not listed."""
        names = [name for name in self._prices if model == name or model.startswith(f"{name}-")]
        return self._prices[max(names, key=len)] if names else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._prices)


@dataclass(slots=True)
class CostMeter:
    """What one session has cost so far, by model. A model without a price counts as 0 and is named."""

    prices: PriceList
    by_model: dict[str, Decimal] = field(default_factory=dict)
    unpriced: set[str] = field(default_factory=set)

    @property
    def total(self) -> Decimal:
        """In dollars."""
        return sum(self.by_model.values(), Decimal(0))

    def summary(self) -> dict[str, Any]:
        """Return what a log line says of it: nothing for a session that nobody charges for."""
        if not self.by_model:
            return {}
        named = {"unpriced": sorted(self.unpriced)} if self.unpriced else {}
        return {"cost_usd": float(round(self.total, 6)), **named}

    def add_tokens(self, model: str, usage: TokenUsage) -> None:
        """Count a response."""
        price = self._price(model)
        self.by_model[model] += price.of_tokens(usage)

    def add_listening(self, model: str, duration_s: float) -> None:
        """Count speech that was written down."""
        price = self._price(model)
        self.by_model[model] += price.of_listening(duration_s)

    def add_speaking(self, model: str, characters: int, duration_s: float) -> None:
        """Count a text that was spoken."""
        price = self._price(model)
        self.by_model[model] += price.of_speaking(characters, duration_s)

    def _price(self, model: str) -> Price:
        self.by_model.setdefault(model, Decimal(0))
        price = self.prices.find(model)
        if price is None:
            self.unpriced.add(model)
        return price or Price()


class CostBook:
    """The meters of the sessions that live; parts that cost money find a session's by its id."""

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self._open: dict[str, CostMeter] = {}

    def open(self, session_id: str) -> CostMeter:
        """Begin to count for a session."""
        meter = self._open[session_id] = CostMeter(self._prices)
        return meter

    def meter(self, session_id: str) -> CostMeter:
        """Return a session's meter; for one that is not open, a meter that nobody reads."""
        return self._open.get(session_id) or CostMeter(self._prices)

    def close(self, session_id: str) -> None:
        """End a session's count."""
        self._open.pop(session_id, None)


MeterOf = Callable[[str], CostMeter]
"""Finds the meter of a session by its id."""


def _exact(value: float) -> Decimal:
    return Decimal(str(round(value, 6)))
