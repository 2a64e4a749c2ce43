"""Tools of the service's own: `mcp_call` items, running beside the audio, one answer when all is in (contract 4.11)."""

import pytest

from voice.engines.port import EngineDone, ToolCallDone, ToolCallStarted
from voice.errors import EngineUnavailable
from voice.session.due_answer import MAX_TOOL_ROUNDS
from voice.session.effects import CancelTool, RunTool
from voice.tooling import ToolResult, ToolSpec

SCHEMA = {"type": "object", "properties": {}}


@pytest.fixture
def stepper(make_session):
    tools = (
        ToolSpec("book", "Books.", SCHEMA, server_label="restaurant"),
        ToolSpec("search", "Searches.", SCHEMA, server_label="restaurant", on_interrupt="cancel"),
    )
    return make_session(service_tools=tools)


def call(name, call_id="c1"):
    return [ToolCallStarted(call_id, name), ToolCallDone(call_id, name, "{}")]


def ask(stepper):
    stepper.speak()
    stepper.fall_silent()


def test_a_call_gives_the_events_of_the_contract_and_the_answer_follows_by_itself(stepper, types):
    ask(stepper)
    effects = stepper.answer(*call("book"), EngineDone())
    assert RunTool("c1", "book", "{}") in effects
    assert types(effects) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
    ]
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects) == [
        "response.mcp_call.completed",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
        "rate_limits.updated",
        "response.created",
    ]
    item = stepper.frames[-5]["item"]
    assert (item["type"], item["server_label"], item["output"]) == ("mcp_call", "restaurant", "Table 4")
    assert stepper.request().items[-1].output == "Table 4"


def test_one_answer_follows_when_all_outputs_are_in(stepper, types):
    ask(stepper)
    stepper.answer(*call("book", "c1"), *call("search", "c2"), EngineDone())
    assert "response.created" not in types(stepper.take(stepper.session.receive_tool_output("c2", ToolResult("b"))))
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("a")))
    assert types(effects).count("response.created") == 1


def test_a_failure_is_an_output_to_speak_about(stepper, types):
    ask(stepper)
    stepper.answer(*call("book"), EngineDone())
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("no table left", failed=True)))
    assert types(effects)[0] == "response.mcp_call.failed"
    assert stepper.frames[-5]["item"]["error"] == {"type": "tool_execution_error", "message": "no table left"}
    assert types(effects)[-1] == "response.created"


def test_a_barge_in_lets_a_tool_finish_and_its_result_is_spoken_about_afterwards(stepper, types, speech):
    ask(stepper)
    stepper.answer(*call("book"), EngineDone())
    effects = stepper.speak()
    assert not [effect for effect in effects if isinstance(effect, CancelTool)]
    assert types(effects)[-2:] == ["response.done", "rate_limits.updated"]
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects) == ["response.mcp_call.completed", "conversation.item.done"]
    effects = stepper.fall_silent()
    assert types(effects).count("response.created") == 1
    assert stepper.request().items[1].output == "Table 4"
    assert types(stepper.answer(*speech("Done.")))[-1] == "rate_limits.updated"


def test_a_result_that_comes_during_the_next_answer_is_spoken_about_behind_it(stepper, types, speech):
    ask(stepper)
    stepper.answer(*call("book"), EngineDone())
    ask(stepper)
    second = stepper.request().response_id
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects) == ["response.mcp_call.completed", "conversation.item.done"]
    assert types(stepper.answer(*speech("Yes."), response_id=second))[-1] == "response.created"


def test_a_barge_in_stops_a_tool_that_wants_it(stepper, types, speech):
    ask(stepper)
    stepper.answer(*call("search"), EngineDone())
    effects = stepper.speak()
    assert CancelTool("c1") in effects
    assert "response.mcp_call.failed" in types(effects)
    stepper.fall_silent()
    assert types(stepper.answer(*speech("Yes.")))[-1] == "rate_limits.updated"


def test_a_client_that_cancels_hears_nothing_more_of_the_tool(stepper, types):
    ask(stepper)
    stepper.answer(*call("book"), EngineDone())
    stepper.send({"type": "response.cancel"})
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects) == ["response.mcp_call.completed", "conversation.item.done"]


def test_an_agent_that_only_calls_tools_is_made_to_speak_after_some_rounds_and_then_waits(stepper, types):
    ask(stepper)
    choices = []
    for index in range(20):
        choices.append(stepper.request().settings.tool_choice)
        stepper.answer(*call("book", f"c{index}"), EngineDone())
        effects = stepper.take(stepper.session.receive_tool_output(f"c{index}", ToolResult("again")))
        if "response.created" not in types(effects):
            break
    assert choices == ["auto"] * (1 + MAX_TOOL_ROUNDS) + ["none"]
    ask(stepper)
    assert stepper.request().settings.tool_choice == "auto"


def test_no_tool_runs_for_a_speculation_before_the_turn_is_over(stepper):
    stepper.speak()
    stepper.hear(32, 0.02)
    effects = stepper.answer(*call("book"), EngineDone())
    assert effects == []
    assert [effect for effect in stepper.fall_silent() if isinstance(effect, RunTool)]


def test_a_clients_tool_hides_the_services_of_the_same_name(stepper):
    own = {"type": "function", "name": "book", "parameters": SCHEMA}
    stepper.send({"type": "session.update", "session": {"type": "realtime", "tools": [own]}})
    labels = {tool.name: tool.server_label for tool in stepper.session.engine_settings.tools}
    assert labels == {"book": None, "search": "restaurant"}


def test_the_output_of_a_service_tool_is_not_the_clients_to_give(stepper):
    ask(stepper)
    stepper.answer(*call("book"), EngineDone())
    output = {"type": "function_call_output", "call_id": "c1", "output": "mine"}
    stepper.send({"type": "conversation.item.create", "item": output})
    assert stepper.frames[-1]["error"]["code"] == "invalid_tool_call_id"


def test_a_tool_that_outlives_an_aside_is_spoken_about_by_nobody(stepper, types):
    stepper.send({"type": "response.create", "response": {"conversation": "none"}})
    stepper.answer(*call("book"))
    stepper.take(stepper.session.receive_engine_failure(stepper.request().response_id, EngineUnavailable("gone")))
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects) == ["response.mcp_call.completed"]


def test_a_tool_that_outlives_a_failed_answer_is_spoken_about(stepper, types):
    stepper.send({"type": "response.create"})
    stepper.answer(*call("book"))
    stepper.take(stepper.session.receive_engine_failure(stepper.request().response_id, EngineUnavailable("gone")))
    effects = stepper.take(stepper.session.receive_tool_output("c1", ToolResult("Table 4")))
    assert types(effects)[-1] == "response.created"
