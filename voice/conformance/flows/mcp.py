"""Tools of MCP servers that the client names: the server under test lists and calls them (contract 3.4, 4.11)."""

from functools import partial
from typing import Any

from voice.conformance.client import Client, Frame
from voice.conformance.contract import ITEM, MCP_CALL, MCP_LIST, RESPONSE, TEXT_PART
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import NotServed, Skipped, check, equal

_CONTINUES = (*RESPONSE, *TEXT_PART)
_DEAD_PORT_URL = "http://127.0.0.1:9/mcp"
"""The discard port, where no HTTP server is."""

flow = partial(any_flow, family="mcp", sends=("session.update",))


def _tool(client: Client, **more: Any) -> dict[str, Any]:
    url = client.settings.mcp_url
    if url is None:
        raise Skipped("no MCP server: give --mcp URL, one that the server under test can reach")
    return {"type": "mcp", "server_label": "kit", "server_url": url, **more}


async def _imported(client: Client, tool: dict[str, Any]) -> tuple[Frame, Frame]:
    """Name an MCP server; return the list item as it was done, and how the import ended."""
    await client.send("session.update", session={"type": "realtime", "tools": [tool]})
    frame = await client.expect("session.updated", "error")
    if frame["type"] == "error":
        raise NotServed(frame["error"]["message"])
    began = await client.expect("mcp_list_tools.in_progress")
    item_id = began["item_id"]
    await client.expect("conversation.item.added", where=lambda each: each["item"]["id"] == item_id)
    # The item's end and the import's may come in either order (contract 4.11).
    one = await client.expect("conversation.item.done", "mcp_list_tools.completed", "mcp_list_tools.failed")
    other = await client.expect("conversation.item.done", "mcp_list_tools.completed", "mcp_list_tools.failed")
    done, ended = (one, other) if one["type"] == "conversation.item.done" else (other, one)
    check("item" in done, "the list's conversation.item.done did not come", ended)
    equal("item_id", ended["item_id"], item_id, ended)
    equal("item.type", done["item"]["type"], "mcp_list_tools", done)
    item: Frame = done["item"]
    return item, ended


async def _called(client: Client, question: str = "What is the price of a lamp?") -> tuple[Frame, Frame]:
    """Ask for what the tool knows; return the response that was created and the call's item as it was added."""
    await client.say_text(question)
    response = await client.respond(output_modalities=["text"], tool_choice="required")
    added = await client.expect("response.output_item.added")
    if added["item"]["type"] != "mcp_call":
        raise Skipped("the model did not call the tool")
    equal("item.server_label", added["item"]["server_label"], "kit", added)
    whole = await client.expect("response.mcp_call_arguments.done")
    equal("item_id", whole["item_id"], added["item"]["id"], whole)
    found: Frame = added["item"]
    return response, found


async def _finished(client: Client, call: Frame) -> Frame:
    """Wait until a call has run; return its item."""
    for type in ("response.mcp_call.in_progress", "response.mcp_call.completed"):
        frame = await client.expect(type)
        equal("item_id", frame["item_id"], call["id"], frame)
    done = [each["item"] for each in client.of("conversation.item.done") if each["item"]["id"] == call["id"]]
    if done:
        found: Frame = done[-1]
        return found
    frame = await client.expect("conversation.item.done", where=lambda each: each["item"]["id"] == call["id"])
    item: Frame = frame["item"]
    return item


@flow("MCP import", shows=("session.updated", *MCP_LIST, *ITEM), may=("error",))
async def listed(client: Client) -> None:
    """The server lists the tools of an MCP server and shows them in an item."""
    item, ended = await _imported(client, _tool(client, require_approval="never"))
    equal("import", ended["type"], "mcp_list_tools.completed", ended)
    names = [tool["name"] for tool in item["tools"]]
    check("price" in names, f"the item lists {names}", ended)


@flow("MCP import of some tools", shows=("session.updated", *MCP_LIST, *ITEM), may=("error",))
async def allowed(client: Client) -> None:
    """`allowed_tools` leaves the others out (contract 3.4)."""
    item, ended = await _imported(client, _tool(client, allowed_tools=["price"]))
    equal("tools", [tool["name"] for tool in item["tools"]], ["price"], ended)


@flow(
    "MCP import that fails",
    shows=("session.updated", "mcp_list_tools.in_progress", "mcp_list_tools.failed", *ITEM),
    may=("error",),
)
async def unreachable(client: Client) -> None:
    """A server that cannot be reached fails the import, and the session goes on."""
    tool = {"type": "mcp", "server_label": "nobody", "server_url": _DEAD_PORT_URL, "require_approval": "never"}
    _, ended = await _imported(client, tool)
    equal("import", ended["type"], "mcp_list_tools.failed", ended)
    await client.say_text("Still there?")


@flow(
    "MCP call",
    sends=("session.update", "response.create"),
    shows=("session.updated", *MCP_LIST, *MCP_CALL, *RESPONSE),
    may=(*TEXT_PART, "error"),
)
async def called(client: Client) -> None:
    """Without approval the call runs, and its item has the output."""
    await _imported(client, _tool(client, require_approval="never"))
    response, call = await _called(client)
    item = await _finished(client, call)
    check(item.get("output"), "the item has no output", client.last)
    check(not item.get("error"), "the item has an error", client.last)
    if not [each for each in client.of("response.done") if each["response"]["id"] == response["id"]]:
        await client.response_done(response["id"])
    await _answer(client)


async def _answer(client: Client) -> None:
    """Ask for the answer; a server that continues by itself takes that without an error (contract 4.11)."""
    await client.send("response.create", response={"output_modalities": ["text"]})
    await client.response_done()


@flow(
    "MCP call that fails",
    sends=("session.update", "response.create"),
    shows=("session.updated", *MCP_LIST, "response.mcp_call_arguments.done", "response.mcp_call.failed", *RESPONSE),
    may=(*MCP_CALL, *TEXT_PART, "error"),
)
async def failing(client: Client) -> None:
    """A tool that fails is an item with an error object, never a dead session."""
    await _imported(client, _tool(client, require_approval="never", allowed_tools=["broken"]))
    response, call = await _called(client, "Look the lamp up in the catalogue.")
    await client.expect("response.mcp_call.failed")
    await client.response_done(response["id"])
    items = [each["item"] for each in client.of("conversation.item.done") if each["item"]["id"] == call["id"]]
    check(items and isinstance(items[-1].get("error"), dict), "the call's item has no error object", client.last)


@flow(
    "MCP approval",
    sends=("session.update", "response.create", "conversation.item.create"),
    shows=("session.updated", *MCP_LIST, *MCP_CALL, *RESPONSE),
    may=(*TEXT_PART, "error"),
)
async def approved(client: Client) -> None:
    """By default each call waits for the client's word (contract 3.4); allowed, it runs under the same item."""
    await _imported(client, _tool(client))
    response, call = await _called(client)
    request = await _request(client)
    await client.response_done(response["id"])
    await client.create_item({"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True})
    item = await _finished(client, call)
    check(item.get("output"), "the item has no output", client.last)
    equal("approval_request_id", item.get("approval_request_id"), request["id"], client.last)
    await _answer(client)


@flow(
    "MCP approval denied",
    sends=("session.update", "response.create", "conversation.item.create"),
    shows=("session.updated", *MCP_LIST, "response.mcp_call_arguments.done", *ITEM),
    may=(*MCP_CALL, "response.mcp_call.failed", *_CONTINUES, "error"),
)
async def denied(client: Client) -> None:
    """Denied, the call never runs."""
    await _imported(client, _tool(client))
    response, _ = await _called(client)
    request = await _request(client)
    await client.response_done(response["id"])
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": False, "reason": "no"}
    await client.create_item(answer)
    await client.quiet("response.mcp_call.in_progress", "response.mcp_call.completed")


async def _request(client: Client) -> Frame:
    frame = await client.expect(
        "conversation.item.done", where=lambda each: each["item"]["type"] == "mcp_approval_request"
    )
    equal("item.name", frame["item"]["name"], "price", frame)
    item: Frame = frame["item"]
    return item
