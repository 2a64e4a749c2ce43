"""Client events (contract 4.1), strict: what is not in the contract is refused, with a path to it."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec
from pydantic import Field

from voice.protocol.creation import CreatableItem
from voice.protocol.response_params import ResponseParams
from voice.protocol.session_config import SessionUpdateBody
from voice.protocol.session_fields import ConfigModel
from voice.protocol.validation import listed

MAX_EVENT_ID_CHARS: Final = 512
MAX_APPEND_BYTES: Final = 15 * 1024 * 1024
"""Of audio, decoded (contract 2.4)."""

EventId = Annotated[str, Field(max_length=MAX_EVENT_ID_CHARS)]


class _ClientEvent(ConfigModel):
    event_id: EventId | None = None
    """The client's own; comes back in an `error` event only."""


class SessionUpdate(_ClientEvent):
    """Change the configuration."""

    type: Literal["session.update"] = "session.update"
    session: SessionUpdateBody


class InputAudioBufferAppend(msgspec.Struct, frozen=True, gc=False):
    """More of what the user says."""

    audio: bytes
    """Decoded, in the session's input format; for PCM an odd byte count is still to be refused."""
    event_id: str | None = None


class AppendShape(_ClientEvent):
    """The same before it is decoded; says what is wrong with one that the fast path refused."""

    type: Literal["input_audio_buffer.append"] = "input_audio_buffer.append"
    audio: str


class InputAudioBufferCommit(_ClientEvent):
    """Make the buffer a user item."""

    type: Literal["input_audio_buffer.commit"] = "input_audio_buffer.commit"


class InputAudioBufferClear(_ClientEvent):
    """Drop the buffer."""

    type: Literal["input_audio_buffer.clear"] = "input_audio_buffer.clear"


class OutputAudioBufferClear(_ClientEvent):
    """Drop what the server has still to play (WebRTC, SIP)."""

    type: Literal["output_audio_buffer.clear"] = "output_audio_buffer.clear"


class ConversationItemCreate(_ClientEvent):
    """Put an item into the conversation."""

    type: Literal["conversation.item.create"] = "conversation.item.create"
    previous_item_id: str | None = None
    """`root`: at the beginning; None: at the end."""
    item: CreatableItem


class ConversationItemRetrieve(_ClientEvent):
    """Show an item, audio and all."""

    type: Literal["conversation.item.retrieve"] = "conversation.item.retrieve"
    item_id: str


class ConversationItemTruncate(_ClientEvent):
    """Cut the speech of an assistant item where the caller stopped hearing it."""

    type: Literal["conversation.item.truncate"] = "conversation.item.truncate"
    item_id: str
    content_index: int = Field(ge=0)
    audio_end_ms: int = Field(ge=0)


class ConversationItemDelete(_ClientEvent):
    """Take an item out."""

    type: Literal["conversation.item.delete"] = "conversation.item.delete"
    item_id: str


class ResponseCreate(_ClientEvent):
    """Answer now."""

    type: Literal["response.create"] = "response.create"
    response: ResponseParams | None = None


class ResponseCancel(_ClientEvent):
    """Stop answering."""

    type: Literal["response.cancel"] = "response.cancel"
    response_id: str | None = None
    """None: the one of the conversation."""


@dataclass(frozen=True, slots=True)
class InvalidEvent:
    """What is not an event of the contract: the fields of the `error` event that answers it."""

    message: str
    code: str | None = "invalid_value"
    param: str | None = None
    event_id: str | None = None
    """The client's, when it could be read."""
    type: str = "invalid_request_error"


ModelledEvent = (
    SessionUpdate
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCreate
    | ResponseCancel
)
"""The client events that pydantic validates."""

ClientEvent = ModelledEvent | InputAudioBufferAppend | InvalidEvent
"""What a transport hands to a session."""

APPEND: Final = "input_audio_buffer.append"

MODELLED_EVENTS: Final[dict[str, type[ModelledEvent]]] = {
    cls.model_fields["type"].default: cls
    for cls in (
        SessionUpdate,
        InputAudioBufferCommit,
        InputAudioBufferClear,
        OutputAudioBufferClear,
        ConversationItemCreate,
        ConversationItemRetrieve,
        ConversationItemTruncate,
        ConversationItemDelete,
        ResponseCreate,
        ResponseCancel,
    )
}

CLIENT_EVENT_TYPES: Final = ("session.update", APPEND, *[name for name in MODELLED_EVENTS if name != "session.update"])
"""All eleven, in the contract's order."""

SUPPORTED_TYPES: Final = listed(CLIENT_EVENT_TYPES)
