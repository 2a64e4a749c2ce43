"""The values a session is configured with: formats, turn detection, transcription, tools (contract 3.2 to 3.7).

They stand in `session.update`, in `response.create` and in the session itself. What was given and what is a default
is told apart by `model_fields_set`; that is what merging by presence needs.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from voice.protocol.validation import ARRAY, NUMBER, OBJECT, TEXT, one_of, refuse, tag

MAX_JSON_DEPTH = 100
"""Nesting of JSON we keep and send back; the serialiser gives up at 255."""


class ConfigModel(BaseModel):
    """A part of a configuration: strict, closed, frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    level: list[Any] = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise refuse.because(f"Invalid '{{param}}': nested deeper than {MAX_JSON_DEPTH} levels.")


JsonObject = Annotated[dict[str, Any], AfterValidator(_shallow)]
"""Any JSON object of a depth that can be sent back."""


# --- Formats and voices -----------------------------------------------------------------------------------------


class PcmFormat(ConfigModel):
    """Signed 16-bit little-endian mono at 24 kHz."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class UlawFormat(ConfigModel):
    """G.711 μ-law, 8 kHz mono, one byte a sample."""

    type: Literal["audio/pcmu"] = "audio/pcmu"


class AlawFormat(ConfigModel):
    """G.711 A-law, 8 kHz mono, one byte a sample."""

    type: Literal["audio/pcma"] = "audio/pcma"


AudioFormat = Annotated[
    Annotated[PcmFormat, tag("audio/pcm")]
    | Annotated[UlawFormat, tag("audio/pcmu")]
    | Annotated[AlawFormat, tag("audio/pcma")],
    one_of("audio/pcm", "audio/pcmu", "audio/pcma"),
]


class CustomVoice(ConfigModel):
    """A voice of the customer's own."""

    id: str = Field(min_length=1)


Voice = Annotated[
    Annotated[str, Field(min_length=1), tag(TEXT)] | Annotated[CustomVoice, tag(OBJECT)], one_of(TEXT, OBJECT)
]


def voice_name(voice: str | CustomVoice) -> str:
    """Return the voice as answers have it: a string, also for a custom voice (contract 3.2)."""
    return voice if isinstance(voice, str) else voice.id


OutputModality = Literal["audio", "text"]


def audio_only() -> list[OutputModality]:
    """Return the modalities of a session that said nothing about them."""
    return ["audio"]


def _one_modality(value: list[OutputModality]) -> list[OutputModality]:
    if len(value) != 1:
        raise refuse.because(f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio'].")
    return value


OutputModalities = Annotated[list[OutputModality], AfterValidator(_one_modality)]
"""One of the two, never both."""

MaxOutputTokens = Annotated[
    Annotated[int, Field(ge=1, le=4096), tag(NUMBER)] | Annotated[Literal["inf"], tag(TEXT)], one_of(NUMBER, TEXT)
]


# --- Input ------------------------------------------------------------------------------------------------------


MAX_TURN_MS: Final = 24 * 60 * 60 * 1000
"""Longer than any session: the contract has no bound, and a number of four hundred digits is no duration."""


class ServerVad(ConfigModel):
    """Turns by silence (contract 3.6). The defaults are those of the live service, not of its prose."""

    type: Literal["server_vad"] = "server_vad"
    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    prefix_padding_ms: int = Field(default=300, ge=0, le=MAX_TURN_MS)
    silence_duration_ms: int = Field(default=200, ge=0, le=MAX_TURN_MS)
    idle_timeout_ms: int | None = Field(default=None, ge=5000, le=30000)
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(ConfigModel):
    """Turns by meaning (contract 3.6)."""

    type: Literal["semantic_vad"] = "semantic_vad"
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = Annotated[
    Annotated[ServerVad, tag("server_vad")] | Annotated[SemanticVad, tag("semantic_vad")],
    one_of("server_vad", "semantic_vad"),
]


class TranscriptionConfig(ConfigModel):
    """What the user said, written down (contract 3.5)."""

    model: str | None = None
    language: str | None = None
    languages: list[str] | None = Field(default=None, min_length=1)
    keywords: list[str] | None = None
    prompt: str | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class NoiseReduction(ConfigModel):
    """Noise reduction by where the microphone is. `type` may only be left out where one is already set."""

    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = None
    """1 when first enabled."""


# --- Model ------------------------------------------------------------------------------------------------------


class FunctionTool(ConfigModel):
    """A tool of the client's."""

    type: Literal["function"] = "function"
    name: str = Field(min_length=1)
    description: str | None = None
    parameters: JsonObject | None = None
    """JSON Schema."""


class ToolFilter(ConfigModel):
    """Some tools of an MCP server."""

    tool_names: list[str] | None = None
    read_only: bool | None = None


class ApprovalFilter(ConfigModel):
    """Which tools of an MCP server want an approval."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None


AllowedTools = Annotated[Annotated[list[str], tag(ARRAY)] | Annotated[ToolFilter, tag(OBJECT)], one_of(ARRAY, OBJECT)]
Approval = Annotated[
    Annotated[Literal["always", "never"], tag(TEXT)] | Annotated[ApprovalFilter, tag(OBJECT)], one_of(TEXT, OBJECT)
]


class McpTool(ConfigModel):
    """The tools of an MCP server, which the service is to call (contract 3.4)."""

    type: Literal["mcp"] = "mcp"
    server_label: str = Field(min_length=1)
    server_url: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = Field(default=None, repr=False)
    headers: dict[str, str] | None = Field(default=None, repr=False)
    server_description: str | None = None
    allowed_tools: AllowedTools | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = Field(default=None, min_length=1)
    defer_loading: bool | None = None
    require_approval: Approval | None = None
    """None is `always`."""


Tool = Annotated[Annotated[FunctionTool, tag("function")] | Annotated[McpTool, tag("mcp")], one_of("function", "mcp")]


Tools = Annotated[list[Tool], Field(fail_fast=True)]
"""One bad tool is told; a thousand of them cost no more."""


class NamedToolChoice(ConfigModel):
    """The tool that must be called: a function by name, or one of an MCP server's."""

    type: Literal["function", "mcp"]
    name: str | None = None
    server_label: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> "NamedToolChoice":
        if self.type == "mcp" and self.server_label is None:
            raise refuse.missing("server_label")
        if self.type == "function" and self.name is None:
            raise refuse.missing("name")
        if self.type == "function" and "server_label" in self.model_fields_set:
            raise refuse.unknown("server_label")
        return self


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], tag(TEXT)]
    | Annotated[NamedToolChoice, tag("function")]
    | Annotated[NamedToolChoice, tag("mcp")],
    one_of(TEXT, "function", "mcp"),
]


class Reasoning(ConfigModel):
    """How hard a reasoning model thinks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class TokenLimits(ConfigModel):
    """Where truncation begins."""

    post_instructions: int | None = Field(default=None, ge=0)


class RetentionRatio(ConfigModel):
    """Truncate the context down to that part of the limit (contract 3.7)."""

    type: Literal["retention_ratio"] = "retention_ratio"
    retention_ratio: float = Field(ge=0.0, le=1.0)
    token_limits: TokenLimits | None = None


Truncation = Annotated[
    Annotated[Literal["auto", "disabled"], tag(TEXT)] | Annotated[RetentionRatio, tag("retention_ratio")],
    one_of(TEXT, "retention_ratio"),
]


class TracingConfig(ConfigModel):
    """Where traces go."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: JsonObject | None = None


Tracing = Annotated[Annotated[Literal["auto"], tag(TEXT)] | Annotated[TracingConfig, tag(OBJECT)], one_of(TEXT, OBJECT)]


class PromptText(ConfigModel):
    """Text for a variable of a stored prompt."""

    type: Literal["input_text"] = "input_text"
    text: str


class PromptImage(ConfigModel):
    """A picture for a variable of a stored prompt."""

    type: Literal["input_image"] = "input_image"
    image_url: str | None = None
    file_id: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None


class PromptFile(ConfigModel):
    """A file for a variable of a stored prompt."""

    type: Literal["input_file"] = "input_file"
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None


PromptVariable = Annotated[
    Annotated[str, tag(TEXT)]
    | Annotated[PromptText, tag("input_text")]
    | Annotated[PromptImage, tag("input_image")]
    | Annotated[PromptFile, tag("input_file")],
    one_of(TEXT, "input_text", "input_image", "input_file"),
]


class Prompt(ConfigModel):
    """A stored prompt."""

    id: str
    version: str | None = None
    variables: dict[str, PromptVariable] | None = None


Include = Literal["item.input_audio_transcription.logprobs"]

LOGPROBS: Final = "item.input_audio_transcription.logprobs"
"""Asks for how sure a transcript's tokens are."""
