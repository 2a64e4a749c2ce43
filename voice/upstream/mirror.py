"""What an upstream's conversation holds, and what has to be sent so that it holds ours (design §3: engines mirror).

    ours      user 1 · agent 1 (cut at 800 ms) · user 2
    upstream  user 1 · agent 1                 · user 2      sync ─► truncate agent 1 at 800 ms

Pure. A fresh mirror is an empty conversation: what `sync` returns then is the replay. Ids are ours where we create an
item; what the upstream created (answers, committed speech) keeps the upstream's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES
from voice.session.items import AudioPart, Item, Message, ToolCall
from voice.upstream.words import Event, call_output, item_create, items_of

ROOT = "root"

SOUND_SAMPLES = 60 * CORE_RATE_HZ
"""Of the caller's speech that is replayed as sound, the newest; before that it is replayed in words. More would cost
seconds of sending, and its tokens once more."""


@dataclass(slots=True)
class _Held:
    ids: list[str]
    """Upstream's: one, or two for a call that has its output. Empty: nothing to tell of it, or not known yet."""
    is_live: bool
    """The upstream made it: only a cut or an output is told."""
    sent: list[Event] | None = None
    """What it was created from. None: sound among it, which does not change any more."""
    truncated_ms: int | None = None
    is_hosted: bool = False
    """A call that the upstream ran itself: it has the output already."""


class Mirror:
    """Keeps the books of one connection."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._outputs: dict[str, None] = {}
        """Messages the upstream made that are none of ours yet."""
        self._calls: dict[str, str] = {}
        """Calls the upstream made: call id to its item's id."""
        self._hosted: set[str] = set()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._held

    def note_output(self, item_id: str, call_id: str | None = None) -> None:
        """The upstream's answer has that item."""
        if call_id is None:
            self._outputs[item_id] = None
        else:
            self._calls[call_id] = item_id

    def note_hosted(self, item_id: str) -> None:
        """The upstream's answer calls a hosted tool; ours names the call after that item."""
        self._hosted.add(item_id)

    def note_speech(self, item_id: str, upstream_id: str | None = None) -> None:
        """Speech of ours is being committed there; the upstream's name for it may come later."""
        self._held[item_id] = _Held([upstream_id] if upstream_id else [], is_live=True)

    def forget(self, item_id: str) -> None:
        """It was not taken: the next `sync` creates it."""
        self._held.pop(item_id, None)

    def context(self, items: Sequence[Item]) -> list[Event] | None:
        """Return the items of an out-of-band response; None when they are just what the upstream holds.

        Whole items: the official client's types know no references to them.
        """
        if [item.id for item in items] == list(self._held) and not any(self._pending(item) for item in items):
            return None
        return [{key: value for key, value in wire.items() if key != "id"} for item in items for wire in items_of(item)]

    def _pending(self, item: Item) -> bool:
        """Tell whether `sync` would have something to say of an item that is held."""
        held = self._held[item.id]
        if not held.is_live:
            return _differs(held, item)
        return bool(_changes(replace(held, ids=list(held.ids)), item))

    def cut(self, item: Item) -> list[Event]:
        """Return what cuts an item that the upstream made, and count it as done."""
        self._claim([item])
        held = self._held.get(item.id)
        return [] if held is None else _changes(held, item)

    def sync(self, items: Sequence[Item], *, is_replay: bool = False) -> list[Event]:
        """Return what makes the upstream's conversation these items, and count it as done.

        `is_replay`: another line has been told all of this; what is old is told in words.
        """
        self._claim(items)
        events = list(self._deletions({item.id for item in items}))
        in_words = _old_sound(items) if is_replay else set()
        previous = ROOT
        for item in items:
            held = self._held.get(item.id)
            if held is not None and not held.is_live and _differs(held, item):
                events += [{"type": "conversation.item.delete", "item_id": id} for id in held.ids]
                held = None
            if held is None:
                events += self._create(item, previous, in_words=item.id in in_words)
            else:
                events += _changes(held, item)
            previous = (self._held[item.id].ids or [previous])[-1]
        return events

    def _claim(self, items: Iterable[Item]) -> None:
        """Find our items among what the upstream made."""
        for item in items:
            if item.id in self._outputs:
                del self._outputs[item.id]
                self._held[item.id] = _Held([item.id], is_live=True)
            elif isinstance(item, ToolCall) and item.id not in self._held:
                if item.call_id in self._calls:
                    self._held[item.id] = _Held([self._calls.pop(item.call_id)], is_live=True)
                elif item.call_id in self._hosted:
                    self._held[item.id] = _Held([item.call_id], is_live=True, is_hosted=True)

    def _deletions(self, wanted: set[str]) -> Iterable[Event]:
        gone = [held_id for held_id in self._held if held_id not in wanted]
        ids = [upstream_id for held_id in gone for upstream_id in self._held.pop(held_id).ids]
        unheard = [*self._outputs, *self._calls.values()]
        self._outputs.clear()
        self._calls.clear()
        for upstream_id in (*ids, *unheard):
            yield {"type": "conversation.item.delete", "item_id": upstream_id}

    def _create(self, item: Item, previous: str, *, in_words: bool) -> list[Event]:
        wires = items_of(item, with_audio=not in_words)
        sounds = not in_words and _samples(item) > 0
        self._held[item.id] = _Held([wire["id"] for wire in wires], is_live=False, sent=None if sounds else wires)
        events = []
        for wire in wires:
            events.append(item_create(wire, previous))
            previous = wire["id"]
        return events


def _old_sound(items: Sequence[Item]) -> set[str]:
    """Return those of the caller's turns that are older than the last minute of his speech.

    The last turn always sounds; one without a transcript is given another minute.
    """
    old: set[str] = set()
    samples = 0
    for item in reversed(items):
        found = _samples(item)
        samples += found
        limit = SOUND_SAMPLES if isinstance(item, Message) and item.text else 2 * SOUND_SAMPLES
        is_last = samples == found
        if found and samples > limit and not is_last:
            old.add(item.id)
    return old


def _samples(item: Item) -> int:
    """Return how much there is of the caller's own sound."""
    if not isinstance(item, Message) or item.role == "assistant":
        return 0
    return sum(len(part.pcm) for part in item.parts if isinstance(part, AudioPart)) // SAMPLE_BYTES


def _differs(held: _Held, item: Item) -> bool:
    """Tell whether an item that was created there is another one here by now."""
    return held.sent is not None and held.sent != items_of(item, with_audio=False)


def _changes(held: _Held, item: Item) -> list[Event]:
    """Return what has happened to an item that the upstream made."""
    if not held.is_live or not held.ids or held.is_hosted:
        return []
    if isinstance(item, ToolCall) and len(held.ids) == 1:
        result = call_output(item)
        if result is None:
            return []
        held.ids.append(result["id"])
        return [item_create(result, held.ids[0])]
    part = item.parts[0] if isinstance(item, Message) and item.role == "assistant" and item.parts else None
    if isinstance(part, AudioPart) and part.truncated and held.truncated_ms is None:
        held.truncated_ms = part.duration_ms
        cut: Event = {"type": "conversation.item.truncate", "item_id": held.ids[0], "content_index": 0}
        return [cut | {"audio_end_ms": part.duration_ms}]
    return []
