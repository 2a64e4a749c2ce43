"""The words of translation sessions: continuous, without turns, items or responses (contract 3.8, 4.14).

    TranslationUpdate ──translated_anew──► TranslationConfig ──to_wire──► session.created, session.updated

What goes for conversations goes here: an absent field stays as it is, and an update is taken whole or refused whole.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from voice.protocol.base import ServerEvent
from voice.protocol.client_events import EventId, InputAudioBufferAppend, InvalidEvent
from voice.protocol.client_secrets import ExpiresAfter
from voice.protocol.codec import decode_audio, decode_modelled
from voice.protocol.session_config import merge_noise_reduction
from voice.protocol.session_fields import ConfigModel, NoiseReduction
from voice.protocol.validation import listed

TRANSLATION_MODEL: Final = "gpt-realtime-translate"
"""What clients name; where nobody is called so, whoever answers by default is meant."""

Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
"""ISO 639-1, with a region where it matters (`es`, `pt-BR`)."""


# --- Configuration ------------------------------------------------------------------------------------------------


class SourceTranscription(ConfigModel):
    """The caller's own words are wanted, too."""

    model: str


class TranslationInput(ConfigModel):
    """`session.audio.input`."""

    transcription: SourceTranscription | None = None
    noise_reduction: NoiseReduction | None = None


class TranslationOutput(ConfigModel):
    """`session.audio.output`."""

    language: Language | None = None
    """What is translated into; None: the engine's own choice."""


class TranslationAudio(ConfigModel):
    """`session.audio`."""

    input: TranslationInput = TranslationInput()
    output: TranslationOutput = TranslationOutput()


class TranslationUpdate(ConfigModel):
    """What a client wants changed; only what stands in `model_fields_set` was said. It has no `type`."""

    audio: TranslationAudio = TranslationAudio()


class TranslationOpening(TranslationUpdate):
    """What a session begins with, as a client secret holds it (contract 1.6)."""

    model: str


class TranslationConfig(ConfigModel):
    """The effective configuration of a session."""

    id: str
    """`sess_…`."""
    model: str
    expires_at: int
    """Unix seconds."""
    audio: TranslationAudio = TranslationAudio()

    def to_wire(self) -> dict[str, Any]:
        """Return the `session` of `session.created`: all five fields, which the official SDK requires."""
        heard, language = self.audio.input, self.audio.output.language
        return {
            "id": self.id,
            "type": "translation",
            "expires_at": self.expires_at,
            "model": self.model,
            "audio": {
                "input": {
                    "transcription": heard.transcription and heard.transcription.model_dump(),
                    "noise_reduction": heard.noise_reduction and heard.noise_reduction.model_dump(exclude_none=True),
                },
                "output": {"language": language} if language is not None else {},
            },
        }


def translated_anew(config: TranslationConfig, update: TranslationUpdate) -> TranslationConfig:
    """Return the configuration after an update. Raises: ContractError, with `param` as a path below the event."""
    heard, spoken = update.audio.input, update.audio.output
    changes: dict[str, Any] = {}
    if "transcription" in heard.model_fields_set:
        changes["transcription"] = heard.transcription
    if "noise_reduction" in heard.model_fields_set:
        changes["noise_reduction"] = merge_noise_reduction(config.audio.input.noise_reduction, heard.noise_reduction)
    old = config.audio
    output = spoken if "language" in spoken.model_fields_set else old.output
    audio = TranslationAudio(input=old.input.model_copy(update=changes), output=output)
    return config.model_copy(update={"audio": audio})


# --- Client events ------------------------------------------------------------------------------------------------


class _ClientEvent(ConfigModel):
    event_id: EventId | None = None


class UpdateTranslation(_ClientEvent):
    """Change the configuration."""

    type: Literal["session.update"] = "session.update"
    session: TranslationUpdate


class _AppendShape(_ClientEvent):
    type: Literal["session.input_audio_buffer.append"] = "session.input_audio_buffer.append"
    audio: str


class CloseTranslation(_ClientEvent):
    """Translate what is left, then end."""

    type: Literal["session.close"] = "session.close"


TranslationEvent = UpdateTranslation | InputAudioBufferAppend | CloseTranslation | InvalidEvent
"""What a transport hands to a translation session. An append is the conversation's: PCM, 24 kHz; silence is sent, too,
for what is not sent did not pass."""

_MODELS: Final[dict[str, type[UpdateTranslation | _AppendShape | CloseTranslation]]] = {
    cls.model_fields["type"].default: cls for cls in (UpdateTranslation, _AppendShape, CloseTranslation)
}
_SUPPORTED: Final = listed(tuple(_MODELS))


def decode_translation_event(text: str) -> TranslationEvent:
    """Return the event, or what is wrong with it as an `InvalidEvent`. Never raises."""
    event = decode_modelled(text, _MODELS, _SUPPORTED)
    return decode_audio(event.audio, event.event_id) if isinstance(event, _AppendShape) else event


# --- Server events ------------------------------------------------------------------------------------------------


class InputTranscriptDelta(ServerEvent):
    """The caller's next words, where they are wanted."""

    type: Literal["session.input_transcript.delta"] = "session.input_transcript.delta"
    delta: str
    elapsed_ms: int


class OutputTranscriptDelta(ServerEvent):
    """The next words of the translation."""

    type: Literal["session.output_transcript.delta"] = "session.output_transcript.delta"
    delta: str
    elapsed_ms: int


class OutputAudioDelta(ServerEvent):
    """The next of the translation's sound."""

    type: Literal["session.output_audio.delta"] = "session.output_audio.delta"
    delta: str
    """Base64."""
    sample_rate: Literal[24000] = 24000
    channels: Literal[1] = 1
    format: Literal["pcm16"] = "pcm16"
    elapsed_ms: int

    def model_post_init(self, context: Any) -> None:
        """Say what audio it is in each event."""
        super().model_post_init(context)
        self.__pydantic_fields_set__.update(("sample_rate", "channels", "format"))


class SessionClosed(ServerEvent):
    """All of it is translated; nothing follows."""

    type: Literal["session.closed"] = "session.closed"


# --- Client secrets -----------------------------------------------------------------------------------------------


class TranslationSecretRequest(ConfigModel):
    """The body of `POST /v1/realtime/translations/client_secrets`."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: TranslationOpening
