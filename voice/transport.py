"""The port of what carries a session: WebSocket, WebRTC, SIP, a microphone (implemented in `transports/`).

Outputs are synchronous: they fill an outbox or a paced buffer that the transport's own writer drains, so that
deciding and performing never await (design §3). `wait_playable` is the only back-pressure.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from voice.audio.frames import AudioFrame
from voice.protocol.client_events import ClientEvent
from voice.protocol.server_events import ServerEvent
from voice.session.effects import FinishAudio, PlayAudio


@dataclass(frozen=True, slots=True)
class Flushed:
    """How much of an item the caller heard when its playout was cut."""

    item_id: str
    played_ms: int


class Transport(Protocol):
    """One session's carrier. Each iterator is read by one task; everything else is called between awaits."""

    @property
    def plays_in_real_time(self) -> bool:
        """True where playout happens here (WebRTC, SIP, microphone), so that what was heard is known here."""
        ...

    def frames(self) -> AsyncIterator[AudioFrame]:
        """Yield the caller's audio where it comes apart from events; ends with the media, at once on WebSocket."""
        ...

    def client_events(self, take: Callable[[ClientEvent], bool] | None = None) -> AsyncIterator[ClientEvent]:
        """Yield what the client sends, audio appends among it, in order. Ends when the client is gone.

        A transport may offer an event to `take` where it arrives, which spares waking a task; what that returns True
        for is not yielded. `take` must not raise.
        """
        ...

    def send_event(self, event: ServerEvent) -> None:
        """Queue an event for the wire. A full outbox is a slow consumer: the transport closes itself."""
        ...

    def play_audio(self, audio: PlayAudio) -> None:
        """Queue audio for the caller."""
        ...

    def finish_audio(self, audio: FinishAudio) -> None:
        """Note that an item is complete: `drained` is due when it has been played."""
        ...

    def flush_audio(self) -> Flushed | None:
        """Drop what has not been played; say what was. None where the client plays, or nothing was playing."""
        ...

    @property
    def is_playable(self) -> bool:
        """True while more audio may be queued."""
        ...

    async def wait_playable(self) -> None:
        """Return when more audio may be queued. Cancelling is safe."""
        ...

    async def wait_drained(self) -> str:
        """Return the id of the next item that has been played to its end. Never returns where the client plays."""
        ...

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, as far as the peer takes it, and close. Safe to call twice."""
        ...
