"""A conversation that outgrows the engine's context (contract 3.7)."""

from collections.abc import Callable
from typing import Any

import pytest

from voice.engines.port import Capabilities, EngineSettings
from voice.errors import ContextTooLong
from voice.protocol.session_fields import RetentionRatio, TokenLimits
from voice.session.effects import CancelResponse
from voice.session.items import AudioPart, Item, Message, TextPart, ToolCall, ToolOutput
from voice.session.truncation import fitted

SETTINGS = EngineSettings(instructions="x" * 400)
"""100 tokens."""


def said(number: int, tokens: int = 100) -> Message:
    return Message(f"item_{number}", "user", (TextPart("y" * tokens * 4),))


TEN: tuple[Item, ...] = tuple(said(number) for number in range(10))
"""1000 tokens."""


def test_what_fits_is_not_touched() -> None:
    assert fitted(TEN, SETTINGS, "auto", 1100) is TEN
    assert fitted(TEN, SETTINGS, "disabled", 1100) is TEN


def test_the_oldest_go_until_the_rest_fits() -> None:
    assert fitted(TEN, SETTINGS, "auto", 1099) == TEN[1:]
    assert fitted(TEN, SETTINGS, "auto", 450) == TEN[7:]


def test_a_ratio_makes_room_ahead() -> None:
    ratio = RetentionRatio(retention_ratio=0.5)
    assert fitted(TEN, SETTINGS, ratio, 1000) == TEN[6:]  # half of the 900 that are left for items
    assert fitted(TEN, SETTINGS, ratio, 1100) is TEN


def test_a_limit_of_the_clients_own_counts_what_stands_after_the_instructions() -> None:
    ratio = RetentionRatio(retention_ratio=1.0, token_limits=TokenLimits(post_instructions=300))
    assert fitted(TEN, SETTINGS, ratio, 28_000) == TEN[7:]
    assert fitted(TEN, SETTINGS, ratio, 350) == TEN[8:]  # no more than the engine takes


def test_nothing_may_be_dropped_where_truncation_is_disabled() -> None:
    with pytest.raises(ContextTooLong, match="1000 tokens, 999 fit"):
        fitted(TEN, SETTINGS, "disabled", 1099)


def test_the_last_item_always_goes() -> None:
    assert fitted(TEN, SETTINGS, "auto", 0) == TEN[-1:]
    assert fitted(TEN, SETTINGS, RetentionRatio(retention_ratio=0.0), 500) == TEN[-1:]


def test_an_output_goes_with_its_call() -> None:
    items: tuple[Item, ...] = (
        ToolCall("i1", "c1", "weather", "{" + " " * 800 + "}"),
        ToolOutput("i2", "c1", "z" * 40),
        said(3),
    )
    assert fitted(items, SETTINGS, "auto", 250) == items[2:]
    assert fitted(items, SETTINGS, "auto", 1000) == items


def test_speech_counts_by_its_length() -> None:
    spoken: tuple[Item, ...] = tuple(
        Message(f"item_{number}", "user", (AudioPart(duration_ms=10_000),)) for number in range(4)
    )
    assert fitted(spoken, EngineSettings(), "auto", 300) == spoken[1:]  # 100 tokens each


def test_to_an_engine_that_reads_speech_is_as_long_as_its_words() -> None:
    short, silent = AudioPart(duration_ms=60_000, transcript="Hello there."), AudioPart(duration_ms=10_000)
    spoken: tuple[Item, ...] = (Message("item_0", "user", (silent,)), Message("item_1", "assistant", (short,)))
    assert fitted(spoken, EngineSettings(), "auto", 43, reads_speech=True) is spoken  # 40 reckoned and 3 of words
    assert fitted(spoken, EngineSettings(), "auto", 42, reads_speech=True) == spoken[1:]


def test_a_limit_of_the_clients_own_counts_speech_as_its_bill_does() -> None:
    part = AudioPart(duration_ms=10_000, transcript="Hello there.")
    spoken: tuple[Item, ...] = tuple(Message(f"item_{number}", "user", (part,)) for number in range(4))
    ratio = RetentionRatio(retention_ratio=1.0, token_limits=TokenLimits(post_instructions=300))
    assert fitted(spoken, EngineSettings(), ratio, 4096, reads_speech=True) == spoken[1:]
    assert fitted(spoken, EngineSettings(), ratio, 8, reads_speech=True) == spoken[2:]


def type_items(stepper: Any, count: int) -> None:
    for number in range(count):
        content = [{"type": "input_text", "text": f"{number} " + "y" * 400}]
        item = {"type": "message", "role": "user", "id": f"item_{number}", "content": content}
        stepper.send({"type": "conversation.item.create", "item": item})


def test_a_session_gives_its_engine_what_fits_and_keeps_the_rest(make_session: Callable[..., Any]) -> None:
    stepper = make_session(capabilities=Capabilities(context_tokens=350))
    type_items(stepper, 10)
    stepper.send({"type": "response.create"})
    assert [item.id for item in stepper.request().items] == ["item_7", "item_8", "item_9"]
    stepper.send({"type": "conversation.item.retrieve", "item_id": "item_0"})
    assert stepper.frames[-1]["type"] == "conversation.item.retrieved"


def test_a_response_fails_where_nothing_may_be_dropped_and_the_session_goes_on(
    make_session: Callable[..., Any], speech: Callable[..., list[Any]]
) -> None:
    stepper = make_session(capabilities=Capabilities(context_tokens=350))
    stepper.send({"type": "session.update", "session": {"type": "realtime", "truncation": "disabled"}})
    type_items(stepper, 10)
    stepper.send({"type": "response.create"})
    (done,) = [frame for frame in stepper.frames if frame["type"] == "response.done"]
    assert done["response"]["status"] == "failed"
    assert done["response"]["status_details"]["error"]["code"] == "context_length_exceeded"
    for number in range(8):
        stepper.send({"type": "conversation.item.delete", "item_id": f"item_{number}"})
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Yes."))
    last = [frame for frame in stepper.frames if frame["type"] == "response.done"][-1]
    assert last["response"]["status"] == "completed"


def test_a_guess_and_the_answer_made_of_it_see_the_same_items(
    make_session: Callable[..., Any], speech: Callable[..., list[Any]]
) -> None:
    stepper = make_session(capabilities=Capabilities(context_tokens=250))
    type_items(stepper, 6)
    stepper.speak()
    stepper.fall_silent()
    assert 0 < len(stepper.request().items) < 7
    stepper.answer(*speech("Yes."))
    done = [frame for frame in stepper.frames if frame["type"] == "response.done"]
    assert [frame["response"]["status"] for frame in done] == ["completed"]


def test_a_turn_that_outgrows_the_context_after_the_guess_fails_its_response_only(
    make_session: Callable[..., Any], speech: Callable[..., list[Any]]
) -> None:
    stepper = make_session(capabilities=Capabilities(hears_audio=True, context_tokens=8))
    stepper.send({"type": "session.update", "session": {"type": "realtime", "truncation": "disabled"}})
    stepper.speak()
    stepper.fall_silent()  # 8 tokens when the guess is made, 9 with the silence that ends the turn
    assert stepper.request().speculative
    assert CancelResponse(stepper.request().response_id) in stepper.effects
    (done,) = [frame for frame in stepper.frames if frame["type"] == "response.done"]
    assert done["response"]["status_details"]["error"]["code"] == "context_length_exceeded"
    stepper.send({"type": "session.update", "session": {"type": "realtime", "truncation": "auto"}})
    stepper.send({"type": "response.create"})
    stepper.answer(*speech("Yes."))
    last = [frame for frame in stepper.frames if frame["type"] == "response.done"][-1]
    assert last["response"]["status"] == "completed"
