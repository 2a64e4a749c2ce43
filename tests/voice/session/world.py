"""A session in a world that owes it answers: what is asked of engine, tools and transport is kept until it is given."""

import json
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from voice.conformance.grammar import Grammar
from voice.engines.port import Capabilities
from voice.ids import Ids
from voice.protocol.codec import decode_client_event, encode_server_event
from voice.protocol.session_config import SessionConfig
from voice.session import effects as do
from voice.session.core import SessionTraits
from voice.session.session import Session
from voice.tooling import ToolSpec

SERVICE_TOOLS = (
    ToolSpec("book", "", {"type": "object"}, server_label="us"),
    ToolSpec("search", "", {"type": "object"}, server_label="us", on_interrupt="cancel"),
)


class World(RuleBasedStateMachine):
    """Performs a session's effects; what happens next is for the rules of a machine to say."""

    @initialize(server_plays=st.booleans(), goes_on=st.booleans())
    def start(self, server_plays: bool, goes_on: bool) -> None:
        config = SessionConfig(id="sess_p", model="test", expires_at=1, tools=[])
        traits = SessionTraits(
            capabilities=Capabilities(follows_speech=True),
            server_plays=server_plays,
            service_tools=SERVICE_TOOLS,
            greeting="Hi.",
            mcp_auto_continue=goes_on,
        )
        self.session = Session(config, traits, Ids("p"))
        self.server_plays = server_plays
        self.grammar = Grammar()
        self.clock = 0
        self.generating: dict[str, list[str]] = {}
        """Response id → open tool calls."""
        self.offers: dict[str, list[str]] = {}
        """Response id → names of the tools it was given."""
        self.transcribing: list[str] = []
        self.growing: list[str] = []
        """Items that are followed while they are being said: one at most."""
        self.tools: list[str] = []
        self.imports: list[str] = []
        """MCP lists that are being asked for."""
        self.approvals: list[str] = []
        """Approval requests that the client was sent."""
        self.in_progress: list[str] = []
        """MCP lists and calls that were begun, by item id."""
        self.ended: list[str] = []
        self.playing: list[str] = []
        self.items: list[str] = []
        self.calls = 0
        self.now = 0.0
        self.questions: list[tuple[str, int]] = []
        """Judgements on pauses that were asked for."""
        self.perform(self.session.start(0.0))

    def perform(self, effects: list[do.Effect]) -> None:
        for effect in effects:
            match effect:
                case do.SendEvent(event=event):
                    self.note_frame(json.loads(encode_server_event(event)))
                case do.StartResponse(request=request):
                    assert request.response_id not in self.generating
                    self.generating[request.response_id] = []
                    self.offers[request.response_id] = [tool.name for tool in request.settings.tools]
                case do.CancelResponse(response_id=response_id):
                    self.generating.pop(response_id, None)
                case do.StartTranscription() | do.CancelTranscription():
                    self.note_transcription(effect)
                case do.RunTool(call_id=call_id) | do.RunMcpTool(call_id=call_id):
                    assert call_id not in self.tools
                    self.tools.append(call_id)
                case do.ListMcpTools(list_id=list_id):
                    assert list_id not in self.imports
                    self.imports.append(list_id)
                case do.CancelTool(call_id=call_id):
                    self.tools.remove(call_id)
                case do.JudgeTurn(item_id=item_id, silence_start=start):
                    self.questions.append((item_id, start))
                case do.PlayAudio(item_id=item_id) if self.server_plays and item_id not in self.playing:
                    self.playing.append(item_id)
                case do.FlushAudio() if self.playing:
                    item_id, self.playing = self.playing[0], []
                    self.perform(self.session.receive_flushed(item_id, 20))

    def note_transcription(self, effect: do.StartTranscription | do.CancelTranscription) -> None:
        if isinstance(effect, do.CancelTranscription):
            self.growing.remove(effect.item_id)
        elif effect.request.is_growing:
            assert not self.growing
            self.growing.append(effect.request.item_id)
        else:
            self.transcribing.append(effect.request.item_id)

    def note_frame(self, frame: dict[str, Any]) -> None:
        self.grammar.feed(frame)
        assert "secret-token" not in str(frame)
        kind = frame["type"]
        if kind == "conversation.item.added":
            self.items.append(frame["item"]["id"])
            if frame["item"]["type"] == "mcp_approval_request":
                self.approvals.append(frame["item"]["id"])
        elif kind in ("mcp_list_tools.in_progress", "response.mcp_call.in_progress"):
            self.in_progress.append(frame["item_id"])
        # A call whose approval cannot be asked for fails without having begun.
        elif kind.startswith(("mcp_list_tools.", "response.mcp_call.")) and frame["item_id"] in self.in_progress:
            self.ended.append(frame["item_id"])

    def send(self, **event: Any) -> None:
        self.perform(self.session.receive_client_event(decode_client_event(json.dumps(event))))
