"""MCP servers over real HTTP on loopback: what they offer, what they answer, and what they do to us."""

import asyncio
import json
import logging

import pytest
import structlog
from mcp.types import CallToolResult

from tools.mcp import McpLimits, McpServers
from tools.mcp_http import MAX_VALUES

LIMITS = McpLimits(private_addresses=True, list_timeout_s=5, call_timeout_s=5)
SECRETS = {"authorization": "tok-0123456789", "headers": {"x-key": "header-0123456789"}}


@pytest.fixture
async def servers():
    servers = McpServers(LIMITS, session_id="sess_1")
    yield servers
    await servers.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("mcp ")]


async def test_a_servers_tools_are_listed_with_their_schemas_and_hints(shop, servers):
    listing = await servers.list_tools("mcpl_1", shop.server())
    tools = {tool.name: tool for tool in listing.tools}
    assert listing.problem is None
    assert list(tools) == ["search", "wait", "fail", "long", "huge", "add"]
    assert tools["search"].description == "Search the shop."
    assert tools["search"].is_read_only
    assert tools["search"].input_schema["required"] == ["query"]
    assert tools["wait"].description == ""
    assert not tools["wait"].is_read_only


async def test_a_call_returns_what_the_tool_says(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    result = await servers.call("mcpl_1", "search", '{"query":"tea"}')
    assert (result.output, result.failed) == ("3 results for tea", False)
    assert "5" in (await servers.call("mcpl_1", "add", '{"a":2,"b":3}')).output


async def test_headers_and_authorization_go_with_every_request(shop, servers):
    await servers.list_tools("mcpl_1", shop.server(**SECRETS))
    await servers.call("mcpl_1", "search", '{"query":"tea"}')
    assert {headers["authorization"] for headers in shop.headers} == {"Bearer tok-0123456789"}
    assert {headers["x-key"] for headers in shop.headers} == {"header-0123456789"}


async def test_secrets_stand_in_no_log_no_text_form_and_no_answer(shop, servers, caplog):
    caplog.set_level(logging.DEBUG)
    server = shop.server(**SECRETS)
    with structlog.testing.capture_logs() as logs:
        await servers.list_tools("mcpl_1", server)
        echoed = await servers.call("mcpl_1", "search", '{"query":"tok-0123456789, header-0123456789"}')
        shop.status = 401
        await servers.call("mcpl_1", "search", '{"query":"tea"}')
        await servers.list_tools("mcpl_2", server)
    assert echoed.output == "3 results for [secret], [secret]"
    assert logs
    for text in (repr(logs), caplog.text, repr(server), str(server)):
        assert "0123456789" not in text


async def test_arguments_that_do_not_fit_are_refused_before_they_leave(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    before = len(shop.methods)
    for arguments, why in [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"limit":1}', "'query' is missing"),
        ('{"query":1}', "'query' is not of type string"),
        ('{"query":"' + "x" * 70_000 + '"}', "longer than"),
    ]:
        result = await servers.call("mcpl_1", "search", arguments)
        assert result.failed
        assert result.kind == "tool_execution_error"
        assert why in result.output
    assert len(shop.methods) == before


async def test_nobody_is_called_whom_the_server_did_not_list(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    assert (await servers.call("mcpl_1", "nobody", "{}")).failed
    assert (await servers.call("mcpl_9", "search", "{}")).failed


async def test_a_tool_that_fails_is_a_tool_execution_error(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    result = await servers.call("mcpl_1", "fail", "")
    assert (result.failed, result.kind, result.code) == (True, "tool_execution_error", None)
    assert "fail" in result.output


async def test_a_refusal_on_the_way_is_an_http_error_with_its_status(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    for status in (401, 403, 429, 500, 503):
        shop.status = status
        result = await servers.call("mcpl_1", "search", '{"query":"tea"}')
        assert (result.failed, result.kind, result.code) == (True, "http_error", status)
    shop.status = None
    assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed


async def test_a_server_that_is_too_slow_is_a_protocol_error_and_the_next_call_works(shop):
    servers = McpServers(McpLimits(private_addresses=True, call_timeout_s=0.2))
    await servers.list_tools("mcpl_1", shop.server())
    result = await servers.call("mcpl_1", "wait", '{"seconds":30}')
    assert (result.failed, result.kind, result.code) == (True, "protocol_error", -32001)
    assert "0.2 s" in result.output
    assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed
    await servers.aclose()


async def test_a_server_that_never_answers_ends_the_listing_in_time(shop):
    shop.hangs = True
    servers = McpServers(McpLimits(private_addresses=True, list_timeout_s=0.2))
    listing = await servers.list_tools("mcpl_1", shop.server())
    assert listing.problem == "The MCP server 'shop' gave no answer within 0.2 s."
    await servers.aclose()


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_server_that_dies_in_mid_call_fails_it_at_once_and_the_next_call_connects_anew(
    make_shop, serve, servers, waiting, is_old
):
    async with serve(make_shop()) as (first, die):
        first.is_old = is_old
        await servers.list_tools("mcpl_1", first.server())
        call = asyncio.create_task(servers.call("mcpl_1", "wait", '{"seconds":30}'))
        await waiting.wait()
        await die()
        async with asyncio.timeout(4):
            result = await call
        assert (result.failed, result.kind) == (True, "protocol_error")
        gone = await servers.call("mcpl_1", "search", '{"query":"tea"}')
        assert (gone.failed, gone.kind, gone.code) == (True, "protocol_error", -32000)
    async with serve(make_shop(), port=first.port) as (second, _):
        second.is_old = is_old
        assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed


async def test_a_server_that_forgot_the_session_is_asked_again(shop, servers):
    shop.is_old = True
    await servers.list_tools("mcpl_1", shop.server())
    shop.lose_session = True
    assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed
    assert not shop.lose_session


async def test_an_answer_against_its_own_schema_is_a_protocol_error(make_shop, lying, serve, servers):
    server = make_shop()
    lying(server)
    async with serve(server) as (endpoint, _):
        await servers.list_tools("mcpl_1", endpoint.server())
        result = await servers.call("mcpl_1", "add", '{"a":2,"b":3}')
    assert (result.failed, result.kind) == (True, "protocol_error")
    assert "'total' is not of type integer" in result.output


async def test_a_long_answer_is_cut_with_a_note(shop, servers):
    await servers.list_tools("mcpl_1", shop.server())
    result = await servers.call("mcpl_1", "long", "")
    assert len(result.output.encode()) <= LIMITS.max_output_bytes
    assert "was cut here" in result.output


@pytest.mark.parametrize("options", [{}, {"json_response": True}, {"json_response": True, "stateless_http": True}])
async def test_an_endless_answer_is_not_taken(make_shop, serve, options):
    servers = McpServers(McpLimits(private_addresses=True, max_body_bytes=100_000, call_timeout_s=5))
    async with serve(make_shop(), **options) as (endpoint, _):
        await servers.list_tools("mcpl_1", endpoint.server())
        result = await servers.call("mcpl_1", "huge", "")
        assert (result.failed, result.kind) == (True, "protocol_error")
        assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed
        await servers.aclose()


@pytest.mark.parametrize("options", [{}, {"json_response": True}, {"json_response": True, "stateless_http": True}])
async def test_an_answer_of_too_many_values_is_not_taken_apart(make_shop, serve, options):
    server, servers = make_shop(), McpServers(LIMITS)

    @server.tool()
    def many() -> CallToolResult:
        return CallToolResult(content=[], structured_content={"rows": [1] * MAX_VALUES})

    @server.tool()
    def quoted() -> str:
        return json.dumps([{"row": number} for number in range(MAX_VALUES)])

    async with serve(server, **options) as (endpoint, _):
        await servers.list_tools("mcpl_1", endpoint.server())
        result = await servers.call("mcpl_1", "many", "")
        assert (result.failed, result.kind) == (True, "protocol_error")
        quoted = await servers.call("mcpl_1", "quoted", "")
        assert not quoted.failed, "in a text they cost nothing"
        assert quoted.output.startswith('[{"row": 0}')
        await servers.aclose()


async def test_a_tool_nobody_could_use_is_left_out_and_the_others_stay(make_shop, serve):
    server = make_shop()
    tools = server._tool_manager
    deep: dict[str, object] = {"type": "object"}
    for _ in range(40):
        deep = {"type": "object", "properties": {"a": deep}}
    tools.get_tool("fail").parameters = deep
    tools.get_tool("long").parameters = {"type": "object", "description": "x" * 40_000}
    servers = McpServers(McpLimits(private_addresses=True, max_tools=3))
    async with serve(server) as (endpoint, _):
        listing = await servers.list_tools("mcpl_1", endpoint.server())
        await servers.aclose()
    assert [tool.name for tool in listing.tools] == ["search", "wait", "huge"]


async def test_nobody_at_home_and_no_mcp_are_problems(shop, serve, servers):
    listing = await servers.list_tools("mcpl_1", shop.server().__class__("shop", "http://127.0.0.1:9/mcp"))
    assert listing.problem is not None
    assert "cannot be reached" in listing.problem
    shop.status = 200
    listing = await servers.list_tools("mcpl_2", shop.server())
    assert listing.problem is not None
    shop.status = 401
    listing = await servers.list_tools("mcpl_3", shop.server())
    assert listing.problem == "The MCP server 'shop' answered with HTTP status 401."


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"]
)
async def test_what_only_this_machine_can_reach_is_refused_unless_allowed(shop, host):
    servers = McpServers(McpLimits(list_timeout_s=5))
    server = shop.server().__class__("shop", f"http://{host}:{shop.port}/mcp")
    listing = await servers.list_tools("mcpl_1", server)
    await servers.aclose()
    assert listing.problem == "The MCP server 'shop' has an address that is not public."
    assert not shop.methods


async def test_calls_run_side_by_side_up_to_a_bound(shop):
    servers = McpServers(McpLimits(private_addresses=True, max_concurrent_calls=2))
    await servers.list_tools("mcpl_1", shop.server())
    results = await asyncio.gather(*(servers.call("mcpl_1", "wait", '{"seconds":0.2}') for _ in range(3)))
    await servers.aclose()
    assert [result.failed for result in results] == [False, False, True]
    assert "too many tools" in results[2].output


async def test_the_connection_that_was_idle_longest_makes_room_and_comes_back(shop):
    servers = McpServers(McpLimits(private_addresses=True, max_connections=2))
    for index in range(3):
        await servers.list_tools(f"mcpl_{index}", shop.server())
    assert sum(task.get_name().startswith("mcp ") for task in asyncio.all_tasks()) == 2
    assert not (await servers.call("mcpl_0", "search", '{"query":"tea"}')).failed
    await servers.aclose()


async def test_a_cancelled_call_leaves_the_connection_as_it_was(shop, servers, waiting):
    await servers.list_tools("mcpl_1", shop.server())
    call = asyncio.create_task(servers.call("mcpl_1", "wait", '{"seconds":30}'))
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not (await servers.call("mcpl_1", "search", '{"query":"tea"}')).failed


async def test_closing_in_the_middle_of_a_listing_ends_in_time(shop):
    shop.hangs = True
    servers = McpServers(LIMITS)
    listing = asyncio.create_task(servers.list_tools("mcpl_1", shop.server()))
    await shop.arrived.wait()
    listing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listing
    async with asyncio.timeout(3):
        await servers.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("mcp ")]
