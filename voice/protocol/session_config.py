"""The configuration of a session: what it is, how `session.update` changes it, what the wire shows (contract 3).

    SessionUpdateBody ──merge──► SessionConfig ──to_wire──► session.created, session.updated

A field that is absent from an update stays as it is; nested objects are merged likewise. An update is taken whole or
refused whole.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field

from voice.errors import ContractError
from voice.protocol.response_params import ResponseParams
from voice.protocol.session_fields import (
    AlawFormat,
    AudioFormat,
    ConfigModel,
    CustomVoice,
    FunctionTool,
    Include,
    MaxOutputTokens,
    McpTool,
    NamedToolChoice,
    NoiseReduction,
    OutputModalities,
    OutputModality,
    PcmFormat,
    Prompt,
    Reasoning,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    ToolChoice,
    Tools,
    Tracing,
    TracingConfig,
    TranscriptionConfig,
    Truncation,
    TurnDetection,
    UlawFormat,
    Voice,
    audio_only,
    voice_name,
)

Speed = Annotated[float, Field(ge=0.25, le=1.5)]

_Part = TypeVar("_Part", bound=BaseModel)


class AudioInputUpdate(ConfigModel):
    """`session.audio.input` of an update."""

    format: AudioFormat = PcmFormat()
    transcription: TranscriptionConfig | None = None
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = None


class AudioOutputUpdate(ConfigModel):
    """`session.audio.output` of an update."""

    format: AudioFormat = PcmFormat()
    voice: Voice = "alloy"
    speed: Speed = 1.0


class AudioUpdate(ConfigModel):
    """`session.audio` of an update."""

    input: AudioInputUpdate = AudioInputUpdate()
    output: AudioOutputUpdate = AudioOutputUpdate()


class SessionUpdateBody(ConfigModel):
    """What a client wants changed. Only what stands in `model_fields_set` was said; the rest means nothing."""

    type: Literal["realtime", "transcription"]
    model: str | None = None
    output_modalities: OutputModalities = Field(default_factory=audio_only)
    instructions: str = ""
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: MaxOutputTokens = "inf"
    truncation: Truncation = "auto"
    prompt: Prompt | None = None
    tracing: Tracing | None = None
    include: list[Include] | None = None
    audio: AudioUpdate = AudioUpdate()


class AudioInput(ConfigModel):
    """How a session hears."""

    format: AudioFormat = PcmFormat()
    transcription: TranscriptionConfig | None = None
    """None: nobody asked for transcripts."""
    noise_reduction: NoiseReduction | None = None
    turn_detection: TurnDetection | None = ServerVad()
    """None: the client commits (push to talk)."""


class AudioOutput(ConfigModel):
    """How a session sounds."""

    format: AudioFormat = PcmFormat()
    voice: str = "alloy"
    """A custom voice by its id."""
    speed: Speed = 1.0


class AudioConfig(ConfigModel):
    """Both directions."""

    input: AudioInput = AudioInput()
    output: AudioOutput = AudioOutput()


class SessionConfig(ConfigModel):
    """The effective configuration of a session; the defaults are those of the live service (contract 3.2)."""

    id: str
    """`sess_…`."""
    model: str
    expires_at: int
    """Unix seconds."""
    type: Literal["realtime", "transcription"] = "realtime"
    """Fixed at the handshake (contract 2.1). A transcription session writes down and never answers (contract 3.3)."""
    output_modalities: list[OutputModality] = Field(default_factory=audio_only)
    instructions: str = ""
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxOutputTokens = "inf"
    truncation: Truncation = "auto"
    tracing: Tracing | None = None
    prompt: Prompt | None = None
    include: list[Include] | None = None
    parallel_tool_calls: bool | None = None
    """Reasoning models only: absent on the wire until it is set, like `reasoning`."""
    reasoning: Reasoning | None = None
    audio: AudioConfig = AudioConfig()

    def to_wire(self) -> dict[str, Any]:
        """Return the `session` of `session.created`: every key the real service sends, in its order."""
        if self.type == "transcription":
            return transcription_wire(self)
        heard, spoken = self.audio.input, self.audio.output
        wire: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.id,
            "model": self.model,
            "output_modalities": list(self.output_modalities),
            "instructions": self.instructions,
            "tools": [_given(tool, hide=_SECRETS) for tool in self.tools],
            "tool_choice": _given(self.tool_choice),
            "max_output_tokens": self.max_output_tokens,
            "tracing": _given(self.tracing),
            "truncation": _given(self.truncation),
            "prompt": _given(self.prompt),
            "expires_at": self.expires_at,
            "audio": {
                "input": _input_wire(heard),
                "output": {"format": spoken.format.model_dump(), "voice": spoken.voice, "speed": spoken.speed},
            },
            "include": self.include,
        }
        if self.parallel_tool_calls is not None:
            wire["parallel_tool_calls"] = self.parallel_tool_calls
        if self.reasoning is not None:
            wire["reasoning"] = _given(self.reasoning)
        return wire


def transcription_wire(config: SessionConfig) -> dict[str, Any]:
    """Return the `session` of a transcription session: it hears, and has neither model nor voice (contract 3.3)."""
    wire: dict[str, Any] = {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": config.id,
        "expires_at": config.expires_at,
        "audio": {"input": _input_wire(config.audio.input)},
        "include": config.include,
    }
    detection = wire["audio"]["input"]["turn_detection"]
    if detection is not None:  # what decides about answers is none of its business
        wire["audio"]["input"]["turn_detection"] = {
            name: value for name, value in detection.items() if name not in _ABOUT_ANSWERS
        }
    return wire


_ABOUT_ANSWERS = frozenset({"create_response", "interrupt_response", "idle_timeout_ms"})


def _input_wire(heard: AudioInput) -> dict[str, Any]:
    return {
        "format": heard.format.model_dump(),
        "transcription": _given(heard.transcription),
        "noise_reduction": _given(heard.noise_reduction),
        "turn_detection": heard.turn_detection and heard.turn_detection.model_dump(),
    }


_SECRETS = frozenset({"authorization", "headers"})


def _given(value: Any, hide: frozenset[str] = frozenset()) -> Any:
    """Return a value as JSON: of an object what is not None, and `type` always."""
    return value.model_dump(exclude_none=True, exclude=set(hide)) if isinstance(value, BaseModel) else value


# --- Merging ----------------------------------------------------------------------------------------------------

_PLAIN = (
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "truncation",
    "prompt",
    "include",
)
"""Fields of which the new value simply stands."""


def merge(config: SessionConfig, update: SessionUpdateBody, *, voice_is_fixed: bool) -> SessionConfig:
    """Return the configuration after an update. `voice_is_fixed`: assistant audio is present.

    Raises: ContractError, with `param` as a path below the event; `event_id` is the caller's to add.
    """
    if update.type != config.type:
        raise ContractError(
            f"Passing a {update.type} session update event to a {config.type} session is not allowed.",
            param="session.type",
        )
    given = update.model_fields_set
    if config.type == "transcription":
        _refuse_beyond_listening(update)
    changes: dict[str, Any] = {name: getattr(update, name) for name in _PLAIN if name in given}
    if update.model is not None and update.model != config.model:
        raise ContractError(
            f"Invalid value: '{update.model}'. The model of a session cannot be changed; it is '{config.model}'.",
            param="session.model",
        )
    if "tracing" in given:
        changes["tracing"] = _merge_tracing(config.tracing, update.tracing)
    if "reasoning" in given:
        changes["reasoning"] = _overlay(config.reasoning, update.reasoning)
    if "audio" in given:
        changes["audio"] = AudioConfig(
            input=_merge_input(config.audio.input, update.audio.input),
            output=_merge_output(config.audio.output, update.audio.output, voice_is_fixed=voice_is_fixed),
        )
    return config.model_copy(update=changes)


def _refuse_beyond_listening(update: SessionUpdateBody) -> None:
    """Raises: ContractError for the first field that a transcription session does not have."""
    unknown = [f"session.{name}" for name in SessionUpdateBody.model_fields if name in update.model_fields_set]
    unknown = [name for name in unknown if name not in ("session.type", "session.audio", "session.include")]
    if "audio" in update.model_fields_set and "output" in update.audio.model_fields_set:
        unknown.append("session.audio.output")
    if unknown:
        raise ContractError(f"Unknown parameter: '{unknown[0]}'.", code="unknown_parameter", param=unknown[0])


def _merge_tracing(old: Tracing | None, new: Tracing | None) -> Tracing | None:
    # Contract 3.2: immutable once enabled; the same value again is what agents SDKs send, null clears (3.1).
    if old is not None and new is not None and old != new:
        raise ContractError("Tracing cannot be changed once it is enabled.", param="session.tracing")
    return new


def _merge_input(old: AudioInput, new: AudioInputUpdate) -> AudioInput:
    given = new.model_fields_set
    changes: dict[str, Any] = {}
    if "format" in given:
        changes["format"] = new.format
    if "transcription" in given:
        changes["transcription"] = _overlay(old.transcription, new.transcription)
    if "noise_reduction" in given:
        changes["noise_reduction"] = merge_noise_reduction(old.noise_reduction, new.noise_reduction)
    if "turn_detection" in given:
        changes["turn_detection"] = _merge_turn_detection(old.turn_detection, new.turn_detection)
    return old.model_copy(update=changes)


def merge_noise_reduction(old: NoiseReduction | None, new: NoiseReduction | None) -> NoiseReduction | None:
    """Return the noise reduction after an update. Raises: ContractError where nobody has said which."""
    merged = _overlay(old, new)
    if merged is not None and merged.type is None:
        param = "session.audio.input.noise_reduction.type"
        raise ContractError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)
    return merged


def _merge_turn_detection(
    old: ServerVad | SemanticVad | None, new: ServerVad | SemanticVad | None
) -> ServerVad | SemanticVad | None:
    # A change of kind starts from the new kind's defaults; the kinds share no setting that would survive by intent.
    if isinstance(old, ServerVad) and isinstance(new, ServerVad):
        return _overlay(old, new)
    if isinstance(old, SemanticVad) and isinstance(new, SemanticVad):
        return _overlay(old, new)
    return new


def _merge_output(old: AudioOutput, new: AudioOutputUpdate, *, voice_is_fixed: bool) -> AudioOutput:
    given = new.model_fields_set
    changes: dict[str, Any] = {name: getattr(new, name) for name in ("format", "speed") if name in given}
    if "voice" in given:
        changes["voice"] = checked_voice(new.voice, current=old.voice, voice_is_fixed=voice_is_fixed)
    return old.model_copy(update=changes)


def checked_voice(voice: str | CustomVoice, *, current: str, voice_is_fixed: bool) -> str:
    """Return the new voice as a string; for `session.update` and `response.create` alike.

    Raises: ContractError when assistant audio is present and the voice is another one (contract 3.2).
    """
    name = voice_name(voice)
    if voice_is_fixed and name != current:
        raise ContractError(
            "Cannot update a conversation's voice if assistant audio is present.", code="cannot_update_voice"
        )
    return name


def _overlay(old: _Part | None, new: _Part | None) -> _Part | None:
    """Lay the fields that were given over the old ones."""
    if old is None or new is None:
        return new
    said: Mapping[str, Any] = {name: getattr(new, name) for name in new.model_fields_set}
    return old.model_copy(update=said)


__all__ = [
    "AlawFormat",
    "AudioConfig",
    "AudioFormat",
    "AudioInput",
    "AudioInputUpdate",
    "AudioOutput",
    "AudioOutputUpdate",
    "AudioUpdate",
    "CustomVoice",
    "FunctionTool",
    "McpTool",
    "NamedToolChoice",
    "NoiseReduction",
    "PcmFormat",
    "Prompt",
    "Reasoning",
    "ResponseParams",
    "RetentionRatio",
    "SemanticVad",
    "ServerVad",
    "SessionConfig",
    "SessionUpdateBody",
    "TracingConfig",
    "TranscriptionConfig",
    "UlawFormat",
    "checked_voice",
    "merge",
    "voice_name",
]
