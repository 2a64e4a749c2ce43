"""MCP servers that the client names: import, calls, approvals, and who goes on afterwards (contract 3.4, 4.11)."""

import pytest

from voice.engines.port import EngineDone, ToolCallDelta, ToolCallDone, ToolCallStarted
from voice.session.effects import CancelTool, ConfigureEngine, ListMcpTools, RunMcpTool, RunTool
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


# --- Import ---------------------------------------------------------------------------------------------------------


def test_an_import_gives_the_events_of_the_contract(stepper, types):
    effects = update(stepper, shop(authorization="tok", headers={"x": "y"}))
    assert types(effects) == ["session.updated", "mcp_list_tools.in_progress", "conversation.item.added"]
    added = stepper.frames[-1]["item"]
    assert added["id"].startswith("mcpl_")
    assert (added["server_label"], added["tools"]) == ("shop", [])
    server = listings(stepper)[0].server
    assert (server.url, server.authorization, server.headers) == ("https://shop.example/mcp", "tok", {"x": "y"})
    effects = receive(stepper)
    assert types(effects) == ["conversation.item.done", "mcp_list_tools.completed"]
    assert ConfigureEngine() in effects
    done = stepper.frames[-2]["item"]
    assert [(tool["name"], tool["description"]) for tool in done["tools"]] == [("search", "Searches."), ("order", "")]
    assert done["tools"][0]["annotations"] == {"readOnlyHint": True}
    assert stepper.frames[-1]["item_id"] == added["id"]


def test_the_tools_are_the_engines_once_they_are_known_and_not_before(stepper):
    update(stepper, shop())
    assert engine_tools(stepper) == {}
    receive(stepper)
    tool = engine_tools(stepper)["search"]
    assert (tool.description, tool.parameters, tool.server_label) == ("Searches.", SCHEMA, "shop")


def test_secrets_stand_in_no_event_and_no_text_form(stepper):
    load(stepper, authorization="tok-secret", headers={"x-key": "key-secret"})
    ask(stepper)
    stepper.answer(*call(), EngineDone())
    finish(stepper)
    stepper.send({"type": "response.create"})
    for text in (repr(stepper.frames), repr(stepper.effects), repr(stepper.session.engine_settings)):
        assert "secret" not in text


def test_the_list_can_be_retrieved_while_it_is_under_way_and_afterwards(stepper):
    update(stepper, shop())
    list_id = listings(stepper)[0].list_id
    for count in (0, 2):
        stepper.send({"type": "conversation.item.retrieve", "item_id": list_id})
        item = stepper.frames[-1]["item"]
        assert (item["type"], len(item["tools"])) == ("mcp_list_tools", count)
        if not count:
            receive(stepper)


def test_a_server_that_cannot_be_asked_fails_and_the_next_update_tries_again(stepper, types):
    update(stepper, shop())
    effects = receive(stepper, RemoteListing(problem="unreachable"))
    assert types(effects) == ["conversation.item.done", "mcp_list_tools.failed"]
    assert stepper.frames[-2]["item"]["tools"] == []
    assert engine_tools(stepper) == {}
    update(stepper, shop())
    assert len(listings(stepper)) == 2
    receive(stepper)
    assert set(engine_tools(stepper)) == {"search", "order"}


def test_the_same_tools_again_are_not_imported_again(stepper, types):
    load(stepper)
    for more in ({}, {"require_approval": "never"}):
        assert types(update(stepper, shop(**more))) == ["session.updated"]
    assert not engine_tools(stepper)["order"].remote.needs_approval
    stepper.send({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
    assert len(listings(stepper)) == 1
    assert set(engine_tools(stepper)) == {"search", "order"}


def test_another_address_is_imported_anew_and_the_old_tools_are_gone(stepper):
    load(stepper)
    update(stepper, shop(authorization="other"))
    assert engine_tools(stepper) == {}
    receive(stepper, RemoteListing((ORDER,)))
    assert set(engine_tools(stepper)) == {"order"}


def test_several_servers_are_imported_side_by_side(stepper, types):
    effects = update(stepper, shop(), shop(server_label="bank", server_url="https://bank.example"))
    assert types(effects).count("mcp_list_tools.in_progress") == 2
    receive(stepper, index=1)
    assert {tool.server_label for tool in engine_tools(stepper).values()} == {"bank"}
    receive(stepper, RemoteListing((RemoteTool("pay", "", SCHEMA),)), index=0)
    assert engine_tools(stepper)["pay"].server_label == "shop"


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


def test_a_label_that_comes_twice_fails_and_the_first_stays(stepper, types):
    effects = update(stepper, shop(), shop(server_url="https://other.example"))
    assert types(effects) == [
        "session.updated",
        *("mcp_list_tools.in_progress", "conversation.item.added"),
        *("mcp_list_tools.in_progress", "conversation.item.added", "conversation.item.done", "mcp_list_tools.failed"),
    ]
    assert [listing.server.url for listing in listings(stepper)] == ["https://shop.example/mcp"]
    receive(stepper)
    assert len(engine_tools(stepper)) == 2


def test_more_than_one_address_fails(stepper, types):
    effects = update(stepper, shop(connector_id="connector_gmail"))
    assert types(effects)[-1] == "mcp_list_tools.failed"
    assert listings(stepper) == []


@pytest.mark.parametrize(
    ("tool", "param", "words"),
    [
        ({"connector_id": "connector_gmail"}, "connector_id", "'connector_id' is not supported by this service"),
        ({"tunnel_id": "tunnel_1"}, "tunnel_id", "'tunnel_id' is not supported by this service"),
        ({}, "server_url", "Missing required parameter"),
        ({"server_url": "ftp://shop.example"}, "server_url", "expected an http or https URL"),
        ({"server_url": "https://"}, "server_url", "expected an http or https URL"),
        ({"server_url": "https://a:99999999/"}, "server_url", "expected an http or https URL"),
        ({"server_url": "https://me:pw@shop.example"}, "server_url", "put credentials into 'authorization'"),
    ],
)
def test_what_cannot_even_be_tried_is_refused_and_nothing_changes(stepper, types, tool, param, words):
    bad = {"type": "mcp", "server_label": "shop", **tool}
    assert types(update(stepper, shop(server_label="good"), bad)) == ["error"]
    assert last_error(stepper)["param"] == f"session.tools[1].{param}"
    assert words in last_error(stepper)["message"]
    assert "pw" not in last_error(stepper)["message"]
    assert stepper.session.config.tools == []
    stepper.send({"type": "response.create", "response": {"tools": [bad]}})
    assert last_error(stepper)["param"] == f"response.tools[0].{param}"


def test_too_many_servers_are_refused(stepper, types):
    many = [shop(server_label=f"shop{index}") for index in range(17)]
    assert types(update(stepper, *many)) == ["error"]


def test_a_service_without_mcp_says_so(make_session, types):
    stepper = make_session(serves_mcp=False)
    assert types(update(stepper, shop())) == ["error"]
    assert "switched off" in last_error(stepper)["message"]


def test_a_response_brings_servers_of_its_own_for_those_after_it(stepper, types):
    effects = stepper.send({"type": "response.create", "response": {"tools": [shop()]}})
    assert types(effects) == ["response.created", "mcp_list_tools.in_progress", "conversation.item.added"]
    assert stepper.request().settings.tools == ()
    receive(stepper)
    stepper.answer(EngineDone())
    stepper.send({"type": "response.create", "response": {"tools": [shop()]}})
    assert [tool.name for tool in stepper.request().settings.tools] == ["search", "order"]
    assert len(listings(stepper)) == 1
    assert engine_tools(stepper) == {}


def test_a_list_that_was_deleted_or_is_wanted_no_more_ends_quietly(stepper, types):
    update(stepper, shop())
    stepper.send({"type": "conversation.item.delete", "item_id": listings(stepper)[0].list_id})
    assert types(receive(stepper)) == ["mcp_list_tools.completed"]
    update(stepper, shop(server_url="https://other.example"))
    update(stepper)
    assert types(receive(stepper)) == ["conversation.item.done", "mcp_list_tools.completed"]
    assert engine_tools(stepper) == {}


@pytest.mark.parametrize(
    ("allowed", "names"),
    [
        (None, {"search", "order"}),
        (["order", "nobody"], {"order"}),
        ([], set()),
        ({}, {"search", "order"}),
        ({"tool_names": ["search"]}, {"search"}),
        ({"read_only": True}, {"search"}),
        ({"read_only": False}, {"order"}),
        ({"read_only": True, "tool_names": ["order"]}, set()),
    ],
)
def test_allowed_tools_in_every_form(stepper, allowed, names):
    load(stepper, allowed_tools=allowed)
    assert set(engine_tools(stepper)) == names
    assert {tool["name"] for tool in stepper.frames[-2]["item"]["tools"]} == names


def test_tools_for_programs_only_are_nobodys_here(stepper):
    load(stepper, allowed_callers=["programmatic"])
    assert engine_tools(stepper) == {}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "mcp", "server_label": "shop", "name": "order"}, "order"),
        ({"type": "mcp", "server_label": "shop"}, "required"),
        ({"type": "mcp", "server_label": "shop", "name": "nobody"}, "auto"),
        ({"type": "mcp", "server_label": "bank"}, "auto"),
    ],
)
def test_a_tool_choice_names_a_servers_tool(stepper, choice, expected):
    update(stepper, shop(), tool_choice=choice)
    assert stepper.session.engine_settings.tool_choice == "auto"
    receive(stepper)
    assert stepper.session.engine_settings.tool_choice == expected


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


@pytest.mark.parametrize(
    ("approval", "needing"),
    [
        (None, {"search", "order"}),
        ("always", {"search", "order"}),
        ("never", set()),
        ({}, {"search", "order"}),
        ({"never": {"tool_names": ["search"]}}, {"order"}),
        ({"never": {"read_only": True}}, {"order"}),
        ({"never": {"read_only": True, "tool_names": ["order"]}}, {"search", "order"}),
        ({"never": {}}, {"search", "order"}),
        ({"always": {"tool_names": ["order"]}}, {"search", "order"}),
        ({"always": {"tool_names": ["order"]}, "never": {"tool_names": ["order", "search"]}}, {"order"}),
        ({"always": {"read_only": False}, "never": {"read_only": True}}, {"order"}),
    ],
)
def test_require_approval_in_every_form(stepper, approval, needing):
    load(stepper, require_approval=approval)
    assert {name for name, tool in engine_tools(stepper).items() if tool.remote.needs_approval} == needing


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
