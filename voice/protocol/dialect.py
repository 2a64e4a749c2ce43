"""How a client speaks: what reads its frames, and what becomes of ours before it reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from voice.protocol.beta import to_beta, to_ga
from voice.protocol.client_events import ClientEvent, InvalidEvent
from voice.protocol.codec import decode_client_event

_Event = TypeVar("_Event")


@dataclass(frozen=True, slots=True)
class Dialect(Generic[_Event]):
    """A vocabulary on the wire. Neither function raises."""

    decode: Callable[[str], _Event | InvalidEvent]
    rewrite: Callable[[str], str | None] | None = None
    """Takes a frame of the contract; None: it has no place in this dialect. Without it frames go as they are."""

    def spoken(self, frame: str) -> str | None:
        """Return one of our frames as the client is to read it; None: not at all."""
        return self.rewrite(frame) if self.rewrite is not None else frame


def _decode_beta(frame: str) -> ClientEvent:
    return decode_client_event(to_ga(frame))


GA: Final[Dialect[ClientEvent]] = Dialect(decode_client_event)
"""The contract."""

BETA: Final[Dialect[ClientEvent]] = Dialect(_decode_beta, to_beta)
"""What clients of 2024 speak (contract 7.7)."""
