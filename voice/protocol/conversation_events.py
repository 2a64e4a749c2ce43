"""Server events of the conversation: its items, and the transcripts of what the user said (contract 4.2, 4.13)."""

from typing import Annotated, Any, Literal

from voice.protocol.base import PaddedDelta, ServerEvent, WireModel
from voice.protocol.items import AnyItem
from voice.protocol.validation import one_of, tag


class Conversation(WireModel):
    """The conversation itself."""

    id: str
    object: Literal["realtime.conversation"] = "realtime.conversation"


class ConversationCreated(ServerEvent):
    """Of the beta; the real service does not send it any more (contract 2.7)."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation: Conversation


class _Placed(ServerEvent):
    """An item with its place; null is the first one."""

    previous_item_id: str | None = None
    item: AnyItem

    def model_post_init(self, context: Any) -> None:
        """Send `previous_item_id` always: clients order transcripts by it (contract §8 row 7)."""
        super().model_post_init(context)
        self.__pydantic_fields_set__.add("previous_item_id")


class ConversationItemAdded(_Placed):
    """An item entered the conversation; once per item."""

    type: Literal["conversation.item.added"] = "conversation.item.added"


class ConversationItemDone(_Placed):
    """An item is final; once per item, after it was added."""

    type: Literal["conversation.item.done"] = "conversation.item.done"


class ConversationItemCreated(_Placed):
    """Of the beta; not to be sent to a GA client."""

    type: Literal["conversation.item.created"] = "conversation.item.created"


class ConversationItemRetrieved(ServerEvent):
    """The answer to `conversation.item.retrieve`, with audio."""

    type: Literal["conversation.item.retrieved"] = "conversation.item.retrieved"
    item: AnyItem


class ConversationItemTruncated(ServerEvent):
    """Speech of an item was cut, by the client or, where the server plays, by the server."""

    type: Literal["conversation.item.truncated"] = "conversation.item.truncated"
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDeleted(ServerEvent):
    """An item is gone."""

    type: Literal["conversation.item.deleted"] = "conversation.item.deleted"
    item_id: str


class LogProb(WireModel):
    """How sure the transcription is of one token."""

    token: str
    logprob: float
    bytes: list[int]


class TranscriptionLanguage(WireModel):
    """A language that was heard."""

    code: str


class TranscriptionInputTokenDetails(WireModel):
    """Input tokens of a transcription by kind."""

    text_tokens: int
    audio_tokens: int


class TranscriptionUsageTokens(WireModel):
    """What a transcription cost, in tokens."""

    type: Literal["tokens"] = "tokens"
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: TranscriptionInputTokenDetails


class TranscriptionUsageDuration(WireModel):
    """What a transcription cost, in seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: float


TranscriptionUsage = Annotated[
    Annotated[TranscriptionUsageTokens, tag("tokens")] | Annotated[TranscriptionUsageDuration, tag("duration")],
    one_of("tokens", "duration"),
]


class TranscriptionError(WireModel):
    """Why there is no transcript. Strict clients want all of it to be strings: leave out what there is not."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


class ConversationItemInputAudioTranscriptionDelta(PaddedDelta, ServerEvent):
    """More of what the user said."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = (
        "conversation.item.input_audio_transcription.delta"
    )
    item_id: str
    content_index: int = 0
    delta: str = ""
    logprobs: list[LogProb] | None = None


class ConversationItemInputAudioTranscriptionCompleted(ServerEvent):
    """All that the user said in that item."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = (
        "conversation.item.input_audio_transcription.completed"
    )
    item_id: str
    content_index: int
    transcript: str
    usage: TranscriptionUsage
    languages: list[TranscriptionLanguage] | None = None
    logprobs: list[LogProb] | None = None


class ConversationItemInputAudioTranscriptionFailed(ServerEvent):
    """The user's words could not be written down; the item stays."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = (
        "conversation.item.input_audio_transcription.failed"
    )
    item_id: str
    content_index: int
    error: TranscriptionError


class ConversationItemInputAudioTranscriptionSegment(ServerEvent):
    """What one speaker said (diarisation)."""

    type: Literal["conversation.item.input_audio_transcription.segment"] = (
        "conversation.item.input_audio_transcription.segment"
    )
    item_id: str
    content_index: int
    id: str
    text: str
    speaker: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""
