"""Our conversation as a server is told of it."""

from voice.engines.port import EngineSettings
from voice.remote.messages import (
    answered,
    chat_messages,
    chat_tool_choice,
    chat_tools,
    is_closed,
    kept,
    response_items,
    response_tool_choice,
    response_tools,
)
from voice.session.items import AudioPart, ImagePart, Item, Message, TextPart, ToolCall, ToolOutput
from voice.tooling import ToolSpec

SPOKEN = EngineSettings(instructions="Be brief.")
WRITTEN = EngineSettings(instructions="Be brief.", output_modality="text")


def said(number: int, role: str, text: str) -> Message:
    return Message(f"item_{number}", role, (TextPart(text),))  # type: ignore[arg-type]  # a role


def call(name: str, **fields: str) -> ToolCall:
    return ToolCall(f"item_{name}", f"call_{name}", name, "{}", **fields)  # type: ignore[arg-type]


def test_what_is_spoken_is_asked_for_as_speech() -> None:
    assert "spoken" in chat_messages(SPOKEN, [], {})[0]["content"]
    assert chat_messages(WRITTEN, [], {}) == [{"role": "system", "content": "Be brief."}]
    assert chat_messages(EngineSettings(output_modality="text"), [], {}) == []


def test_words_come_from_the_item_or_the_transcript_and_silence_is_left_out() -> None:
    heard = Message("item_1", "user", (AudioPart(duration_ms=900),))
    silent = Message("item_2", "user", (AudioPart(duration_ms=900),))
    cut = Message("item_3", "assistant", (AudioPart(transcript="We open at ten.", heard="We open", truncated=True),))
    messages = chat_messages(WRITTEN, [heard, silent, cut], {"item_1": "When do you open?"})
    assert messages[1:] == [
        {"role": "user", "content": "When do you open?"},
        {"role": "assistant", "content": "We open"},
    ]


def test_calls_of_one_answer_stand_in_one_message() -> None:
    clients: list[Item] = [call("a"), call("b"), ToolOutput("o1", "call_a", "1"), ToolOutput("o2", "call_b", "2")]
    messages = chat_messages(WRITTEN, clients, {})[1:]
    assert [message["role"] for message in messages] == ["assistant", "tool", "tool"]
    assert [made["id"] for made in messages[0]["tool_calls"]] == ["call_a", "call_b"]
    services = [call("a", output="1"), call("b", error="no table")]
    messages = chat_messages(WRITTEN, services, {})[1:]
    assert [message["role"] for message in messages] == ["assistant", "tool", "tool"]
    assert messages[2]["content"] == "Failed: no table"


def test_calls_with_words_between_them_stay_apart() -> None:
    items: list[Item] = [call("a"), ToolOutput("o1", "call_a", "1"), said(1, "user", "More"), call("b", output="2")]
    roles = [message["role"] for message in chat_messages(WRITTEN, items, {})[1:]]
    assert roles == ["assistant", "tool", "user", "assistant", "tool"]


def test_a_call_without_an_output_and_an_output_without_a_call_never_happened() -> None:
    assert answered([call("a"), ToolOutput("o", "call_x", "1")]) == []


def test_pictures_go_to_those_who_see() -> None:
    shown = Message("item_1", "user", (TextPart("What is this?"), ImagePart("data:image/png;base64,AA", "low")))
    content = chat_messages(WRITTEN, [shown], {}, with_images=True)[1]["content"]
    assert content[1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}}
    assert chat_messages(WRITTEN, [shown], {})[1]["content"] == "What is this?"
    (item,) = response_items([shown], {}, with_images=True)
    assert item["content"][1]["type"] == "input_image"


def test_a_long_history_loses_its_beginning_in_large_steps() -> None:
    items = [said(number, "user" if number % 2 == 0 else "assistant", "x" * 100) for number in range(40)]
    starts = [len(items[:count]) - len(kept(items[:count], {}, 1000)) for count in range(1, 41)]
    assert starts[9] == 0
    assert max(starts) < 40
    assert len(set(starts)) <= 8  # a prompt that begins elsewhere every turn would never be in a server's cache
    assert all(sum(100 for _ in kept(items[:count], {}, 1000)) <= 1000 for count in range(1, 41))


def test_what_is_kept_does_not_begin_with_an_output_without_its_call() -> None:
    asked = ToolCall("item_a", "call_a", "a", "{" + " " * 600 + "}")
    items: list[Item] = [asked, ToolOutput("o", "call_a", "y" * 100), said(1, "user", "x" * 600)]
    assert list(kept(items, {}, 1000)) == items[2:]


def test_the_last_turn_is_always_told() -> None:
    items = [said(1, "user", "x" * 5000)]
    assert kept(items, {}, 100) == items


def test_items_of_responses_have_their_own_words() -> None:
    items: list[Item] = [said(1, "user", "Hi"), said(2, "assistant", "Hello"), call("a", output="1")]
    assert response_items(items, {}) == [
        {"type": "message", "role": "user", "content": "Hi"},
        {"type": "message", "role": "assistant", "content": "Hello"},
        {"type": "function_call", "call_id": "call_a", "name": "a", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "1"},
    ]


def test_strictness_is_asked_for_where_the_schema_allows_it() -> None:
    closed = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert is_closed(closed)
    assert not is_closed(closed | {"required": []})
    assert not is_closed({"type": "object", "properties": {}})
    assert not is_closed({"type": "array", "items": {"type": "object"}})
    tools = [ToolSpec("t", "d", closed), ToolSpec("u", "d", {"type": "object"})]
    assert [tool["function"]["strict"] for tool in chat_tools(tools, strict=True)] == [True, False]
    assert [tool["strict"] for tool in response_tools(tools, strict=False)] == [False, False]


def test_the_choice_of_a_tool_has_two_forms() -> None:
    assert chat_tool_choice("required") == response_tool_choice("required") == "required"
    assert chat_tool_choice("t") == {"type": "function", "function": {"name": "t"}}
    assert response_tool_choice("t") == {"type": "function", "name": "t"}
