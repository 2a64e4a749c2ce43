"""One conversation, sans-IO: inputs go in, effects come out (design §3).

No clock, no task, no socket inside: time comes as an argument, audio counts its own samples, and what is to happen in
the world is returned as a list of effects, to be performed in order without an await between them.
"""

from collections.abc import Callable
from typing import Any

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.engines.port import (
    EngineComplaint,
    EngineNotice,
    EngineReplaced,
    EngineSettings,
    HostedCall,
    RateLimitsReported,
    ResponseEvent,
    TranscriptionEvent,
    TurnStarted,
    TurnStopped,
)
from voice.errors import ContractError, EngineError
from voice.ids import Ids
from voice.protocol import client_events as client
from voice.protocol import server_events as wire_events
from voice.protocol.response_params import ResponseParams
from voice.protocol.session_config import SessionConfig, checked_voice
from voice.session.audio_requests import AudioRequests
from voice.session.configuration import reconfigured
from voice.session.conversation import Conversation
from voice.session.core import Core, SessionTraits
from voice.session.effects import CloseSession, ConfigureEngine, Effect
from voice.session.item_requests import ItemRequests
from voice.session.mcp import check_servers
from voice.session.outbox import Outbox
from voice.session.playout import PlayoutLedger
from voice.session.responder import Responder
from voice.session.transcripts import Transcripts
from voice.session.turn import Turn
from voice.session.wire import limits_to_wire
from voice.tooling import RemoteListing, ToolResult

GOING_AWAY = 1001
"""WebSocket close code at the end of the session's time (contract 2.5)."""


class Session:
    """The machine. Every public `receive_…`, `start` and `handle_timer` returns the effects of that one input."""

    def __init__(self, config: SessionConfig, traits: SessionTraits, ids: Ids) -> None:
        """Nothing happens before `start`."""
        retention_bytes = int(traits.audio_retention_s * CORE_RATE_HZ) * SAMPLE_BYTES
        conversation = Conversation(ids.mint("conv"), audio_retention_bytes=retention_bytes)
        self._core = Core(Outbox(ids), conversation, config, traits)
        self._ledger = PlayoutLedger(self._core)
        self._responder = Responder(self._core, self._ledger)
        self._turn = Turn(self._core, self._responder)
        self._audio = AudioRequests(self._core, self._turn, self._responder, self._ledger)
        self._items = ItemRequests(self._core, self._responder)
        self._transcripts = Transcripts(self._core)
        self._ends_at_s: float | None = None
        self._handlers: dict[type[client.ClientEvent], Callable[[Any], None]] = {
            client.InputAudioBufferAppend: self._audio.append,
            client.InputAudioBufferCommit: lambda _: self._audio.commit(),
            client.InputAudioBufferClear: lambda _: self._audio.clear(),
            client.OutputAudioBufferClear: lambda _: self._audio.clear_output(),
            client.SessionUpdate: self._update,
            client.ResponseCreate: lambda event: self._create_response(event.response),
            client.ResponseCancel: lambda event: self._responder.cancel(event.response_id),
            client.ConversationItemCreate: self._items.create,
            client.ConversationItemRetrieve: self._items.retrieve,
            client.ConversationItemTruncate: self._items.truncate,
            client.ConversationItemDelete: self._items.delete,
        }

    # --- What others may know -------------------------------------------------------------------------------------

    @property
    def config(self) -> SessionConfig:
        """The configuration in effect."""
        return self._core.config

    @property
    def conversation(self) -> Conversation:
        """What was said."""
        return self._core.conversation

    @property
    def engine_detects_turns(self) -> bool:
        """Who gets the audio of `DetectVoice`: the engine, or the detector of this service."""
        return self._core.capabilities.detects_turns

    @property
    def engine_settings(self) -> EngineSettings:
        """What the engine is to work by; `ConfigureEngine` says when it changed."""
        return self._core.engine_settings()

    @property
    def said(self) -> str:
        """The words of the user's last turns."""
        return self._transcripts.said

    @property
    def dropped_input_ms(self) -> int:
        """Input audio lost because it came for longer than is kept and nobody committed it."""
        return self._turn.dropped_ms

    def next_deadline(self) -> float | None:
        """When `handle_timer` is due, on the clock of `start`; None: never."""
        ends_s, idle_s = self._ends_at_s, self._core.idle.due_s(self._core.config)
        if ends_s is None or idle_s is None:
            return idle_s if ends_s is None else ends_s
        return min(ends_s, idle_s)

    # --- Inputs ---------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Let go of what was said, when nothing more will come: references in circles keep a session for a while."""
        self._turn.forget()
        self._responder.forget()
        self._core.conversation.forget()

    def advance(self, now: float) -> None:
        """Tell the time, in seconds of the clock of `start`; before each input, which then happens at that time."""
        if now > self._core.now_s:
            self._core.now_s = now

    def start(self, now: float) -> list[Effect]:
        """Begin: `session.created` is the first event, a greeting the first response. `now` in seconds, monotonic."""
        self.advance(now)
        self._ends_at_s = now + self._core.traits.max_duration_s
        out = self._core.out
        out.send(wire_events.SessionCreated(event_id=out.event_id(), session=self._core.config.to_wire()))
        out.add(ConfigureEngine())
        if self._core.traits.serves_mcp:
            self._core.imports.begin(self._core.config.tools)
        if self._core.traits.greeting:
            self._responder.greet(self._core.traits.greeting)
        return out.take()

    def handle_timer(self, now: float) -> list[Effect]:
        """A deadline has come: the session's time is over (contract 2.5), or nobody has spoken for long (4.12)."""
        self.advance(now)
        if self._ends_at_s is not None and now >= self._ends_at_s:
            self._ends_at_s = None
            minutes = round(self._core.traits.max_duration_s / 60)
            message = f"Your session hit the maximum duration of {minutes} minutes."
            self._send_error(ContractError(message, code="session_expired"))
            self._core.out.add(CloseSession(GOING_AWAY, message))
            return self._core.out.take()
        idle_s = self._core.idle.due_s(self._core.config)
        if idle_s is not None and now >= idle_s:
            self._turn.time_out()
        return self._core.out.take()

    def receive_audio(self, frame: AudioFrame) -> list[Effect]:
        """The caller's audio from a transport that carries it apart from events, at 8, 16, 24 or 48 kHz."""
        self._audio.receive(frame.pcm, frame.rate_hz)
        return self._core.out.take()

    def receive_client_event(self, event: client.ClientEvent) -> list[Effect]:
        """What a client sent. What breaks the contract is answered by one `error` event and changes nothing."""
        try:
            self._dispatch(event)
        except ContractError as error:
            error.event_id = error.event_id or event.event_id
            self._send_error(error)
        return self._core.out.take()

    def receive_voice_activity(self, probability: float, window_start: int, window_end: int) -> list[Effect]:
        """The judge's verdict on a window of the session's audio clock (24 kHz)."""
        self._turn.receive_voice_activity(probability, window_start, window_end)
        return self._core.out.take()

    def receive_turn_judgement(self, item_id: str, silence_start: int, probability: float) -> list[Effect]:
        """How likely the caller had finished when silence began there. What comes too late changes nothing."""
        self._turn.receive_judgement(item_id, silence_start, probability)
        return self._core.out.take()

    def receive_engine_event(self, response_id: str, event: ResponseEvent) -> list[Effect]:
        """The next of what the engine answers."""
        self._responder.receive_engine_event(response_id, event)
        return self._core.out.take()

    def receive_engine_failure(self, response_id: str, error: EngineError) -> list[Effect]:
        """The engine could not answer: the response fails, the session stays."""
        self._responder.receive_engine_failure(response_id, error)
        return self._core.out.take()

    def receive_engine_notice(self, notice: EngineNotice) -> list[Effect]:
        """What an engine says unasked: a turn that it heard, what is left of its limits, that another took over."""
        out = self._core.out
        match notice:
            case TurnStarted(at_sample=at_sample, item_id=item_id):
                self._turn.receive_start(at_sample, item_id)
            case TurnStopped(at_sample=at_sample):
                self._turn.receive_stop(at_sample)
            case RateLimitsReported(limits=limits):
                out.send(wire_events.RateLimitsUpdated(event_id=out.event_id(), rate_limits=limits_to_wire(limits)))
            case EngineReplaced(capabilities=capabilities):
                self._core.capabilities = capabilities
                self._turn.reconfigure()
            case EngineComplaint(code=code, message=message):
                self._send_error(ContractError(message, code=code, param="session"))
            case HostedCall():
                self._responder.receive_hosted(notice)
        return out.take()

    def receive_transcription_event(self, item_id: str, event: TranscriptionEvent) -> list[Effect]:
        """More of what the caller said. The client hears of it when it asked for transcripts (contract 3.5)."""
        self._transcripts.receive(item_id, event)
        return self._core.out.take()

    def receive_transcription_failure(self, item_id: str, error: EngineError) -> list[Effect]:
        """The words could not be had; the item stays."""
        self._transcripts.receive_failure(item_id, error)
        return self._core.out.take()

    def receive_tool_output(self, call_id: str, result: ToolResult) -> list[Effect]:
        """A tool of the service or of an MCP server has ended, well or not."""
        self._responder.receive_tool_output(call_id, result)
        return self._core.out.take()

    def receive_mcp_tools(self, list_id: str, listing: RemoteListing) -> list[Effect]:
        """An MCP server has said what it offers, or could not be asked. A response takes what is known as it starts."""
        self._core.imports.receive(list_id, listing)
        return self._core.out.take()

    def receive_flushed(self, item_id: str, played_ms: int) -> list[Effect]:
        """The transport dropped what was not played: the item ends where the caller stopped hearing it."""
        self._ledger.receive_flushed(item_id, played_ms)
        return self._core.out.take()

    def receive_drained(self, item_id: str) -> list[Effect]:
        """The transport has played an item to its end."""
        self._ledger.receive_drained(item_id)
        return self._core.out.take()

    # --- Client events ----------------------------------------------------------------------------------------------

    def _dispatch(self, event: client.ClientEvent) -> None:
        if isinstance(event, client.InvalidEvent):
            raise ContractError(event.message, code=event.code, param=event.param, type=event.type)
        self._handlers[type(event)](event)

    def _update(self, event: client.SessionUpdate) -> None:
        config = reconfigured(
            self._core.config,
            event.session,
            voice_is_fixed=self._core.agent_has_spoken,
            serves_mcp=self._core.traits.serves_mcp,
            serves_semantic_vad=self._core.traits.serves_semantic_vad,
            is_responding=self._responder.active is not None,
        )
        was_waiting = self._core.idle.due_s(self._core.config) is not None
        self._core.config = config
        if not was_waiting:
            self._core.idle.switch_on(self._core.now_s)
        self._audio.reconfigure()
        self._turn.reconfigure()
        out = self._core.out
        out.send(wire_events.SessionUpdated(event_id=out.event_id(), session=config.to_wire()))
        out.add(ConfigureEngine())
        if "tools" in event.session.model_fields_set:
            self._core.imports.begin(config.tools)

    def _create_response(self, params: ResponseParams | None) -> None:
        if self._core.config.type == "transcription":
            raise ContractError("A transcription session makes no responses.", param="type")
        items = None
        if params is not None:
            given = params.model_fields_set
            check_servers(params.tools, "response.tools", served=self._core.traits.serves_mcp)
            if "audio" in given and "voice" in params.audio.output.model_fields_set:
                current = self._core.config.audio.output.voice
                checked_voice(params.audio.output.voice, current=current, voice_is_fixed=self._core.agent_has_spoken)
            if params.input is not None:
                items = self._items.context(params.input)
        self._responder.create(params, items)
        if params is not None and "tools" in params.model_fields_set:
            # Only what is known when a response starts is of use to it (contract 4.11): this is for those after it.
            self._core.imports.begin(params.tools, keep=self._core.config.tools)

    # --- Inside ---------------------------------------------------------------------------------------------------

    def _send_error(self, error: ContractError) -> None:
        body = wire_events.ErrorBody(
            type=error.type, code=error.code, message=error.message, param=error.param, event_id=error.event_id
        )
        out = self._core.out
        out.send(wire_events.ErrorEvent(event_id=out.event_id(), error=body))
