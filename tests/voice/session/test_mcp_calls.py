"""Tools of MCP servers that the client names: calls, approvals, and who goes on afterwards (contract 4.11)."""

import pytest

from voice.engines.port import EngineDone, ToolCallDelta, ToolCallDone, ToolCallStarted
from voice.session.effects import CancelTool, ListMcpTools, RunMcpTool, RunTool
from voice.tooling import RemoteListing, RemoteTool, ToolResult, ToolSpec

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
SEARCH = RemoteTool("search", "Searches.", SCHEMA, {"readOnlyHint": True})
ORDER = RemoteTool("order", "", SCHEMA)
TOOLS = RemoteListing((SEARCH, ORDER))
FOUND = ToolResult("3 teas")


def shop(**more):
    return {"type": "mcp", "server_label": "shop", "server_url": "https://shop.example/mcp", **more}


def update(stepper, *tools, **more):
    return stepper.send({"type": "session.update", "session": {"type": "realtime", "tools": [*tools], **more}})


def listings(stepper):
    return [effect for effect in stepper.effects if isinstance(effect, ListMcpTools)]


def receive(stepper, listing=TOOLS, index=-1):
    return stepper.take(stepper.session.receive_mcp_tools(listings(stepper)[index].list_id, listing))


def load(stepper, listing=TOOLS, **more):
    update(stepper, shop(**more))
    return receive(stepper, listing)


def call(name="search", call_id="c1", arguments='{"q":"tea"}'):
    return [
        ToolCallStarted(call_id, name),
        ToolCallDelta(call_id, arguments),
        ToolCallDone(call_id, name, arguments),
    ]


def ask(stepper):
    stepper.speak()
    stepper.fall_silent()


def finish(stepper, result=FOUND, call_id="c1"):
    return stepper.take(stepper.session.receive_tool_output(call_id, result))


def decide(stepper, approve, request_id=None, **more):
    if request_id is None:
        request_id = requests(stepper)[-1]["id"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": approve, **more}
    return stepper.send({"type": "conversation.item.create", "item": answer})


def requests(stepper):
    items = [frame["item"] for frame in stepper.frames if frame["type"] == "conversation.item.done"]
    return [item for item in items if item["type"] == "mcp_approval_request"]


def engine_tools(stepper):
    return {tool.name: tool for tool in stepper.session.engine_settings.tools}


def last_error(stepper):
    assert stepper.frames[-1]["type"] == "error"
    return stepper.frames[-1]["error"]


def test_secrets_stand_in_no_event_and_no_text_form(stepper):
    load(stepper, authorization="tok-secret", headers={"x-key": "key-secret"})
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    finish(stepper)
    stepper.send({"type": "response.create"})
    for text in (repr(stepper.frames), repr(stepper.effects), repr(stepper.session.engine_settings)):
        assert "secret" not in text


def test_tools_of_the_same_name_get_names_that_differ_and_the_wire_shows_their_own(stepper):
    own = {"type": "function", "name": "search", "parameters": SCHEMA}
    update(
        stepper, own, shop(require_approval="never"), shop(server_label="my bank", server_url="https://bank.example")
    )
    receive(stepper, index=0)
    receive(stepper, RemoteListing((SEARCH, RemoteTool("a.b/c", "", SCHEMA))), index=1)
    names = {
        (tool.server_label, tool.remote and tool.remote.name): name for name, tool in engine_tools(stepper).items()
    }
    assert names == {
        (None, None): "search",
        ("shop", "search"): "shop_search",
        ("shop", "order"): "order",
        ("my bank", "search"): "my_bank_search",
        ("my bank", "a.b/c"): "my_bank_a_b_c",
    }
    ask(stepper)
    effects = stepper.answer(*call("shop_search"), EngineDone())
    assert [effect.name for effect in effects if isinstance(effect, RunMcpTool)] == ["search"]
    finish(stepper)
    stepper.send({"type": "response.create"})
    assert stepper.request().items[-1].name == "shop_search"
    assert [frame["item"]["name"] for frame in stepper.frames if frame.get("item", {}).get("type") == "mcp_call"] == [
        "search"
    ] * 4


def test_lists_and_approvals_are_no_context(stepper):
    load(stepper)
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    decide(stepper, True)
    stepper.send({"type": "response.create"})
    assert [item.id.partition("_")[0] for item in stepper.request().items] == ["item", "mcp"]
    ids = [{"type": "item_reference", "id": frame["item"]["id"]} for frame in stepper.frames if "item" in frame]
    stepper.answer(EngineDone())
    stepper.send({"type": "response.create", "response": {"conversation": "none", "input": ids}})
    assert {item.id.partition("_")[0] for item in stepper.request().items} == {"item", "mcp"}


# --- Calls ----------------------------------------------------------------------------------------------------------


def test_a_call_that_needs_no_approval_runs_and_the_client_goes_on(stepper, types):
    load(stepper, require_approval="never")
    ask(stepper)
    effects = stepper.answer(*call(), EngineDone())
    assert RunMcpTool("c1", listings(stepper)[0].list_id, "search", '{"q":"tea"}') in effects
    assert types(effects) == [
        *("response.output_item.added", "conversation.item.added"),
        *("response.mcp_call_arguments.delta", "response.mcp_call_arguments.done", "response.mcp_call.in_progress"),
    ]
    item_id = stepper.frames[-1]["item_id"]
    assert item_id.startswith("mcp_")
    stepper.send({"type": "conversation.item.retrieve", "item_id": item_id})
    assert stepper.frames[-1]["item"]["arguments"] == '{"q":"tea"}'
    effects = finish(stepper)
    assert types(effects) == [
        *("response.mcp_call.completed", "response.output_item.done", "conversation.item.done"),
        *("response.done", "rate_limits.updated"),
    ]
    item = stepper.frames[-3]["item"]
    assert (item["server_label"], item["name"], item["output"]) == ("shop", "search", "3 teas")
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]
    assert stepper.request().items[-1].output == "3 teas"


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (ToolResult("no", True), {"type": "tool_execution_error", "message": "no"}),
        (
            ToolResult("no", True, "protocol_error", -32000),
            {"type": "protocol_error", "code": -32000, "message": "no"},
        ),
        (ToolResult("no", True, "http_error", 401), {"type": "http_error", "code": 401, "message": "no"}),
    ],
)
def test_each_kind_of_failure_is_shown(stepper, types, result, error):
    load(stepper, require_approval="never")
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    effects = finish(stepper, result)
    assert types(effects)[0] == "response.mcp_call.failed"
    item = stepper.frames[-3]["item"]
    assert item["error"] == error
    assert "output" not in item
    assert stepper.frames[-2]["response"]["status"] == "completed"


def test_two_calls_run_at_once_and_one_response_waits_for_both(stepper, types):
    load(stepper, require_approval="never")
    ask(stepper)
    effects = stepper.answer(*call(call_id="c1"), *call("order", "c2"), EngineDone())
    assert [effect.call_id for effect in effects if isinstance(effect, RunMcpTool)] == ["c1", "c2"]
    assert "response.done" not in types(finish(stepper, call_id="c2"))
    assert "response.done" in types(finish(stepper, call_id="c1"))


def test_a_barge_in_lets_the_call_finish_and_nobody_speaks_of_it_unasked(stepper, types):
    load(stepper, require_approval="never")
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    effects = stepper.speak()
    assert not [effect for effect in effects if isinstance(effect, CancelTool)]
    assert types(finish(stepper)) == ["response.mcp_call.completed", "conversation.item.done"]
    effects = stepper.fall_silent()
    assert types(effects).count("response.created") == 1
    assert stepper.request().items[1].output == "3 teas"
    assert "response.created" not in types(stepper.answer(EngineDone()))


def test_a_call_of_a_server_that_was_removed_meanwhile_still_ends(stepper, types):
    load(stepper, require_approval="never")
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    update(stepper)
    assert "response.done" in types(finish(stepper))


def test_a_call_out_of_band_stays_out_of_the_conversation(stepper, types):
    load(stepper, require_approval="never")
    stepper.send({"type": "response.create", "response": {"conversation": "none"}})
    effects = stepper.answer(*call(), EngineDone()) + finish(stepper)
    assert not [kind for kind in types(effects) if kind.startswith("conversation.")]
    assert stepper.frames[-2]["response"]["output"][0]["output"] == "3 teas"


# --- Approvals ------------------------------------------------------------------------------------------------------


def test_an_approved_call_runs_under_the_same_item(stepper, types):
    load(stepper)
    ask(stepper)
    effects = stepper.answer(*call(), EngineDone())
    assert types(effects) == [
        *("response.output_item.added", "conversation.item.added"),
        *("response.mcp_call_arguments.delta", "response.mcp_call_arguments.done"),
        *("conversation.item.added", "conversation.item.done"),
        *("response.output_item.done", "response.done", "rate_limits.updated"),
    ]
    assert not [effect for effect in effects if isinstance(effect, RunMcpTool)]
    request = requests(stepper)[0]
    assert request["id"].startswith("mcpr_")
    assert {key: request[key] for key in ("server_label", "name", "arguments")} == {
        "server_label": "shop",
        "name": "search",
        "arguments": '{"q":"tea"}',
    }
    (shown,) = stepper.frames[-2]["response"]["output"]
    assert shown["approval_request_id"] == request["id"]
    effects = decide(stepper, True)
    assert types(effects) == [
        *("conversation.item.added", "conversation.item.done", "response.mcp_call.in_progress"),
    ]
    assert [effect.arguments for effect in effects if isinstance(effect, RunMcpTool)] == ['{"q":"tea"}']
    assert stepper.frames[-1]["item_id"] == shown["id"]
    stepper.send({"type": "conversation.item.retrieve", "item_id": shown["id"]})
    assert stepper.frames[-1]["item"]["arguments"] == '{"q":"tea"}'
    assert types(finish(stepper)) == ["response.mcp_call.completed", "conversation.item.done"]
    item = stepper.frames[-1]["item"]
    assert (item["id"], item["output"], item["approval_request_id"]) == (shown["id"], "3 teas", request["id"])
    stepper.send({"type": "response.create"})
    assert stepper.request().items[-1].output == "3 teas"


def test_a_denied_call_never_runs_and_the_agent_is_told_why(stepper, types):
    load(stepper)
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    effects = decide(stepper, False, reason="too dear")
    assert types(effects) == ["conversation.item.added", "conversation.item.done", "conversation.item.done"]
    assert not [effect for effect in effects if isinstance(effect, RunMcpTool)]
    assert stepper.frames[-2]["item"]["reason"] == "too dear"
    assert "not approved" in stepper.frames[-1]["item"]["error"]["message"]
    stepper.send({"type": "response.create"})
    assert "too dear" in stepper.request().items[-1].error


def test_an_answer_that_nobody_waits_for_is_an_error(stepper, types):
    load(stepper)
    assert types(decide(stepper, True, "mcpr_nobody")) == ["error"]
    assert last_error(stepper)["code"] == "invalid_approval_request_id"
    assert last_error(stepper)["message"] == "Approval request ID 'mcpr_nobody' not found in conversation."
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    decide(stepper, True)
    assert types(decide(stepper, False)) == ["error"]
    assert "answered before" in last_error(stepper)["message"]


def test_an_answer_that_cannot_be_placed_decides_nothing(stepper, types):
    load(stepper)
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    request_id = requests(stepper)[0]["id"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": True}
    stepper.send({"type": "conversation.item.create", "item": answer, "previous_item_id": "nobody"})
    assert last_error(stepper)["code"] == "item_create_invalid_previous_item_id"
    assert [effect for effect in decide(stepper, True) if isinstance(effect, RunMcpTool)]


def test_calls_wait_for_approval_each_by_itself_while_the_talk_goes_on(stepper, types, speech):
    load(stepper)
    ask(stepper)
    stepper.answer(*call(call_id="c1"), *call("order", "c2"), EngineDone())
    first, second = requests(stepper)
    ask(stepper)
    decide(stepper, True, second["id"])
    assert "response.done" in types(stepper.answer(*speech("Which tea?")))
    decide(stepper, False, first["id"])
    assert types(finish(stepper, call_id="c2")) == ["response.mcp_call.completed", "conversation.item.done"]


def test_some_calls_run_at_once_while_others_wait(stepper, types):
    load(stepper, require_approval={"never": {"read_only": True}})
    ask(stepper)
    effects = stepper.answer(*call("search", "c1"), *call("order", "c2"), EngineDone())
    assert [effect.name for effect in effects if isinstance(effect, RunMcpTool)] == ["search"]
    assert [request["name"] for request in requests(stepper)] == ["order"]
    assert "response.done" in types(finish(stepper, call_id="c1"))


def test_out_of_band_nobody_can_be_asked(stepper, types):
    load(stepper)
    stepper.send({"type": "response.create", "response": {"conversation": "none"}})
    effects = stepper.answer(*call(), EngineDone())
    assert not [kind for kind in types(effects) if kind.startswith("conversation.")]
    assert not [effect for effect in effects if isinstance(effect, RunMcpTool)]
    assert "needs an approval" in stepper.frames[-2]["response"]["output"][0]["error"]["message"]


# --- Who goes on ----------------------------------------------------------------------------------------------------


def test_by_a_setting_the_agent_goes_on_by_itself_and_a_racing_client_is_no_error(make_session, types):
    stepper = make_session(mcp_auto_continue=True)
    load(stepper, require_approval="never")
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    assert types(finish(stepper))[-1] == "response.created"
    assert stepper.send({"type": "response.create"}) == []
    assert types(stepper.send({"type": "response.create"})) == ["error"]
    assert last_error(stepper)["code"] == "conversation_already_has_active_response"


def test_a_racing_client_is_no_error_when_the_answer_has_to_wait_for_the_caller(make_session, types):
    stepper = make_session(mcp_auto_continue=True)
    load(stepper)
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    decide(stepper, True)
    stepper.speak()
    assert "response.created" not in types(finish(stepper))
    assert types(stepper.send({"type": "response.create"})) == ["response.created"]


@pytest.mark.parametrize("approve", [True, False])
def test_by_a_setting_the_agent_goes_on_after_an_approval_and_a_denial(make_session, types, approve):
    stepper = make_session(mcp_auto_continue=True)
    load(stepper)
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    effects = decide(stepper, approve)
    if approve:
        effects = finish(stepper)
    assert types(effects)[-1] == "response.created"


def test_the_agents_own_tools_are_answered_by_themselves_beside_remote_ones(make_session, types):
    own = ToolSpec("book", "Books.", SCHEMA, server_label="restaurant")
    stepper = make_session(service_tools=(own,))
    load(stepper, require_approval="never")
    ask(stepper)
    effects = stepper.answer(*call("book", "c1"), *call("search", "c2"), EngineDone())
    assert [effect.name for effect in effects if isinstance(effect, RunTool)] == ["book"]
    finish(stepper, call_id="c1")
    assert types(finish(stepper, call_id="c2"))[-1] == "response.created"
    assert stepper.send({"type": "response.create"}) == []
