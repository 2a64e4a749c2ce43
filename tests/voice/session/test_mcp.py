"""MCP servers that the client names: what they are asked, and which of their tools an engine gets (contract 3.4)."""

import pytest

from voice.engines.port import EngineDone
from voice.session.effects import ConfigureEngine, ListMcpTools
from voice.tooling import RemoteListing, RemoteTool

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
SEARCH = RemoteTool("search", "Searches.", SCHEMA, {"readOnlyHint": True})
ORDER = RemoteTool("order", "", SCHEMA)
TOOLS = RemoteListing((SEARCH, ORDER))


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


def engine_tools(stepper):
    return {tool.name: tool for tool in stepper.session.engine_settings.tools}


def last_error(stepper):
    assert stepper.frames[-1]["type"] == "error"
    return stepper.frames[-1]["error"]


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


def test_a_choice_of_a_server_leaves_its_tools_to_choose_from(stepper):
    look_up = {"type": "function", "name": "look_up", "parameters": {"type": "object"}}
    update(stepper, shop(), look_up, tool_choice={"type": "mcp", "server_label": "shop"})
    assert engine_tools(stepper).keys() == {"look_up"}  # they may never load
    receive(stepper)
    assert engine_tools(stepper).keys() == {"search", "order"}
    assert stepper.session.engine_settings.tool_choice == "required"
    stepper.send({"type": "response.create", "response": {"tool_choice": "auto"}})
    assert {tool.name for tool in stepper.request().settings.tools} == {"look_up", "search", "order"}


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
