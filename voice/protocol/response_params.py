"""The parameters of `response.create` (contract 4.1): what one response does differently from the session."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from voice.protocol.creation import InputItem
from voice.protocol.session_fields import (
    AudioFormat,
    ConfigModel,
    MaxOutputTokens,
    OutputModalities,
    PcmFormat,
    Prompt,
    Reasoning,
    ToolChoice,
    Tools,
    Voice,
    audio_only,
)
from voice.protocol.validation import refuse


def _check_metadata(value: dict[str, str]) -> dict[str, str]:
    if len(value) > 16:
        raise refuse.because(
            f"Invalid '{{param}}': too many properties. Expected an object with at most 16 properties, "
            f"but got an object with {len(value)} properties instead.",
            "object_above_max_properties",
        )
    for key, text in value.items():
        if len(key) > 64:
            message = "Invalid key in '{param}': string too long. Expected a key with maximum length 64."
            raise refuse.because(message, "string_above_max_length")
        if len(text) > 512:
            message = "Invalid '{param}': string too long. Expected a string with maximum length 512."
            raise refuse.because(message, "string_above_max_length", key)
    return value


Metadata = Annotated[dict[str, str], AfterValidator(_check_metadata)]
"""At most 16 pairs, keys of 64 and values of 512 characters."""


class ResponseAudioOutputParams(ConfigModel):
    """`response.audio.output`: as in the session, without speed."""

    format: AudioFormat = PcmFormat()
    voice: Voice = "alloy"


class ResponseAudioParams(ConfigModel):
    """`response.audio`."""

    output: ResponseAudioOutputParams = ResponseAudioOutputParams()


class ResponseParams(ConfigModel):
    """The overrides of one response. Only what stands in `model_fields_set` was said."""

    conversation: Literal["auto", "none"] | None = None
    """`none` is out of band (contract 4.9); None is `auto`."""
    input: list[InputItem] | None = Field(default=None, fail_fast=True)
    """None: the conversation. An empty list: no context at all."""
    instructions: str = ""
    output_modalities: OutputModalities = Field(default_factory=audio_only)
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoice = "auto"
    max_output_tokens: MaxOutputTokens = "inf"
    parallel_tool_calls: bool | None = None
    prompt: Prompt | None = None
    reasoning: Reasoning | None = None
    audio: ResponseAudioParams = ResponseAudioParams()
    metadata: Metadata | None = None
