import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice.engines.port import EngineSettings
from voice.engines.routing import Route, route
from voice.engines.tool_check import RefusedCall, check_call
from voice.session.items import Item, Message, TextPart, ToolCall
from voice.tooling import ToolSpec

FULL = "Could I book a table for four on Friday at seven? The name is Baker."


def user(text: str) -> Message:
    return Message(f"item_{text[:8]}", "user", (TextPart(text),))


def agent(text: str) -> Message:
    return Message(f"item_{text[:8]}", "assistant", (TextPart(text),))


def routed(tools: tuple[ToolSpec, ...], *items: Item, choice: str = "auto") -> Route:
    return route(EngineSettings(tools=tools, tool_choice=choice), items, {})


def test_a_request_with_every_value_may_be_carried_out(book_table: ToolSpec) -> None:
    plan = routed((book_table,), user(FULL))
    assert plan.grammar.tools == ("book_table",)
    assert plan.grammar.talks


def test_what_is_missing_is_asked_for(book_table: ToolSpec) -> None:
    plan = routed((book_table,), user("I'd like to book a table for four on Friday at seven."))
    assert plan.question == "Could you tell me the name of the caller, please?"
    assert plan.grammar.tools == ()


@pytest.mark.parametrize("heard", ["Could you tell me the name of the caller, please?", "Could you", ""])
def test_the_answer_to_that_question_makes_the_call_without_the_model(book_table: ToolSpec, heard: str) -> None:
    first = user("I'd like to book a table for four on Friday at seven.")
    asked = agent(heard)
    plan = routed((book_table,), first, asked, user("Anna Smith."))
    assert json.loads(plan.determined_call("") or "") == {
        "name": "book_table",
        "arguments": {"name": "Anna Smith", "people": 4, "day": "Friday", "time": "19:00"},
    }


@pytest.mark.parametrize(
    ("said", "tools"),
    [
        ("I would like a table for four on Friday at seven, my name is Baker.", ("book_table",)),
        ("Which hours are free on Friday?", ("free_hours",)),
        ("Which hours are free on Friday? I want a table for four at seven, Baker.", ("book_table", "free_hours")),
    ],
)
def test_the_tool_that_was_named_and_given_more_goes_before_one_that_was_not(
    book_table: ToolSpec, said: str, tools: tuple[str, ...]
) -> None:
    day = {"type": "string", "enum": ["Friday", "Saturday"]}
    parameters = {"type": "object", "properties": {"day": day}, "required": ["day"]}
    free_hours = ToolSpec("free_hours", "Look up which hours are free.", parameters)
    assert routed((book_table, free_hours), user(said)).grammar.tools == tools


@pytest.mark.parametrize(
    ("tool", "said", "is_due"),
    [
        ("ask_kitchen", "Are there nuts in the lemon tart?", True),
        ("ask_kitchen", "Are there nuts or milk in the lemon tart?", False),
        ("ask_kitchen", "How much is the lemon tart?", False),
        ("mark_dish", "Are there nuts in the lemon tart?", False),
    ],
)
def test_what_can_be_looked_up_is_not_guessed(tool: str, said: str, is_due: bool) -> None:
    properties = {
        "dish": {"type": "string", "enum": ["lemon tart", "sea bass"]},
        "allergen": {"type": "string", "enum": ["nuts", "milk"]},
    }
    spec = ToolSpec(tool, "", {"type": "object", "properties": properties, "required": ["dish", "allergen"]})
    assert (routed((spec,), user(said)).determined_call("") is not None) is is_due


@pytest.mark.parametrize(
    "said", ["Hello there!", "Are you open on Friday?", "Thank you, goodbye.", "How are you?", "Do you like Friday?"]
)
def test_small_talk_calls_nothing(book_table: ToolSpec, get_weather: ToolSpec, said: str) -> None:
    plan = routed((book_table, get_weather), user(said))
    assert plan.grammar.tools == ()
    assert plan.question == ""


def test_a_question_in_between_is_answered_and_not_asked_over(book_table: ToolSpec) -> None:
    plan = routed((book_table,), user("I'd like to book a table."), agent("For how many?"), user("Is there parking?"))
    assert plan.question == ""


def test_an_earlier_question_gives_no_value(book_table: ToolSpec) -> None:
    plan = routed((book_table,), user("Are you open on Sunday?"), agent("Yes."), user("I want to book a table."))
    assert "the day" in plan.question


def test_a_request_is_carried_out_once(book_table: ToolSpec) -> None:
    arguments = json.dumps({"name": "Baker", "people": 4, "day": "Friday", "time": "19:00"})
    done = ToolCall("item_c", "call_1", "book_table", arguments, server_label="x", output="ok")
    assert routed((book_table,), user(FULL), done).grammar.tools == ()
    assert routed((book_table,), user(FULL), done, agent("Done."), user("Thank you.")).grammar.tools == ()


def test_a_second_value_in_the_same_words_allows_a_second_call(get_weather: ToolSpec) -> None:
    asked = user("What is the weather in Paris and in Oslo?")
    done = ToolCall("item_c", "call_1", "get_weather", '{"city": "Paris"}', server_label="x", output="sunny")
    plan = routed((get_weather,), asked, done)
    assert plan.grammar.tools == ("get_weather",)
    with pytest.raises(RefusedCall):
        check_call('{"name": "get_weather", "arguments": {"city": "Paris"}}', plan.offers)
    assert check_call('{"name": "get_weather", "arguments": {"city": "Oslo"}}', plan.offers).name == "get_weather"


def test_tool_choice_is_honoured(book_table: ToolSpec, get_weather: ToolSpec) -> None:
    words = user("What is the weather in Paris?")
    assert routed((book_table, get_weather), words, choice="none").grammar.tools == ()
    assert routed((book_table, get_weather), words, choice="required").grammar.talks is False
    assert routed((book_table, get_weather), words, choice="get_weather").grammar.tools == ("get_weather",)
    assert "guests" in routed((book_table, get_weather), words, choice="book_table").question


@pytest.mark.parametrize(
    ("call", "why"),
    [
        ("no json", "not JSON"),
        ('{"name": "other", "arguments": {}}', "no tool"),
        ('{"name": "book_table", "arguments": {"name": "Baker"}}', "missing"),
        ('{"name": "book_table", "arguments": {"name": "Baker", "people": "4"}}', "missing"),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(book_table: ToolSpec, call: str, why: str) -> None:
    with pytest.raises(RefusedCall, match=why):
        check_call(call, routed((book_table,), user(FULL)).offers)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"people": 5}, "people was not said"),
        ({"people": 99}, "out of bounds"),
        ({"people": True}, "type integer"),
        ({"day": "Monday"}, "allowed values"),
        ({"day": "Sunday"}, "day was not said"),
        ({"name": "John Doe"}, "name was not said"),
        ({"time": "20:00"}, "time was not said"),
    ],
)
def test_what_was_not_said_is_refused(book_table: ToolSpec, change: dict[str, object], why: str) -> None:
    arguments = {"name": "Baker", "people": 4, "day": "Friday", "time": "19:00"} | change
    with pytest.raises(RefusedCall, match=why):
        check_call(json.dumps({"name": "book_table", "arguments": arguments}), routed((book_table,), user(FULL)).offers)


def test_a_parameter_may_opt_out_of_having_been_said() -> None:
    schema = {"type": "object", "properties": {"mood": {"type": "string", "x-said": False}}, "required": ["mood"]}
    plan = routed((ToolSpec("note_mood", "Note the mood.", schema),), user("Please note that I feel blue."))
    assert check_call('{"name": "note_mood", "arguments": {"mood": "sad"}}', plan.offers).arguments == '{"mood": "sad"}'


ODD = [
    {"properties": ["day"]},
    {"properties": {"day": {"enum": "Friday"}}, "required": ["day"]},
    {"properties": {"day": {"anyOf": [True, {"type": "string"}]}}},
    {"properties": {"day": {"anyOf": {"type": "string"}}}},
    {"properties": {"people": {"type": "integer", "minimum": "1"}}},
    {"properties": {"day": {"$ref": "#/list"}}, "list": ["a"]},
    {"properties": {"day": True}, "required": True},
    {"properties": {"day": {"type": "string"}}, "required": [["day"]]},
    {"$ref": "#"},
]


@pytest.mark.parametrize("schema", ODD, ids=lambda schema: json.dumps(schema)[:40])
def test_an_odd_schema_is_taken_as_far_as_it_is_sound(schema: dict[str, object]) -> None:
    """A client may declare any JSON; it costs nobody an answer."""
    routed((ToolSpec("book_table", "Books a table.", schema),), user(FULL))


KEYWORDS = (
    "type properties required enum const minimum maximum anyOf allOf $ref format description items x-said day people"
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["string", "integer", "#/properties/day", "day", ""]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS.split()), below, max_size=4),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(KEYWORDS.split()), JSON, max_size=4))
def test_no_schema_is_too_odd(schema: dict[str, object]) -> None:
    plan = routed((ToolSpec("book_table", "Books a table.", schema),), user(FULL))
    if plan.offers:
        with suppress(RefusedCall):
            check_call('{"name": "book_table", "arguments": {"day": "Friday", "people": 4}}', plan.offers)
