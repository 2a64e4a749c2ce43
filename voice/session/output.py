"""What a response puts out: a message or a tool call, as the events of contract 4.4, 4.5, 4.10 and 4.11.

Both kinds go the same way:  open ──► deltas* ──► close(status)   and are in the conversation from `open` on.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from voice.audio.frames import AudioFrame
from voice.protocol import server_events as wire_events
from voice.protocol.items import ContentPart
from voice.session.conversation import Conversation
from voice.session.effects import CancelTool, FinishAudio, PlayAudio, RunMcpTool, RunTool, TellCut, WireFormat
from voice.session.input_buffer import to_ms
from voice.session.items import AudioPart, Item, Message, Status, TextPart, ToolCall
from voice.session.outbox import Outbox
from voice.session.playback import SpokenPart, truncate
from voice.session.wire import item_to_wire
from voice.tooling import ToolResult, ToolSpec

PART_INDEX = 0
"""A message of ours has one content part."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output item stands."""

    out: Outbox
    conversation: Conversation | None
    """None: out of band, no `conversation.item.*` events (contract 4.9)."""
    response_id: str
    output_index: int

    def announce(self, item: Item) -> None:
        """`response.output_item.added`, and the item enters the conversation."""
        wire_item = item_to_wire(item)
        self.out.send(
            wire_events.ResponseOutputItemAdded(
                event_id=self.out.event_id(),
                response_id=self.response_id,
                output_index=self.output_index,
                item=wire_item,
            )
        )
        if self.conversation is not None:
            previous_id = self.conversation.add(item)
            self.out.send(
                wire_events.ConversationItemAdded(
                    event_id=self.out.event_id(), previous_item_id=previous_id, item=wire_item
                )
            )

    def note(self, item: Item) -> None:
        """The item has changed and is not final: who retrieves it sees it as it stands."""
        if self.conversation is not None:
            self.conversation.replace(item)

    def conclude_output(self, item: Item) -> None:
        """`response.output_item.done`."""
        self.out.send(
            wire_events.ResponseOutputItemDone(
                event_id=self.out.event_id(),
                response_id=self.response_id,
                output_index=self.output_index,
                item=item_to_wire(item),
            )
        )

    def conclude_item(self, item: Item) -> None:
        """`conversation.item.done`, with the final item; none when it was deleted meanwhile."""
        if self.conversation is None or item.id not in self.conversation:
            return
        self.conversation.replace(item)
        self.out.send(
            wire_events.ConversationItemDone(
                event_id=self.out.event_id(),
                previous_item_id=self.conversation.previous_id(item.id),
                item=item_to_wire(item),
            )
        )


class MessageOutput:
    """An assistant message with one part, text or audio."""

    def __init__(self, place: Place, modality: Literal["audio", "text"], wire_format: WireFormat, item_id: str) -> None:
        self._place = place
        self._out = place.out
        self._modality = modality
        self._wire_format = wire_format
        self._spoken = SpokenPart()
        self._text = ""
        self._cut_ms: int | None = None
        self.item = Message(item_id, "assistant", (), "in_progress")

    is_hosted_and_over = False
    """See `CallOutput`."""

    @property
    def audio_ms(self) -> int:
        """Length of what was spoken so far."""
        return to_ms(self._spoken.samples)

    @property
    def text(self) -> str:
        """All words so far."""
        return self._spoken.transcript if self._modality == "audio" else self._text

    def open(self) -> None:
        """Announce the item and its part."""
        self._place.announce(self.item)
        part = (
            ContentPart(type="audio", transcript="") if self._modality == "audio" else ContentPart(type="text", text="")
        )
        self._out.send(wire_events.ResponseContentPartAdded(**self._ids(), part=part))

    def add_text(self, text: str) -> None:
        """Send the next words; of speech, they are the transcript."""
        if self._modality == "audio":
            self._spoken.add_text(text)
            self._out.send(wire_events.ResponseOutputAudioTranscriptDelta(**self._ids(), delta=text))
        else:
            self._text += text
            self._out.send(wire_events.ResponseOutputTextDelta(**self._ids(), delta=text))

    def add_audio(self, frame: AudioFrame) -> None:
        """Let the caller hear the next run of speech."""
        self._spoken.add_audio(frame.pcm)
        self._out.add(
            PlayAudio(
                self._place.response_id, self.item.id, self._place.output_index, PART_INDEX, frame, self._wire_format
            )
        )

    def snapshot(self) -> Message:
        """Return the item as it stands, as far as it was heard."""
        part = self._spoken.freeze() if self._modality == "audio" else TextPart(self._text)
        if isinstance(part, AudioPart) and self._cut_ms is not None:
            part = truncate(part, self._cut_ms)
        return Message(self.item.id, "assistant", (part,), "in_progress")

    def cut(self, played_ms: int) -> None:
        """The client stopped listening there, while more is still being generated."""
        self._cut_ms = played_ms

    def close(self, status: Status) -> None:
        """End the part and the item (contract 4.5; after an interruption 4.7)."""
        self.item = Message(self.item.id, "assistant", self.snapshot().parts, status)
        if self._modality == "audio":
            self._out.add(FinishAudio(self._place.response_id, self.item.id))
            self._out.send(wire_events.ResponseOutputAudioDone(**self._ids()))
            self._out.send(wire_events.ResponseOutputAudioTranscriptDone(**self._ids(), transcript=self.text))
            part = ContentPart(type="audio", transcript=self.text)
        else:
            self._out.send(wire_events.ResponseOutputTextDone(**self._ids(), text=self.text))
            part = ContentPart(type="text", text=self.text)
        self._out.send(wire_events.ResponseContentPartDone(**self._ids(), part=part))
        self._place.conclude_output(self.item)
        self._place.conclude_item(self.item)
        if self._cut_ms is not None:
            self._out.add(TellCut(self.item))

    def _ids(self) -> dict[str, Any]:
        return {
            "event_id": self._out.event_id(),
            "response_id": self._place.response_id,
            "item_id": self.item.id,
            "output_index": self._place.output_index,
            "content_index": PART_INDEX,
        }


class CallOutput:
    """A tool call: a client's (`function_call`) or, with a `server_label`, one that the service runs (`mcp_call`).

    The service's:  finish_arguments ──► [note_request] ──► run ──► finish_tool      or, not allowed, deny
    """

    def __init__(self, place: Place, call_id: str, tool: ToolSpec) -> None:
        self._place = place
        self._out = place.out
        self.tool = tool
        item_id = place.out.ids.mint("item" if tool.server_label is None else "mcp")
        remote_name = tool.remote.name if tool.remote else None
        self.item = ToolCall(item_id, call_id, tool.name, "", "in_progress", tool.server_label, remote_name=remote_name)
        self._output_is_done = False
        self._is_running = False

    @property
    def is_ours(self) -> bool:
        """True when the service runs the tool."""
        return self.item.server_label is not None

    @property
    def is_hosted_and_over(self) -> bool:
        """True when the engine ran the tool itself and has its output: it may have said nothing of it yet."""
        return self.tool.is_hosted and (self.item.output is not None or self.item.error is not None)

    def open(self) -> None:
        """Announce the item."""
        self._place.announce(self.item)

    def add_arguments(self, delta: str) -> None:
        """Send more of the arguments' JSON text."""
        self.item = replace(self.item, arguments=self.item.arguments + delta)
        if self.is_ours:
            self._out.send(wire_events.ResponseMcpCallArgumentsDelta(**self._ids(), delta=delta))
        else:
            ids = self._ids()
            self._out.send(
                wire_events.ResponseFunctionCallArgumentsDelta(**ids, call_id=self.item.call_id, delta=delta)
            )

    def finish_arguments(self, arguments: str) -> None:
        """The call is complete: a client's ends here; the service's can be run."""
        self.item = replace(self.item, arguments=arguments)
        if not self.is_ours:
            self._out.send(
                wire_events.ResponseFunctionCallArgumentsDone(
                    **self._ids(), call_id=self.item.call_id, name=self.item.name, arguments=arguments
                )
            )
            self.close("completed")
            return
        self._out.send(wire_events.ResponseMcpCallArgumentsDone(**self._ids(), arguments=arguments))
        self._place.note(self.item)

    def note_request(self, approval_request_id: str) -> None:
        """The client is being asked whether the tool may run."""
        self.item = replace(self.item, approval_request_id=approval_request_id)
        self._place.note(self.item)

    def run(self) -> None:
        """Have the tool run; a hosted one does, and its engine may say so twice."""
        if self._is_running:
            return
        self._is_running = True
        self._out.send(wire_events.ResponseMcpCallInProgress(**self._short_ids()))
        origin, item = self.tool.remote, self.item
        if self.tool.is_hosted:
            return
        if origin is None:
            self._out.add(RunTool(item.call_id, item.name, item.arguments))
        else:
            self._out.add(RunMcpTool(item.call_id, origin.list_id, origin.name, item.arguments))

    def deny(self, reason: str | None) -> None:
        """The client does not allow the call: it ends without having run, and the agent may speak about it."""
        words = "the call was not approved, so it was not made" + (f": {reason}" if reason else "")
        self.item = replace(self.item, error=words)
        self.close("completed")

    def finish_tool(self, result: ToolResult) -> None:
        """The service's tool has ended; its output belongs to the item, whether its response is over or not."""
        if result.failed:
            self.item = replace(self.item, error=result.output, error_kind=result.kind, error_code=result.code)
            self._out.send(wire_events.ResponseMcpCallFailed(**self._short_ids()))
        else:
            self.item = replace(self.item, output=result.output)
            self._out.send(wire_events.ResponseMcpCallCompleted(**self._short_ids()))
        self.close("completed")

    def cancel(self) -> None:
        """Stop the tool: the caller spoke, and it is one that stops then."""
        self._out.add(CancelTool(self.item.call_id))
        self.finish_tool(ToolResult("cancelled: the caller spoke before the tool had finished", failed=True))

    def snapshot(self) -> ToolCall:
        """Return the item as it stands."""
        return self.item

    def close(self, status: Status) -> None:
        """End the item: cut short, or complete."""
        self.item = replace(self.item, status=status)
        self.close_output()
        self._place.conclude_item(self.item)

    def close_output(self) -> None:
        """End the item for its response only: the tool goes on, and the conversation's item with it."""
        if not self._output_is_done:
            self._output_is_done = True
            self._place.conclude_output(self.item)

    def _ids(self) -> dict[str, Any]:
        return {**self._short_ids(), "response_id": self._place.response_id}

    def _short_ids(self) -> dict[str, Any]:
        return {
            "event_id": self._out.event_id(),
            "item_id": self.item.id,
            "output_index": self._place.output_index,
        }
