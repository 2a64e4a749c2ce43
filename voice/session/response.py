"""One response, from `response.created` to `response.done` (contract 4.3 to 4.11).

    open ─► generating ──EngineDone──► waiting for the service's tools ──last output──► done(completed)
                │                                │
                └── cancel / fail ───────────────┴──► done(cancelled | failed); a tool that may finish is detached

Every path ends in exactly one `response.done`. A message is complete before a call behind it begins (§8 row 8).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from voice.engines.port import (
    AudioDelta,
    EngineDone,
    HostedCall,
    MessageStarted,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineError, EngineProtocolError
from voice.protocol import server_events as wire_events
from voice.protocol.response_object import ResponseObject, ResponseStatus, StatusDetails, StatusError
from voice.session.calls import Calls
from voice.session.conversation import Conversation
from voice.session.effects import WireFormat
from voice.session.items import Item, Status
from voice.session.mcp import Approvals
from voice.session.outbox import Outbox
from voice.session.output import CallOutput, MessageOutput, Place
from voice.session.usage import UsageMeter
from voice.session.wire import item_to_wire, response_to_wire
from voice.tooling import ToolResult

CancelReason = Literal["turn_detected", "client_cancelled"]


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """What a response looks like on the wire; fixed when it starts (contract 3.1: formats never switch inside one)."""

    modality: Literal["audio", "text"]
    wire_format: WireFormat
    voice: str
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None = None


class Response:
    """Turns an engine's events into the contract's. The session asks `is_done` after each input."""

    def __init__(
        self,
        out: Outbox,
        conversation: Conversation,
        meter: UsageMeter,
        approvals: Approvals,
        request: ResponseRequest,
        shape: ResponseShape,
        *,
        engine_reports_limits: bool = False,
    ) -> None:
        self._out = out
        self._conversation = conversation
        self._meter = meter
        self._shape = shape
        self._engine_reports_limits = engine_reports_limits
        self._next_item_id: str | None = None
        """What the engine calls the message that it began."""
        self._calls = Calls(approvals, request)
        self._outputs: list[MessageOutput | CallOutput] = []
        self._message: MessageOutput | None = None
        self._counted: TokenUsage | None = None
        self._ended: EngineDone | None = None
        self.request = request
        self.is_done = False
        self.wants_follow_up = False
        """Done, and the service's tools have given results to speak about. Not when a tool of the client's was called
        too: then the client goes on (contract 4.10)."""
        self.offers_follow_up = False
        """The same of tools of the client's MCP servers: who goes on is a setting (contract 4.11)."""

    @property
    def id(self) -> str:
        """The response's id."""
        return self.request.response_id

    @property
    def spoken_item_id(self) -> str | None:
        """The message under way, where it is spoken."""
        return self._message.item.id if self._message and self._shape.modality == "audio" else None

    @property
    def is_generating(self) -> bool:
        """False once the engine has said all."""
        return self._ended is None and not self.is_done

    def open(self) -> None:
        """Announce the response."""
        self._out.send(
            wire_events.ResponseCreated(
                event_id=self._out.event_id(), response=self._to_wire("in_progress", None, None)
            )
        )

    def receive(self, event: ResponseEvent) -> None:
        """Take the next event of the engine. Raises: EngineProtocolError, and the response is then to be failed."""
        match event:
            case MessageStarted(item_id=item_id):
                self._close_message("completed")
                self._next_item_id = item_id
            case TextDelta(text=text):
                if text:
                    self._open_message().add_text(text)
            case AudioDelta(frame=frame):
                if frame.pcm and self._shape.modality == "audio":
                    self._open_message().add_audio(frame)
            case ToolCallStarted():
                self._start_call(event)
            case ToolCallDelta(call_id=call_id, delta=delta):
                self._calls.add_arguments(call_id, delta)
            case ToolCallDone(call_id=call_id, arguments=arguments):
                self._calls.finish_arguments(call_id, arguments)
            case HostedCall():
                self._calls.receive_hosted(event)
                self._finish_if_complete()
            case TokenUsage():
                self._counted = event
            case EngineDone():
                self._receive_end(event)

    def receive_tool_output(self, call_id: str, result: ToolResult) -> None:
        """A tool of the service that this response called has ended."""
        self._calls.finish_tool(call_id, result)
        self._finish_if_complete()

    def waits_for(self, call_id: str) -> bool:
        """True while that tool of the service runs for this response."""
        return call_id in self._calls.running

    def cancel(self, reason: CancelReason) -> list[CallOutput]:
        """End now. Tools that may finish are returned: they are the session's from here on."""
        detached = self._cut_short()
        self._finish("cancelled", StatusDetails(type="cancelled", reason=reason))
        return detached

    def fail(self, error: EngineError) -> list[CallOutput]:
        """End because the engine could not go on. Returns detached tools, as `cancel` does."""
        detached = self._cut_short()
        why = StatusError(type="server_error", code=error.code, message=error.message)
        self._finish("failed", StatusDetails(type="failed", error=why))
        return detached

    def snapshot(self, item_id: str) -> Item | None:
        """Return an item of this response as it stands, or None."""
        return next((output.snapshot() for output in self._outputs if output.item.id == item_id), None)

    def cut(self, item_id: str, played_ms: int) -> bool:
        """The client stopped hearing the message under way there; False when it is not under way."""
        if self._message is None or self._message.item.id != item_id:
            return False
        self._message.cut(played_ms)
        return True

    # --- Inside ---------------------------------------------------------------------------------------------------

    def _place(self) -> Place:
        conversation = self._conversation if self.request.in_conversation else None
        return Place(self._out, conversation, self.id, len(self._outputs))

    def _open_message(self) -> MessageOutput:
        if self._message is None:
            item_id, self._next_item_id = self._next_item_id, None
            if item_id is None or item_id in self._conversation:
                item_id = self._out.ids.mint("item")
            self._message = MessageOutput(self._place(), self._shape.modality, self._shape.wire_format, item_id)
            self._outputs.append(self._message)
            self._message.open()
        return self._message

    def _close_message(self, status: Status) -> None:
        if self._message is not None:
            self._message.close(status)
            self._message = None

    def _start_call(self, event: ToolCallStarted) -> None:
        self._close_message("completed")
        self._outputs.append(self._calls.start(event, self._place()))

    def _receive_end(self, event: EngineDone) -> None:
        if event.reason == "completed" and self._calls.are_open:
            raise EngineProtocolError("the engine ended a response in the middle of a tool call")
        self._close_message("completed" if event.reason == "completed" else "incomplete")
        self._calls.close()
        self._ended = event
        self._finish_if_complete()

    def _cut_short(self) -> list[CallOutput]:
        self._close_message("incomplete")
        return self._calls.cut_short()

    def _finish_if_complete(self) -> None:
        if self._ended is None or self._calls.running or self.is_done:
            return
        if self._ended.reason == "completed":
            is_unspoken = bool(self._outputs) and self._outputs[-1].is_hosted_and_over
            self.wants_follow_up = (self._calls.ran_own or is_unspoken) and not self._calls.asked_client
            self.offers_follow_up = self._calls.ran_remote and not self._calls.asked_client
            self._finish("completed", None)
        else:
            self._finish("incomplete", StatusDetails(type="incomplete", reason=self._ended.reason))

    def _finish(self, status: ResponseStatus, details: StatusDetails | None) -> None:
        self.is_done = True
        text = "".join(_written(self._outputs))
        audio_ms = sum(output.audio_ms for output in self._outputs if isinstance(output, MessageOutput))
        usage = self._meter.count(self.request, self._counted, text, audio_ms)
        response = self._to_wire(status, details, usage)
        self._out.send(wire_events.ResponseDone(event_id=self._out.event_id(), response=response))
        if not self._engine_reports_limits:
            # No entries: this service sets no rate limits, and invents none.
            self._out.send(wire_events.RateLimitsUpdated(event_id=self._out.event_id(), rate_limits=[]))

    def _to_wire(
        self, status: ResponseStatus, details: StatusDetails | None, usage: TokenUsage | None
    ) -> ResponseObject:
        return response_to_wire(
            id=self.id,
            status=status,
            status_details=details,
            output=[item_to_wire(output.item) for output in self._outputs],
            conversation_id=self._conversation.id if self.request.in_conversation else None,
            modality=self._shape.modality,
            wire_format=self._shape.wire_format,
            voice=self._shape.voice,
            max_output_tokens=self._shape.max_output_tokens,
            usage=usage,
            metadata=self._shape.metadata,
        )


def _written(outputs: Iterable[MessageOutput | CallOutput]) -> Iterable[str]:
    for output in outputs:
        yield output.text if isinstance(output, MessageOutput) else output.item.name + output.item.arguments
