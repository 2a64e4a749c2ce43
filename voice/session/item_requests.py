"""What a client does to the conversation: create, retrieve, truncate, delete (contract 4.1, 4.7, 4.13)."""

from dataclasses import replace

from voice.errors import ContractError
from voice.protocol import server_events as wire_events
from voice.protocol.client_events import (
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
)
from voice.protocol.creation import InputItem
from voice.protocol.items import ConversationItem, ItemReference
from voice.session.conversation import duplicate
from voice.session.core import Core
from voice.session.effects import TellCut
from voice.session.items import (
    AnyItem,
    ApprovalResponse,
    AudioPart,
    ImagePart,
    Item,
    McpItem,
    Message,
    ToolCall,
    ToolOutput,
)
from voice.session.output import PART_INDEX
from voice.session.playback import truncate
from voice.session.responder import Responder
from voice.session.wire import item_from_wire, item_to_wire


class ItemRequests:
    """Each method answers one client event. Raises: ContractError, and nothing has changed then."""

    def __init__(self, core: Core, responder: Responder) -> None:
        self._core = core
        self._responder = responder

    def create(self, event: ConversationItemCreate) -> None:
        """Put an item in its place; added and done come back to back."""
        item = self._created(event.item, "item")
        self._check(item)
        self._core.conversation.check_new(item)
        out, previous_id = self._core.out, self._core.conversation.add(item, event.previous_item_id)
        wire_item = item_to_wire(item)
        out.send(
            wire_events.ConversationItemAdded(event_id=out.event_id(), previous_item_id=previous_id, item=wire_item)
        )
        out.send(
            wire_events.ConversationItemDone(event_id=out.event_id(), previous_item_id=previous_id, item=wire_item)
        )
        if isinstance(item, ApprovalResponse):
            self._responder.receive_approval(item)

    def retrieve(self, event: ConversationItemRetrieve) -> None:
        """Show an item with its audio, also one that is still under way (contract 7.6 row 11)."""
        item = self._find(event.item_id, "retrieve", "retrieving")
        item = self._responder.snapshot(item.id) or item
        wanted = self._core.config.audio.input.transcription is not None
        wire_item = item_to_wire(item, with_audio=self._core.config.audio, with_transcript=wanted)
        out = self._core.out
        out.send(wire_events.ConversationItemRetrieved(event_id=out.event_id(), item=wire_item))

    def delete(self, event: ConversationItemDelete) -> None:
        """Forget an item."""
        item = self._find(event.item_id, "delete", "deleting")
        self._core.conversation.delete(item.id)
        out = self._core.out
        out.send(wire_events.ConversationItemDeleted(event_id=out.event_id(), item_id=item.id))

    def truncate(self, event: ConversationItemTruncate) -> None:
        """Cut the agent's speech where the client's player stopped (contract 4.7)."""
        item = self._find(event.item_id, "truncate", "truncating")
        part = self._speech(self._responder.snapshot(item.id) or item, event.content_index)
        if part.truncated:
            raise ContractError(f"Item '{item.id}' is already truncated.", code="item_already_truncated")
        if event.audio_end_ms > part.duration_ms:
            raise ContractError(f"Audio content of {part.duration_ms}ms is already shorter than {event.audio_end_ms}ms")
        if not self._responder.cut_active(item.id, event.audio_end_ms) and isinstance(item, Message):
            cut = replace(item, parts=(truncate(part, event.audio_end_ms),))
            self._core.conversation.replace(cut)
            self._core.out.add(TellCut(cut))
        out = self._core.out
        out.send(
            wire_events.ConversationItemTruncated(
                event_id=out.event_id(),
                item_id=item.id,
                content_index=PART_INDEX,
                audio_end_ms=event.audio_end_ms,
            )
        )

    def context(self, given: list[InputItem]) -> tuple[Item, ...]:
        """Return the items of `response.create.input`, references resolved."""
        items: list[Item] = []
        for index, entry in enumerate(given):
            item = self._entry(entry, f"response.input[{index}]")
            # How client and service arranged for tools is no context.
            if not isinstance(item, McpItem):
                items.append(item)
        return tuple(items)

    # --- Inside ---------------------------------------------------------------------------------------------------

    def _entry(self, entry: InputItem, path: str) -> AnyItem:
        if not isinstance(entry, ItemReference):
            return self._created(entry, path)
        item = self._core.conversation.get(entry.id)
        if item is None:
            raise ContractError(f"Item with id '{entry.id}' does not exist.", param=f"{path}.id")
        return item

    def _created(self, given: ConversationItem, path: str) -> Item | ApprovalResponse:
        """Take an item of a client's, for the conversation or for one response."""
        ids, audio_format = self._core.out.ids, self._core.config.audio.input.format.type
        if given.id is not None and ids.is_to_come(given.id):
            raise ContractError(
                f"Invalid '{path}.id': '{given.id}' is an id that the service may give to an item of its own.",
                param=f"{path}.id",
            )
        item = item_from_wire(given, given.id or ids.mint("item"), audio_format=audio_format, path=path)
        if isinstance(item, Message) and not self._core.capabilities.takes_images:
            for index, part in enumerate(item.parts):
                if isinstance(part, ImagePart):
                    raise ContractError(
                        "This session's engine takes no images.",
                        code="unsupported_content_type",
                        param=f"{path}.content[{index}].type",
                    )
        return item

    def _check(self, item: AnyItem) -> None:
        if self._responder.is_under_way(item.id):
            raise duplicate(item)
        if isinstance(item, ApprovalResponse):
            self._responder.check_approval(item)
        if isinstance(item, ToolOutput):
            call = self._core.conversation.find_call(item.call_id)
            if call is None or call.server_label is not None:
                raise ContractError(
                    f"Tool call ID '{item.call_id}' not found in conversation.", code="invalid_tool_call_id"
                )
        if isinstance(item, ToolCall) and self._core.conversation.find_call(item.call_id) is not None:
            raise ContractError(
                f"Tool call ID '{item.call_id}' already exists in conversation.", code="invalid_tool_call_id"
            )

    def _find(self, item_id: str, verb: str, doing: str) -> AnyItem:
        item = self._core.conversation.get(item_id)
        if item is None:
            raise ContractError(
                f"Error {doing} item: the item with id '{item_id}' does not exist.",
                code=f"item_{verb}_invalid_item_id",
            )
        return item

    def _speech(self, item: AnyItem, content_index: int) -> AudioPart:
        part = item.parts[content_index] if isinstance(item, Message) and content_index < len(item.parts) else None
        if not isinstance(part, AudioPart) or not isinstance(item, Message) or item.role != "assistant":
            raise ContractError("Only model output audio messages can be truncated", code="unsupported_content_type")
        return part
