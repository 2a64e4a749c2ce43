"""The `response` object and what it counts (contract 4.2, 4.3)."""

from typing import Any, Literal

from pydantic import Field

from voice.protocol.base import WireModel
from voice.protocol.items import AnyItem
from voice.protocol.session_fields import AudioFormat, OutputModality, audio_only

ResponseStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]


class StatusError(WireModel):
    """Why a response failed."""

    type: str
    code: str | None = None
    message: str | None = None


class StatusDetails(WireModel):
    """How a response came to its end. Null while it runs, and when it completed."""

    type: Literal["completed", "cancelled", "incomplete", "failed"]
    reason: Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"] | None = None
    error: StatusError | None = None


class CachedTokensDetails(WireModel):
    """Cached input tokens by kind; they add up to `cached_tokens`."""

    text_tokens: int
    audio_tokens: int
    image_tokens: int = 0


class InputTokenDetails(WireModel):
    """Input tokens by kind: text, audio and image add up to `input_tokens`; cached ones are a subset."""

    text_tokens: int
    audio_tokens: int
    image_tokens: int
    cached_tokens: int
    cached_tokens_details: CachedTokensDetails


class OutputTokenDetails(WireModel):
    """Output tokens by kind; they add up to `output_tokens`."""

    text_tokens: int
    audio_tokens: int


class Usage(WireModel):
    """What a response cost, in tokens."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokenDetails
    output_token_details: OutputTokenDetails


class ResponseAudioOutput(WireModel):
    """How a response sounds. `voice` is a string, also for a custom voice."""

    format: AudioFormat
    voice: str


class ResponseAudio(WireModel):
    """Wraps `output`."""

    output: ResponseAudioOutput


class ResponseObject(WireModel):
    """A response under way or at its end. The real service sends every field; all but `id` may be left out here."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus = "in_progress"
    status_details: StatusDetails | None = None
    output: list[AnyItem] = Field(default_factory=list)
    conversation_id: str | None = None
    """`conv_…`; null when the response is out of band (contract 4.9)."""
    output_modalities: list[OutputModality] = Field(default_factory=audio_only)
    max_output_tokens: int | Literal["inf"] = "inf"
    audio: ResponseAudio | None = None
    usage: Usage | None = None
    metadata: dict[str, str] | None = None

    def model_post_init(self, context: Any) -> None:
        """Send everything, nulls included: clients wait for `usage`, `metadata` and `status_details`."""
        super().model_post_init(context)
        self.__pydantic_fields_set__.update(_SENT if self.audio is None else _SENT | {"audio"})


_SENT = frozenset(ResponseObject.model_fields) - {"audio"}
