"""The port of what thinks.

An engine mirrors a conversation that is decided elsewhere. It never decides about turns, tools or the wire:
it is asked to respond to a list of items, or to transcribe one, and answers with a stream of events.
One engine object serves one session; what sessions share (models, connections) stands behind it.

    open ──► configure* ──► hear* ──► respond* / transcribe* ──► aclose
                             └ drop* (what was heard and will not be used)

An engine that finds the caller's turns itself, or that may be replaced in the middle of a call, has more to say than
answers: it is a `LiveEngine`, and its notices are read for as long as the session lasts.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from voice.audio.frames import AudioFrame
from voice.errors import EngineError
from voice.protocol.session_fields import SemanticVad, ServerVad
from voice.session.items import Item
from voice.tooling import ToolResult, ToolSpec


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do by itself."""

    hears_audio: bool = False
    """Understands speech without a transcript (speech to speech)."""
    detects_turns: bool = False
    """Hears all of the caller's audio and says when turns begin and end (`LiveEngine`)."""
    speaks_audio: bool = True
    takes_images: bool = False
    transcribes: bool = True
    follows_speech: bool = False
    """Writes down what it hears while it is still being said (`TranscriptionRequest.is_growing`)."""
    speculates: bool = True
    """May be asked before the turn is decided, at no lasting cost; the answer is adopted or dropped unheard."""
    context_tokens: int = 28_224
    """Input tokens of a response, instructions and tools included; what is more is truncated by the session (contract
    3.7: 32 k of context and 4096 of output). Counted by the rates of contract §5, but that to an engine that does not
    hear speech is as long as its words."""
    reports_limits: bool = False
    """Tells by a notice what is left of its rate limits."""


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
    transcription_model: str | None = None
    """What the client asked for; None: it wants no transcripts."""
    transcription_hints: Mapping[str, Any] = field(default_factory=dict)
    """More of what it asked for, in the wire's words: `keywords`, `languages`, `delay`."""
    wants_logprobs: bool = False
    """With the transcripts."""
    only_transcribes: bool = False
    """A transcription session (contract 3.3): nobody will ask for an answer."""
    turn_detection: ServerVad | SemanticVad | None = None
    """For engines that detect turns; None: the client commits."""
    passed_on: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the session that servers understand and models of ours do not, in the wire's words."""


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
    model: str | None = None
    """What the client named; an engine that has several may go by it."""
    wants_logprobs: bool = False
    """How sure the model is of each token; one that cannot tell leaves it out."""
    is_growing: bool = False
    """The item is still being said: its audio comes by `hear`, `pcm` is empty. Words that are likely to stay are given
    as deltas until the task is cancelled; nothing else is. Only for engines that say `follows_speech`."""


# --- What an engine answers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """What follows is a message of its own. Engines that never send it speak in one message between tool calls."""

    item_id: str | None = None
    """What the engine calls it; the item is then called the same. None: it has no name for it."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next words. With audio they come before the audio that speaks them: that is how what was heard is known."""

    text: str


class AudioDelta(msgspec.Struct, frozen=True, gc=False):
    """The next run of speech, 24 kHz, any length; keep it under 1 s."""

    frame: AudioFrame


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool call begins. Several may follow each other; a message before it is complete (contract §8 row 8)."""

    call_id: str
    name: str
    server_label: str | None = None
    """Set for a hosted tool, which is none of the request's: the engine runs it itself, and `HostedCall` follows."""


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
class HostedCall:
    """How the call of a hosted tool goes on, once it is complete: part of the answer, or a notice when that is over."""

    call_id: str
    state: Literal["running", "asks", "over"]
    """`asks`: the client has to allow it; `LiveEngine.approve` says what it said."""
    result: ToolResult | None = None
    """Of one that is over."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """What the engine itself counted. Without it the session counts by the rates of contract §5."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0


@dataclass(frozen=True, slots=True)
class EngineDone:
    """The stream ends well; nothing follows."""

    reason: Literal["completed", "max_output_tokens", "content_filter"] = "completed"


ResponseEvent = (
    MessageStarted
    | TextDelta
    | AudioDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallDone
    | HostedCall
    | TokenUsage
    | EngineDone
)


class TokenLogprob(NamedTuple):
    """How sure a model is of a token."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """More of the transcript; deltas are only ever appended."""

    delta: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """What one speaker said."""

    text: str
    speaker: str
    start_s: float
    """Within the item's audio."""
    end_s: float


@dataclass(frozen=True, slots=True)
class TranscriptDone:
    """The whole transcript; equals the concatenation of the deltas."""

    transcript: str
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: TokenUsage | float | None = None
    """What the engine itself counted: tokens, or seconds. None: the session counts by the rates of contract §5."""


TranscriptionEvent = TranscriptDelta | TranscriptSegment | TranscriptDone


# --- What a live engine says unasked -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The caller began to speak."""

    at_sample: int
    """On the session's clock, padding included."""
    item_id: str
    """What the turn's item is to be called."""


@dataclass(frozen=True, slots=True)
class TurnStopped:
    """The caller's turn is over."""

    at_sample: int
    item_id: str


@dataclass(frozen=True, slots=True)
class RateLimitLeft:
    """What is left of one limit."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class RateLimitsReported:
    """What is left of the engine's limits; once per response."""

    limits: tuple[RateLimitLeft, ...]


@dataclass(frozen=True, slots=True)
class EngineReplaced:
    """Another engine has taken over: from here on it can do this."""

    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class EngineLost:
    """An engine that detects turns hears nothing for now, and tries to come back: whoever can replace it may."""

    error: EngineError


@dataclass(frozen=True, slots=True)
class EngineComplaint:
    """The engine does not take the settings that it was given, and goes on with those before."""

    code: str | None
    message: str


EngineNotice = (
    TurnStarted | TurnStopped | RateLimitsReported | EngineReplaced | EngineLost | EngineComplaint | HostedCall
)


@dataclass(frozen=True, slots=True)
class SessionRef:
    """What an engine, or a translator, is made for."""

    id: str
    safety_identifier: str | None = None
    """Whom the client says that it speaks for, and upstreams are told (contract 1.0); None: it did not say."""


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


Take = Callable[[str, AudioDelta], bool]
"""Given a response id and the next of its sound, between two events of `respond`; must not raise."""


@runtime_checkable
class LiveEngine(Engine, Protocol):
    """An engine that has something to say unasked."""

    def notices(self) -> AsyncGenerator[EngineNotice, None]:
        """Yield what happens until the engine is closed. Read by one task. Cancelling is safe."""
        ...

    def offer_to(self, take: Take) -> None:
        """Offer runs of an answer's sound to `take` where they arrive; called before the first answer, if at all.

        What it returns True for does not come from `respond`. That spares waking a task fifty times a second.
        """
        ...

    def listen(self, frame: AudioFrame) -> None:
        """Take the next 24 kHz audio of the caller, all of it, while it detects turns. Returns at once."""
        ...

    def restart_listening(self) -> None:
        """Forget what was listened to and belongs to no turn yet. Returns at once."""
        ...

    def cut(self, item: Item) -> None:
        """An item that the engine spoke was cut: take the shorter one. Returns at once."""
        ...

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> None:
        """The client allows the call of a hosted tool, or does not. What comes of it is a notice. Returns at once."""
        ...
