"""Where the server plays (WebRTC, SIP): `output_audio_buffer.*`, and truncation at what was heard (contract 4.7).

first audio ─► started ─► ... ─► all drained and response done ─► stopped ─► the next one's started
                            └──► flushed ─► cleared, and the item is truncated
"""

from dataclasses import dataclass, field, replace

from voice.protocol import server_events as wire_events
from voice.session.core import Core
from voice.session.effects import TellCut
from voice.session.items import AudioPart, Message
from voice.session.output import PART_INDEX
from voice.session.playback import truncate


@dataclass(slots=True)
class _Playing:
    items: dict[str, int] = field(default_factory=dict)
    """Items that are not drained, and their places in the line of all that was queued."""
    is_done: bool = False
    is_audible: bool = False
    """`started` was sent."""


class PlayoutLedger:
    """Knows which response is audible. Idle where the client plays."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._responses: dict[str, _Playing] = {}
        self._queued = 0

    @property
    def is_playing(self) -> bool:
        """True while something generated has not been heard to its end."""
        return bool(self._responses)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The responses of which some was queued and more may come."""
        return tuple(response_id for response_id, playing in self._responses.items() if not playing.is_done)

    def note_audio(self, response_id: str, item_id: str) -> None:
        """Audio of an item is being queued."""
        if not self._core.traits.server_plays:
            return
        playing = self._responses.setdefault(response_id, _Playing())
        if item_id not in playing.items:
            self._queued += 1
            playing.items[item_id] = self._queued
        self._start_next()

    def note_done(self, response_id: str) -> None:
        """A response is done: what is queued of it plays out."""
        if response_id in self._responses:
            self._responses[response_id].is_done = True
            self._stop_if_over(response_id)

    def receive_drained(self, item_id: str) -> None:
        """An item was heard to its end."""
        for response_id, playing in list(self._responses.items()):
            if item_id in playing.items:
                del playing.items[item_id]
                self._stop_if_over(response_id)
        self._note_played()

    def receive_flushed(self, item_id: str, played_ms: int) -> None:
        """Playout was cut: the item ends at `played_ms`, and of what was queued behind it nothing was heard.

        What stood before it was heard, even if that is still on its way here.
        """
        out = self._core.out
        places: dict[str, int] = {}
        for response_id, playing in list(self._responses.items()):
            del self._responses[response_id]
            if playing.is_audible:
                out.send(wire_events.OutputAudioBufferCleared(event_id=out.event_id(), response_id=response_id))
            places |= playing.items
        unheard = [queued for queued, place in places.items() if place > places.get(item_id, 0)]
        for cut_id, cut_ms in ((item_id, played_ms), *((queued, 0) for queued in unheard)):
            item = self._core.conversation.get(cut_id)
            if isinstance(item, Message):
                truncate_item(self._core, item, cut_ms)
        self._note_played()

    def _note_played(self) -> None:
        if not self.is_playing:
            self._core.idle.note_played(self._core.now_s)

    def _stop_if_over(self, response_id: str) -> None:
        playing = self._responses[response_id]
        if playing.is_done and not playing.items:
            del self._responses[response_id]
            out = self._core.out
            out.send(wire_events.OutputAudioBufferStopped(event_id=out.event_id(), response_id=response_id))
            self._start_next()

    def _start_next(self) -> None:
        """What is queued behind another response begins to be heard once that one has stopped (contract 4.2)."""
        response_id = next(iter(self._responses), None)
        if response_id is not None and not self._responses[response_id].is_audible:
            self._responses[response_id].is_audible = True
            out = self._core.out
            out.send(wire_events.OutputAudioBufferStarted(event_id=out.event_id(), response_id=response_id))


def truncate_item(core: Core, item: Message, played_ms: int) -> None:
    """Cut an item's speech where it was last heard; speech that was heard whole stays as it is."""
    part = item.parts[PART_INDEX] if item.parts else None
    if not isinstance(part, AudioPart) or part.truncated or played_ms >= part.duration_ms:
        return
    cut = replace(item, parts=(truncate(part, played_ms),))
    core.conversation.replace(cut)
    core.out.add(TellCut(cut))
    core.out.send(
        wire_events.ConversationItemTruncated(
            event_id=core.out.event_id(), item_id=item.id, content_index=PART_INDEX, audio_end_ms=played_ms
        )
    )
