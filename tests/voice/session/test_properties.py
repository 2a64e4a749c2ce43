"""Anything in any order: client events, audio, verdicts, engine events, failures, tools. The grammar holds throughout.

`SESSION_STEPS` in the environment asks for more steps than the everyday run takes, `SESSION_SEED` for a run that was;
the seed is printed.
"""

import base64
import os
import random
import sys
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
    TranscriptDelta,
    TranscriptDone,
)
from voice.errors import EngineUnavailable
from voice.protocol.codec import decode_client_event
from voice.session import effects as do
from voice.tooling import RemoteListing, RemoteTool, ToolResult

from .world import World

WINDOW = 768
STEPS = int(os.environ.get("SESSION_STEPS", "1500"))
STEPS_PER_EXAMPLE = 60
SEED = int(os.environ.get("SESSION_SEED", random.randrange(2**32)))
CLIENT_TOOL = {"type": "function", "name": "look_up", "parameters": {"type": "object", "properties": {}}}
SHOP = {"type": "mcp", "server_label": "shop", "server_url": "https://shop.example"}
MCP_SERVERS = [
    SHOP,
    {**SHOP, "require_approval": "never"},
    {**SHOP, "require_approval": {"never": {"read_only": True}}, "authorization": "secret-token"},
    {**SHOP, "server_label": "bank", "allowed_tools": ["pay", "look_up"], "require_approval": "never"},
    {**SHOP, "connector_id": "connector_gmail"},
    {"type": "mcp", "server_label": "gmail", "connector_id": "connector_gmail"},
]
MCP_LISTING = RemoteListing(
    tuple(RemoteTool(name, "", {"type": "object"}, {"readOnlyHint": name == "look_up"}) for name in ("pay", "look_up"))
)


@seed(SEED)
class SessionMachine(World):
    """Plays client, engine, tools, transport and judge against one session."""

    steps = 0
    """Of all sessions together."""

    # --- the client

    @rule(windows=st.integers(1, 12), probability=st.sampled_from([0.01, 0.5, 0.95]))
    def hear(self, windows: int, probability: float) -> None:
        for _ in range(windows):
            self.send(type="input_audio_buffer.append", audio=base64.b64encode(b"\x01\x00" * WINDOW).decode())
            self.clock += WINDOW
            self.perform(self.session.receive_voice_activity(probability, self.clock - WINDOW, self.clock))

    @precondition(lambda self: self.questions)
    @rule(data=st.data(), probability=st.sampled_from([0.1, 0.9]))
    def judge(self, data: st.DataObject, probability: float) -> None:
        question = data.draw(st.sampled_from(self.questions))
        self.questions.remove(question)
        self.perform(self.session.receive_turn_judgement(*question, probability))

    @rule()
    def commit(self) -> None:
        self.send(type="input_audio_buffer.commit")

    @rule()
    def clear(self) -> None:
        self.send(type="input_audio_buffer.clear")

    @rule()
    def clear_output(self) -> None:
        self.send(type="output_audio_buffer.clear")

    @rule(
        detection=st.sampled_from(
            [
                None,
                {"type": "server_vad"},
                {"type": "server_vad", "interrupt_response": False},
                {"type": "server_vad", "create_response": False},
                {"type": "server_vad", "idle_timeout_ms": 5000},
                {"type": "semantic_vad", "eagerness": "high"},
            ]
        ),
        transcription=st.sampled_from([None, {"model": "whisper-1"}, {"model": "gpt-live-transcribe"}]),
        modality=st.sampled_from(["audio", "text"]),
        tools=st.lists(st.sampled_from([CLIENT_TOOL, *MCP_SERVERS]), max_size=3),
    )
    def update(self, detection: Any, transcription: Any, modality: str, tools: Any) -> None:
        audio = {"input": {"turn_detection": detection, "transcription": transcription}}
        session = {"type": "realtime", "audio": audio, "output_modalities": [modality], "tools": tools}
        self.send(type="session.update", session=session)

    @rule(
        conversation=st.sampled_from(["auto", "none"]),
        empty=st.booleans(),
        tools=st.none() | st.lists(st.sampled_from([CLIENT_TOOL, *MCP_SERVERS]), max_size=2),
    )
    def create_response(self, conversation: str, empty: bool, tools: Any) -> None:
        more = {**({"input": []} if empty else {}), **({} if tools is None else {"tools": tools})}
        self.send(type="response.create", response={"conversation": conversation, **more})

    @rule(by_id=st.booleans(), data=st.data())
    def cancel(self, by_id: bool, data: st.DataObject) -> None:
        known = self.grammar.open_responses
        response_id = data.draw(st.sampled_from(known)) if by_id and known else None
        self.send(type="response.cancel", **({"response_id": response_id} if response_id else {}))

    @rule(data=st.data(), what=st.sampled_from(["retrieve", "delete", "truncate"]), ms=st.integers(0, 400))
    def touch_item(self, data: st.DataObject, what: str, ms: int) -> None:
        item_id = data.draw(st.sampled_from([*self.items, "nobody"]))
        more = {"content_index": 0, "audio_end_ms": ms} if what == "truncate" else {}
        self.send(type=f"conversation.item.{what}", item_id=item_id, **more)

    @rule(data=st.data())
    def create_item(self, data: st.DataObject) -> None:
        previous_id = data.draw(st.sampled_from([None, "root", *self.items]))
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        self.send(type="conversation.item.create", item=item, previous_item_id=previous_id)

    @rule(data=st.data(), goes_on=st.booleans())
    def answer_call(self, data: st.DataObject, goes_on: bool) -> None:
        call_id = data.draw(st.sampled_from([f"call_{number + 1}" for number in range(self.calls)] or ["nobody"]))
        item = {"type": "function_call_output", "call_id": call_id, "output": "found"}
        self.send(type="conversation.item.create", item=item)
        if goes_on:
            self.send(type="response.create")

    @rule(data=st.data(), approve=st.booleans())
    def answer_approval(self, data: st.DataObject, approve: bool) -> None:
        request_id = data.draw(st.sampled_from([*self.approvals, "nobody"]))
        item = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve}
        self.send(type="conversation.item.create", item=item)

    @rule(text=st.text(max_size=20))
    def send_nonsense(self, text: str) -> None:
        self.perform(self.session.receive_client_event(decode_client_event(text)))

    # --- the engine

    def engine(self, response_id: str, event: Any) -> None:
        self.perform(self.session.receive_engine_event(response_id, event))

    @precondition(lambda self: self.generating)
    @rule(data=st.data(), ms=st.integers(0, 300))
    def speak(self, data: st.DataObject, ms: int) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        self.engine(response_id, TextDelta("some words "))
        self.engine(response_id, AudioDelta(AudioFrame(b"\x01\x00" * (ms * 24), CORE_RATE_HZ)))

    @precondition(lambda self: self.generating)
    @rule(data=st.data(), exists=st.integers(0, 9), whole=st.booleans())
    def call_tool(self, data: st.DataObject, exists: int, whole: bool) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        name = data.draw(st.sampled_from(self.offers[response_id])) if exists else "nobody"
        self.call(response_id, name, whole=whole)

    def call(self, response_id: str, name: str, *, whole: bool) -> None:
        self.calls += 1
        call_id = f"call_{self.calls}"
        self.engine(response_id, ToolCallStarted(call_id, name))
        if response_id in self.generating:
            self.engine(response_id, ToolCallDelta(call_id, "{}"))
            if whole:
                self.engine(response_id, ToolCallDone(call_id, name, "{}"))

    @precondition(lambda self: self.generating)
    @rule(data=st.data(), reason=st.sampled_from(["completed", "max_output_tokens", "content_filter"]))
    def end(self, data: st.DataObject, reason: Any) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        del self.generating[response_id]
        self.engine(response_id, EngineDone(reason))

    @precondition(lambda self: self.generating)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        del self.generating[response_id]
        self.perform(self.session.receive_engine_failure(response_id, EngineUnavailable("gone")))

    @precondition(lambda self: self.growing)
    @rule()
    def follow(self) -> None:
        self.perform(self.session.receive_transcription_event(self.growing[0], TranscriptDelta("H")))

    @precondition(lambda self: self.transcribing)
    @rule(fails=st.booleans())
    def transcribe(self, fails: bool) -> None:
        item_id = self.transcribing.pop()
        if fails:
            self.perform(self.session.receive_transcription_failure(item_id, EngineUnavailable("gone")))
        else:
            self.perform(self.session.receive_transcription_event(item_id, TranscriptDelta("Hi")))
            self.perform(self.session.receive_transcription_event(item_id, TranscriptDone("Hi")))

    # --- the tools and the transport

    @precondition(lambda self: self.tools)
    @rule(data=st.data(), failed=st.booleans())
    def finish_tool(self, data: st.DataObject, failed: bool) -> None:
        call_id = data.draw(st.sampled_from(self.tools))
        self.tools.remove(call_id)
        self.perform(self.session.receive_tool_output(call_id, ToolResult("out", failed)))

    @rule(servers=st.lists(st.sampled_from(MCP_SERVERS[:4]), min_size=1, max_size=2))
    def import_tools(self, servers: Any) -> None:
        self.load(servers)

    @rule(server=st.sampled_from(MCP_SERVERS[:4]), name=st.sampled_from(["pay", "look_up", "book", "search"]))
    def call_remote_tool(self, server: Any, name: str) -> None:
        self.send(type="response.cancel")
        self.load([server])
        self.send(type="response.create")
        for response_id in list(self.generating):
            if name in self.offers[response_id]:
                self.call(response_id, name, whole=True)

    def load(self, servers: Any) -> None:
        self.send(type="session.update", session={"type": "realtime", "tools": servers})
        while self.imports:
            self.perform(self.session.receive_mcp_tools(self.imports.pop(), MCP_LISTING))

    @precondition(lambda self: self.imports)
    @rule(data=st.data(), fails=st.booleans())
    def finish_import(self, data: st.DataObject, fails: bool) -> None:
        list_id = data.draw(st.sampled_from(self.imports))
        self.imports.remove(list_id)
        listing = RemoteListing(problem="unreachable") if fails else MCP_LISTING
        self.perform(self.session.receive_mcp_tools(list_id, listing))

    @rule(seconds=st.sampled_from([0.1, 3.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        while (due := self.session.next_deadline()) is not None and due <= self.now:
            self.perform(self.session.handle_timer(due))
            after = self.session.next_deadline()
            assert after is None or after > due
        self.session.advance(self.now)

    @precondition(lambda self: self.playing)
    @rule()
    def drain(self) -> None:
        self.perform(self.session.receive_drained(self.playing.pop(0)))

    @invariant()
    def the_grammar_holds(self) -> None:
        SessionMachine.steps += 1
        if hasattr(self, "grammar"):
            assert self.grammar.violations == []

    def teardown(self) -> None:
        """When the engine and the tools have ended, so has every response; and once its time is over, the session."""
        if not hasattr(self, "session"):
            return
        for _ in range(40):
            for response_id in list(self.generating):
                del self.generating[response_id]
                self.engine(response_id, EngineDone())
            for list_id in list(self.imports):
                self.imports.remove(list_id)
                self.perform(self.session.receive_mcp_tools(list_id, MCP_LISTING))
            for call_id in list(self.tools):
                self.tools.remove(call_id)
                self.perform(self.session.receive_tool_output(call_id, ToolResult("out")))
        assert self.grammar.finish() == []
        assert sorted(self.in_progress) == sorted(self.ended)
        self.expire()

    def expire(self) -> None:
        audio = {"input": {"turn_detection": None}}
        self.send(type="session.update", session={"type": "realtime", "audio": audio})
        due = self.session.next_deadline()
        assert due is not None
        effects = self.session.handle_timer(due)
        self.perform(effects)
        assert isinstance(effects[-1], do.CloseSession)
        assert self.session.next_deadline() is None
        assert self.grammar.violations == []


def play(machine: type["SessionMachine"]) -> None:
    """Step a machine as often as the environment says."""
    sys.stdout.write(f"SESSION_SEED={SEED}\n")
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(STEPS // STEPS_PER_EXAMPLE, 1),
            stateful_step_count=STEPS_PER_EXAMPLE,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_the_grammar_holds_whatever_happens_in_whatever_order(capsys: pytest.CaptureFixture[str]) -> None:
    play(SessionMachine)
    with capsys.disabled():
        sys.stdout.write(f"[{SessionMachine.steps} steps, SESSION_SEED={SEED}]")
