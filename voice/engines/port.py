"""The port of what thinks.

An engine mirrors a conversation that is decided elsewhere. It never decides about turns, tools or the wire:
it is asked to respond to a list of items, or to transcribe one, and answers with a stream of events.
One engine object serves one session; what sessions share (models, connections) stands behind it.

    open ──► configure* ──► hear* ──► respond* / transcribe* ──► aclose
                             └ drop* (what was heard and will not be used)
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol

from voice.audio.frames import AudioFrame
from voice.session.items import Item
from voice.tooling import ToolSpec


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do by itself."""

    hears_audio: bool = False
    """Understands speech without a transcript (speech to speech)."""
    detects_turns: bool = False
    speaks_audio: bool = True
    takes_images: bool = False
    transcribes: bool = True
    speculates: bool = True
    """May be asked before the turn is decided, at no lasting cost; the answer is adopted or dropped unheard."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The part of the session's configuration that an engine works by. Sent at the start and after each change."""

    instructions: str = ""
    voice: str = "alloy"
    speed: float = 1.0
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"
    """`auto`, `none`, `required`, or the name of the one tool that must be called."""
    output_modality: Literal["audio", "text"] = "audio"
    max_output_tokens: int | None = None
    """None: the engine's own limit."""
    transcription_language: str | None = None
    transcription_prompt: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """What a response is to be made from; a snapshot, never changed afterwards."""

    response_id: str
    items: tuple[Item, ...]
    """The context, oldest first. User audio stands in the parts (24 kHz); its transcript may still be missing."""
    settings: EngineSettings
    """With the overrides of this response."""
    in_conversation: bool = True
    """False: out of band (contract 4.9)."""
    speculative: bool = False
    """True: the caller has just fallen silent and may go on; nothing of this may have a side effect yet."""
    say: str | None = None
    """Speak exactly these words (a greeting); nothing is to be thought of. None: answer the items."""


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """An item's audio is to be written down."""

    item_id: str
    pcm: bytes
    """24 kHz."""
    language: str | None = None
    prompt: str | None = None


# --- What an engine answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next words. With audio they come before the audio that speaks them: that is how what was heard is known."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioDelta:
    """The next run of speech, 24 kHz, any length; keep it under 1 s."""

    frame: AudioFrame


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool call begins. Several may follow each other; a message before it is complete (contract §8 row 8)."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of the JSON text of the arguments."""

    call_id: str
    delta: str


@dataclass(frozen=True, slots=True)
class ToolCallDone:
    """The call is complete; `arguments` is the concatenation of its deltas."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What the engine itself counted. Without it the session counts by the rates of contract §5."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    output_text: int = 0
    output_audio: int = 0


@dataclass(frozen=True, slots=True)
class EngineDone:
    """The stream ends well; nothing follows."""

    reason: Literal["completed", "max_output_tokens", "content_filter"] = "completed"


ResponseEvent = TextDelta | AudioDelta | ToolCallStarted | ToolCallDelta | ToolCallDone | TokenUsage | EngineDone


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """More of the transcript; deltas are only ever appended."""

    delta: str


@dataclass(frozen=True, slots=True)
class TranscriptDone:
    """The whole transcript; equals the concatenation of the deltas."""

    transcript: str


TranscriptionEvent = TranscriptDelta | TranscriptDone


class Engine(Protocol):
    """One session's view of what thinks."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine can do; constant after `open`."""
        ...

    async def open(self, settings: EngineSettings) -> None:
        """Get ready. Raises: EngineError."""
        ...

    def configure(self, settings: EngineSettings) -> None:
        """Take new settings; may begin to prefill a cache in the background. Returns at once."""
        ...

    def hear(self, item_id: str, frame: AudioFrame) -> None:
        """Take the next 24 kHz audio of the utterance that is growing into user item `item_id`. Returns at once."""
        ...

    def drop(self, item_id: str) -> None:
        """Forget that utterance: it was no turn, or it is answered. Returns at once."""
        ...

    def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        """Answer. Ends with `EngineDone`. Cancelling is safe at each await and frees the model. Raises: EngineError."""
        ...

    def transcribe(self, request: TranscriptionRequest) -> AsyncGenerator[TranscriptionEvent, None]:
        """Write an item's audio down. Ends with `TranscriptDone`. Cancelling is safe. Raises: EngineError."""
        ...

    async def aclose(self) -> None:
        """Let go of everything. Safe to call twice."""
        ...
