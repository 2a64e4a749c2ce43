"""The conversation: items in order. Everything that was said, in the form in which it was heard."""

from dataclasses import replace

from voice.errors import ContractError
from voice.session.items import (
    AnyItem,
    ApprovalResponse,
    AudioPart,
    Item,
    McpItem,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolOutput,
)

ROOT = "root"
"""`previous_item_id` that means: in first place (contract 4.13)."""


MAX_ITEMS = 10_000
MAX_WRITTEN_CHARS = 64 * 1024 * 1024
"""What clients may put into one conversation: items, and characters of text, calls, outputs and pictures. Speech has a
bound of its own."""


class Conversation:
    """Items by id, in order. `revision` grows with every change, so that a speculation can tell that it is stale."""

    def __init__(self, id: str, *, audio_retention_bytes: int) -> None:
        """`audio_retention_bytes` bounds the PCM kept for `retrieve`; the oldest is let go, its words stay."""
        self.id = id
        self.revision = 0
        self._items: dict[str, AnyItem] = {}
        self._order: list[str] = []
        self._audio_retention_bytes = audio_retention_bytes
        self._audio_bytes = 0
        self._written_chars = 0
        self._promised: set[str] = set()

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def __len__(self) -> int:
        return len(self._order)

    @property
    def last_id(self) -> str | None:
        """Id of the newest item."""
        return self._order[-1] if self._order else None

    @property
    def items(self) -> tuple[Item, ...]:
        """A snapshot of what was said and done, oldest first: an engine's context."""
        items = (self._items[id] for id in self._order)
        return tuple(item for item in items if not isinstance(item, McpItem))

    def get(self, item_id: str) -> AnyItem | None:
        """Return the item, or None."""
        return self._items.get(item_id)

    def previous_id(self, item_id: str) -> str | None:
        """Return the id of the item before that one, None for the first."""
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    def add(self, item: AnyItem, previous_item_id: str | None = None) -> str | None:
        """Insert behind `previous_item_id` (None: at the end) and return the id of the real predecessor.

        Raises: ContractError for a duplicate id or an unknown predecessor (contract 4.15).
        """
        if item.id in self._items:
            raise duplicate(item)
        if previous_item_id is None:
            place = len(self._order)
        elif previous_item_id == ROOT:
            place = 0
        elif previous_item_id in self._items:
            place = self._order.index(previous_item_id) + 1
        else:
            raise ContractError(
                f"Error adding item: the previous item with id '{previous_item_id}' does not exist.",
                code="item_create_invalid_previous_item_id",
            )
        self._order.insert(place, item.id)
        self._put(item)
        self._promised.discard(item.id)
        self.revision += 1
        return self._order[place - 1] if place else None

    def promise(self, item_id: str) -> None:
        """The client has been told of an item by that id which is still to come: no item of its own gets it."""
        self._promised.add(item_id)

    def take_back(self, item_id: str) -> None:
        """The promised item will not come."""
        self._promised.discard(item_id)

    def replace(self, item: AnyItem) -> None:
        """Put a newer version in the place of an item; nothing happens when it was deleted meanwhile."""
        if item.id in self._items:
            self._put(item)
            self.revision += 1

    def annotate(self, item: Item) -> None:
        """Like `replace`, for knowledge that changes nothing of what was said (a transcript)."""
        if item.id in self._items:
            self._put(item)

    def delete(self, item_id: str) -> bool:
        """Forget an item; False when there is none."""
        if item_id not in self._items:
            return False
        self._weigh(self._items.pop(item_id), -1)
        self._order.remove(item_id)
        self.revision += 1
        return True

    def find_call(self, call_id: str) -> ToolCall | None:
        """Return the tool call with that `call_id`."""
        for item in self._items.values():
            if isinstance(item, ToolCall) and item.call_id == call_id:
                return item
        return None

    def forget(self) -> None:
        """Let go of everything."""
        self._items.clear()
        self._order.clear()

    def check_new(self, item: AnyItem) -> None:
        """Raises: ContractError when a client's item would be one too many, or too much, or has a promised id."""
        if item.id in self._promised:
            raise duplicate(item)
        if len(self._order) >= MAX_ITEMS or self._written_chars + _written_chars(item) > MAX_WRITTEN_CHARS:
            raise ContractError(
                f"Error adding item: a conversation holds at most {MAX_ITEMS} items and "
                f"{MAX_WRITTEN_CHARS >> 20} Mi characters of text and images; delete some first.",
                code="conversation_full",
            )

    def _put(self, item: AnyItem) -> None:
        if item.id in self._items:
            self._weigh(self._items[item.id], -1)
        self._items[item.id] = item
        self._weigh(item, 1)
        if self._audio_bytes > self._audio_retention_bytes:
            self._let_go_of_old_audio()

    def _weigh(self, item: AnyItem, sign: int) -> None:
        self._audio_bytes += sign * _audio_bytes(item)
        self._written_chars += sign * _written_chars(item)

    def _let_go_of_old_audio(self) -> None:
        """Drop the oldest speech until what is kept is within the bound; the newest item keeps its own."""
        for id in self._order[:-1]:
            if self._audio_bytes <= self._audio_retention_bytes:
                return
            item = self._items[id]
            if isinstance(item, Message) and _audio_bytes(item):
                self._audio_bytes -= _audio_bytes(item)
                silent = tuple(replace(part, pcm=b"") if isinstance(part, AudioPart) else part for part in item.parts)
                self._items[id] = replace(item, parts=silent)


def _audio_bytes(item: AnyItem) -> int:
    return sum(len(part.pcm) for part in item.parts if isinstance(part, AudioPart)) if isinstance(item, Message) else 0


def _written_chars(item: AnyItem) -> int:
    """Count what a client may make as long as it likes, the id among it."""
    if isinstance(item, Message):
        return len(item.id) + sum(map(_part_chars, item.parts))
    if isinstance(item, ToolCall):
        return len(item.id + item.call_id + item.name) + len(item.arguments)
    if isinstance(item, ToolOutput):
        return len(item.id + item.call_id) + len(item.output)
    if isinstance(item, ApprovalResponse):
        return len(item.id) + len(item.reason or "")
    return 0


def _part_chars(part: Part) -> int:
    if isinstance(part, AudioPart):
        return len(part.transcript or "")
    return len(part.text) if isinstance(part, TextPart) else len(part.image_url)


def duplicate(item: AnyItem) -> ContractError:
    """Return the error for an id that is taken."""
    return ContractError(
        f"Error adding item: an item with id '{item.id}' already exists.", code="item_create_duplicate_item_id"
    )
