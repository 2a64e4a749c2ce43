"""The same with an engine that has something to say unasked (turns, hosted tools, that another has taken over), and
with a client that calls its items as the service calls its own.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import seed
from hypothesis.stateful import precondition, rule

from voice.audio.frames import CORE_RATE_HZ, AudioFrame
from voice.engines.port import (
    Capabilities,
    EngineComplaint,
    EngineReplaced,
    HostedCall,
    MessageStarted,
    RateLimitLeft,
    RateLimitsReported,
    TokenUsage,
    ToolCallDone,
    ToolCallStarted,
    TurnStarted,
    TurnStopped,
)
from voice.tooling import ToolResult

from .test_properties import SEED, SessionMachine, play

LISTENS = Capabilities(hears_audio=True, detects_turns=True, takes_images=True, speculates=False, reports_limits=True)


@seed(SEED)
class LiveMachine(SessionMachine):
    """Adds what only live engines do."""

    def __init__(self) -> None:
        super().__init__()
        self.hosted: dict[str, tuple[str, ...]] = {}
        """What each call of a hosted tool may do next."""
        self.hosted_by: dict[str, str] = {}
        self.engines_items = 0
        self.named = "item_p00000"
        """The item that the client was told of last; an item of an aside is nobody's business but the client's."""

    def engines_own_id(self) -> str:
        self.engines_items += 1
        return f"item_of_engine_{self.engines_items}"

    @rule(listens=st.booleans(), follows=st.booleans())
    def replace(self, listens: bool, follows: bool) -> None:
        capabilities = LISTENS if listens else Capabilities(follows_speech=follows)
        self.perform(self.session.receive_engine_notice(EngineReplaced(capabilities)))

    @rule(ago=st.integers(-2000, 60_000))
    def start_turn(self, ago: int) -> None:
        self.perform(self.session.receive_engine_notice(TurnStarted(self.clock - ago, self.engines_own_id())))

    @rule(ago=st.integers(-2000, 60_000))
    def stop_turn(self, ago: int) -> None:
        self.perform(self.session.receive_engine_notice(TurnStopped(self.clock - ago, "whatever")))

    @rule(milliseconds=st.integers(1, 200), rate=st.sampled_from([8_000, 16_000, 48_000]))
    def hear_frames(self, milliseconds: int, rate: int) -> None:
        self.perform(self.session.receive_audio(AudioFrame(bytes(milliseconds * rate // 1000 * 2), rate)))

    @rule()
    def report(self) -> None:
        self.perform(self.session.receive_engine_notice(EngineComplaint("invalid_value", "no")))
        left = RateLimitsReported((RateLimitLeft("tokens", 10, 9, 1.0),))
        self.perform(self.session.receive_engine_notice(left))

    @precondition(lambda self: self.generating)
    @rule(data=st.data(), named=st.booleans())
    def begin_message(self, data: st.DataObject, named: bool) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        self.engine(response_id, MessageStarted(self.engines_own_id() if named else None))
        self.engine(response_id, TokenUsage(input_text=3, output_text=2))

    @precondition(lambda self: self.generating)
    @rule(data=st.data())
    def call_hosted(self, data: st.DataObject) -> None:
        response_id = data.draw(st.sampled_from(sorted(self.generating)))
        self.calls += 1
        call_id = f"call_{self.calls}"
        self.hosted[call_id] = ("running", "asks", "over")
        self.hosted_by[call_id] = response_id
        self.engine(response_id, ToolCallStarted(call_id, "hosted", "deepwiki"))
        self.engine(response_id, ToolCallDone(call_id, "hosted", "{}"))

    @precondition(lambda self: self.hosted)
    @rule(data=st.data(), beside=st.booleans(), failed=st.booleans())
    def go_on_hosted(self, data: st.DataObject, beside: bool, failed: bool) -> None:
        call_id = data.draw(st.sampled_from(sorted(self.hosted)))
        state: Any = data.draw(st.sampled_from(self.hosted[call_id]))
        self.hosted[call_id] = ("running", "over")
        if state == "over":
            del self.hosted[call_id]
        event = HostedCall(call_id, state, ToolResult("out", failed) if state == "over" else None)
        response_id = self.hosted_by[call_id]
        if beside or response_id not in self.generating:
            self.perform(self.session.receive_engine_notice(event))
        else:
            self.engine(response_id, event)

    @rule(milliseconds=st.integers(0, 500), name=st.sampled_from(["audio/pcm", "audio/pcmu", "audio/pcma"]))
    def change_format(self, milliseconds: int, name: str) -> None:
        audio_format = {"type": name, **({"rate": CORE_RATE_HZ} if name == "audio/pcm" else {})}
        audio = {"input": {"format": audio_format, "noise_reduction": None}, "output": {"format": audio_format}}
        self.send(type="session.update", session={"type": "realtime", "audio": audio})

    def note_frame(self, frame: dict[str, Any]) -> None:
        super().note_frame(frame)
        if "item_id" in frame and frame["type"].startswith(("input_audio_buffer.", "conversation.")):
            self.named = frame["item_id"]

    @rule(ahead=st.just(0) | st.integers(1, 40), kind=st.sampled_from(["text", "audio", "call"]))
    def create_item_under_any_id(self, ahead: int, kind: str) -> None:
        """Also under that of a turn that is being said, or one that the service may give yet."""
        item: dict[str, Any] = {"type": "function_call", "name": "look_up", "arguments": "{}"}
        if kind != "call":
            part = {"type": "input_audio", "audio": "AAAA"} if kind == "audio" else {"type": "input_text", "text": "Hi"}
            item = {"type": "message", "role": "user", "content": [part]}
        stem, is_minted, number = self.named.partition("_p")
        item_id = f"{stem}_p{int(number, 16) + ahead:05x}" if is_minted else self.named
        self.send(type="conversation.item.create", item={**item, "id": item_id})

    def teardown(self) -> None:
        """An engine says of each hosted call that it is over."""
        if hasattr(self, "session"):
            for call_id in self.hosted:
                self.perform(self.session.receive_engine_notice(HostedCall(call_id, "over", ToolResult("out"))))
        super().teardown()


def test_the_grammar_holds_whatever_a_live_engine_says() -> None:
    play(LiveMachine)
