"""A whole session whose client names an MCP server: from `session.update` over real HTTP to the answer."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tools.mcp import McpLimits, McpServers
from transports.memory import MemoryTransport
from voice.activity import ActivityService
from voice.agent import Agent
from voice.engines.port import (
    Capabilities,
    EngineDone,
    EngineSettings,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.manager import SessionManager
from voice.metrics import Metrics
from voice.places import AgentRuntime, McpService, SessionLimits
from voice.protocol.codec import encode_server_event
from voice.tooling import ServiceTools

CREATE = {"type": "response.create"}


class CallingEngine:
    """Calls the first tool it has with `{"query":"tea"}`, and reads out what came back."""

    capabilities = Capabilities()

    async def open(self, settings: EngineSettings) -> None:
        """Nothing to do."""

    def configure(self, settings: EngineSettings) -> None:
        """Nothing to do."""

    async def respond(self, request: ResponseRequest) -> AsyncGenerator[ResponseEvent, None]:
        last = request.items[-1] if request.items else None
        if last is None:
            yield ToolCallStarted(f"call_{request.response_id}", request.settings.tools[0].name)
            yield ToolCallDone(f"call_{request.response_id}", request.settings.tools[0].name, '{"query":"tea"}')
        else:
            yield TextDelta(f"I found: {last.output or last.error}")  # type: ignore[union-attr]
        yield EngineDone()

    async def aclose(self) -> None:
        """Nothing to do."""


class NoTools(ServiceTools):
    def specs(self):
        return []


def make_manager(*, auto_continue: bool = False, serves: bool = True) -> SessionManager:
    limits = McpLimits(private_addresses=True, call_timeout_s=5)
    mcp = McpService(lambda session_id: McpServers(limits, session_id=session_id), auto_continue)
    runtime = AgentRuntime(Agent("test", "calling"), lambda _: CallingEngine(), NoTools())  # type: ignore[arg-type, return-value, abstract]
    return SessionManager(
        {"test": runtime},
        "test",
        ActivityService(None),
        SessionLimits(),
        Metrics(CollectorRegistry()),
        mcp if serves else None,
    )


class Client:
    """The other end: sends events as they are, reads frames as JSON."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport

    async def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        event = await self.transport.until(kind, count)
        frame: dict[str, Any] = json.loads(encode_server_event(event))
        return frame

    def send(self, event: dict[str, Any]) -> None:
        self.transport.push_text(json.dumps(event))

    async def name_server(self, endpoint, **more) -> None:
        await self.until("session.created")
        tool = {"type": "mcp", "server_label": "shop", "server_url": endpoint.server().url, **more}
        session = {"type": "realtime", "tools": [tool], "output_modalities": ["text"]}
        self.send({"type": "session.update", "session": session})


@pytest.fixture
def client():
    return Client(MemoryTransport())


async def converse(client, talk, **options) -> None:
    manager = make_manager(**options)

    async def whole() -> None:
        await talk
        client.transport.hang_up()

    async with asyncio.timeout(10):
        await asyncio.gather(manager.admit(manager.resolve(None)).run(client.transport), whole())
    assert client.transport.closed == (1000, "")
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("mcp ", "call_", "mcpl_"))]


async def test_a_tool_of_a_remote_server_is_listed_approved_called_and_answered(shop, client):
    async def talk() -> None:
        await client.name_server(shop, authorization="tok-0123456789")
        await client.until("mcp_list_tools.completed")
        client.send(CREATE)
        await client.until("response.done")
        request = (await client.until("conversation.item.done", 2))["item"]
        assert (request["type"], request["name"]) == ("mcp_approval_request", "search")
        answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
        client.send({"type": "conversation.item.create", "item": answer})
        await client.until("response.mcp_call.completed")
        client.send(CREATE)
        answer = await client.until("response.done", 2)
        assert answer["response"]["output"][0]["content"][0]["text"] == "I found: 3 results for tea"

    await converse(client, talk())
    assert {headers.get("authorization") for headers in shop.headers} == {"Bearer tok-0123456789"}
    assert "0123456789" not in "".join(encode_server_event(event) for event in client.transport.sent)


async def test_by_a_setting_the_answer_comes_by_itself(shop, client):
    async def talk() -> None:
        await client.name_server(shop, require_approval="never")
        await client.until("mcp_list_tools.completed")
        client.send(CREATE)
        answer = await client.until("response.done", 2)
        assert answer["response"]["output"][0]["content"][0]["text"] == "I found: 3 results for tea"

    await converse(client, talk(), auto_continue=True)


async def test_a_refused_import_and_a_failed_call_end_nothing(shop, client):
    async def talk() -> None:
        shop.status = 401
        await client.name_server(shop, require_approval="never")
        await client.until("mcp_list_tools.failed")
        shop.status = None
        await client.name_server(shop, require_approval="never")
        await client.until("mcp_list_tools.completed")
        shop.status = 503
        client.send(CREATE)
        await client.until("response.mcp_call.failed")
        done = await client.until("response.done")
        (item,) = done["response"]["output"]
        assert (item["error"]["type"], item["error"]["code"]) == ("http_error", 503)

    await converse(client, talk())


async def test_a_client_that_hangs_up_in_mid_call_leaves_nothing_running(shop, client):
    async def talk() -> None:
        await client.name_server(shop, require_approval="never", allowed_tools=["search"])
        await client.until("mcp_list_tools.completed")
        shop.hangs = True
        client.send(CREATE)
        await client.until("response.mcp_call.in_progress")

    await converse(client, talk())


async def test_a_client_that_hangs_up_in_mid_import_leaves_nothing_running(shop, client):
    async def talk() -> None:
        shop.hangs = True
        await client.name_server(shop)
        await client.until("mcp_list_tools.in_progress")

    await converse(client, talk())


async def test_a_service_without_mcp_refuses_and_goes_on(shop, client):
    async def talk() -> None:
        await client.name_server(shop)
        error = await client.until("error")
        assert "switched off" in error["error"]["message"]

    await converse(client, talk(), serves=False)
    assert shop.methods == []
