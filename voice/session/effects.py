"""What a session asks of the world. The runner performs effects in order and never awaits while it does."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from voice.audio.frames import AudioFrame
from voice.engines.port import ResponseRequest, TranscriptionRequest
from voice.protocol.server_events import ServerEvent
from voice.session.items import Item
from voice.tooling import RemoteServer

WireFormat = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


@dataclass(frozen=True, slots=True)
class SendEvent:
    """Put an event on the wire, behind everything sent before."""

    event: ServerEvent


class PlayAudio(msgspec.Struct, frozen=True, gc=False):
    """Let the caller hear this: a delta event on WebSocket, the playout buffer elsewhere."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    frame: AudioFrame
    """24 kHz, any length."""
    wire_format: WireFormat
    """What a WebSocket delta is encoded in; constant for the response."""


@dataclass(frozen=True, slots=True)
class FinishAudio:
    """No more audio of that item will come: what is buffered plays out and then `receive_drained` is due."""

    response_id: str
    item_id: str


@dataclass(frozen=True, slots=True)
class FlushAudio:
    """Drop what was not played yet and report `receive_flushed`. Nothing to do on WebSocket: the client plays."""


@dataclass(frozen=True, slots=True)
class StartResponse:
    """Ask the engine; its events come back by `receive_engine_event` under this response id."""

    request: ResponseRequest


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """Stop that generation now; events of it that are still under way are not to be fed in."""

    response_id: str


@dataclass(frozen=True, slots=True)
class StartTranscription:
    """Ask the engine for the words of an item; they come back by `receive_transcription_event`."""

    request: TranscriptionRequest


@dataclass(frozen=True, slots=True)
class CancelTranscription:
    """Stop writing that item down: what was followed is over, or dropped."""

    item_id: str


class DetectVoice(msgspec.Struct, frozen=True, gc=False):
    """Find turns in this 24 kHz audio; verdicts come back by `receive_voice_activity`, or, where the engine detects
    turns, what it found by `receive_engine_notice`."""

    frame: AudioFrame


@dataclass(frozen=True, slots=True)
class ResetVoice:
    """Voice activity detection starts anew: what was pushed and not judged is void."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class JudgeTurn:
    """Say whether the caller has finished; the answer comes back by `receive_turn_judgement`. None may come as well.

    It replaces an earlier one of the same item that is still under way.
    """

    item_id: str
    silence_start: int
    """Which pause it is about."""
    frame: AudioFrame
    """The last seconds of the turn, with the silence."""


class HearAudio(msgspec.Struct, frozen=True, gc=False):
    """Give the engine more of an utterance that is growing into user item `item_id`."""

    item_id: str
    frame: AudioFrame


@dataclass(frozen=True, slots=True)
class DropAudio:
    """The utterance under that item id is not needed any more."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TellCut:
    """Agent speech was cut where the caller stopped hearing it: an engine that keeps it cuts its own."""

    item: Item


@dataclass(frozen=True, slots=True)
class ConfigureEngine:
    """The settings changed: the engine may prefill. The runner asks the session for them (`engine_settings`)."""


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool of the service; its result comes back by `receive_tool_output`."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ListMcpTools:
    """Ask an MCP server for its tools; they come back by `receive_mcp_tools` under this list id."""

    list_id: str
    server: RemoteServer


@dataclass(frozen=True, slots=True)
class RunMcpTool:
    """Run a tool of the MCP server of that list; its result comes back by `receive_tool_output`."""

    call_id: str
    list_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AnswerApproval:
    """Tell the engine what the client says to the call of a hosted tool."""

    call_id: str
    approve: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class CancelTool:
    """Stop that tool call; nothing of it is to be fed in."""

    call_id: str


@dataclass(frozen=True, slots=True)
class CloseSession:
    """The session is over."""

    code: int
    """WebSocket close code (contract 2.6)."""
    reason: str


Effect = (
    SendEvent
    | PlayAudio
    | FinishAudio
    | FlushAudio
    | StartResponse
    | CancelResponse
    | StartTranscription
    | CancelTranscription
    | DetectVoice
    | ResetVoice
    | JudgeTurn
    | HearAudio
    | DropAudio
    | TellCut
    | ConfigureEngine
    | RunTool
    | ListMcpTools
    | RunMcpTool
    | AnswerApproval
    | CancelTool
    | CloseSession
)
