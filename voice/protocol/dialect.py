"""How a client speaks: what reads its frames, and what becomes of ours before it reads them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from voice.protocol.beta import AUDIO_DELTA, ServerWords, client_event
from voice.protocol.client_events import ClientEvent, InvalidEvent
from voice.protocol.codec import decode_client_event

_Event = TypeVar("_Event")

_DELTA: Final = '{"type":"response.output_audio.delta"'
_BETA_DELTA: Final = f'{{"type":"{AUDIO_DELTA}"'


@dataclass(frozen=True, slots=True)
class Dialect(Generic[_Event]):
    """A vocabulary on the wire. Neither function raises."""

    decode: Callable[[str], _Event | InvalidEvent]
    rewrite: Callable[[str], Iterable[str]] | None = None
    """Takes a frame of the contract and returns what is sent for it, which may be nothing. Without it frames go as they
    are."""

    def spoken(self, frame: str) -> Iterable[str]:
        """Return one of our frames as the client is to read it."""
        return self.rewrite(frame) if self.rewrite is not None else (frame,)


GA: Final[Dialect[ClientEvent]] = Dialect(decode_client_event)
"""The contract."""


def beta_dialect() -> Dialect[ClientEvent]:
    """Return what a client of 2024 speaks (contract 7.7). One for each connection: it knows what was not shown."""
    words = ServerWords()

    def rewrite(frame: str) -> Iterable[str]:
        if frame.startswith(_DELTA):  # the codec writes the type first; megabytes of these are not to be parsed
            return (_BETA_DELTA + frame[len(_DELTA) :],)
        return [msgspec.json.encode(event).decode() for event in words.of(msgspec.json.decode(frame))]

    return Dialect(lambda text: decode_client_event(text, client_event), rewrite)
