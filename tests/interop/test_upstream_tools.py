"""Tools that the second of two instances runs itself: the first one's callers see them, and hear what came of them."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from voice.conformance import mcp_server
from voice.talk.service import ServiceProcess, free_port
from voice.upstream.faults import FaultyUpstream

Frame = dict[str, Any]
SCRIPT = """
transcripts: [what does it cost]
turns:
  - when: cost
    reply: [{call: {name: price, arguments: {article: plum}}}]
  - when_tool: price
    reply: ["It costs {tool_output}."]
  - reply: [Good evening.]
"""
OWN_TOOLS = '''
from tools import tool


@tool
def price(article: str) -> str:
    """Tell the price of an article.

    Args:
        article: Its name.
    """
    return f"A {article} costs 4 euros"
'''
FRONT = """
engines:
  its-own: {{type: upstream, url: '{url}', model: its-own}}
  never: {{type: upstream, url: '{url}', model: bare, tools: [{{type: mcp, server_label: shop, server_url: '{mcp}',
    require_approval: never}}]}}
  always: {{type: upstream, url: '{url}', model: bare, tools: [{{type: mcp, server_label: shop, server_url: '{mcp}',
    require_approval: always}}]}}
agents: {{its-own: {{engine: its-own}}, never: {{engine: never}}, always: {{engine: always}}}}
aliases: {{gpt-realtime: never}}
log: {{level: warning}}
"""


@pytest.fixture(scope="module")
def back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The second instance: an agent with a tool of its own, and a bare one that takes what it is named."""
    folder = tmp_path_factory.mktemp("back")
    (folder / "script.yaml").write_text(SCRIPT)
    (folder / "own_tools.py").write_text(OWN_TOOLS)
    (folder / "config.yaml").write_text(
        "engines: {script: {type: scripted, script: script.yaml}}\n"
        "agents: {its-own: {engine: script, tools: ['own_tools:price']}}\n"
        "aliases: {bare: script}\nmcp: {private_addresses: true}\nlog: {level: warning}\n"
    )
    with ServiceProcess("--config", str(folder / "config.yaml"), ready_timeout_s=30) as service:
        yield service


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Of the upstream as the first instance sees it, and of the MCP server."""
    return free_port(), free_port()


@pytest.fixture(scope="module")
def front(ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The first instance."""
    path = tmp_path_factory.mktemp("front") / "config.yaml"
    url, mcp = f"ws://127.0.0.1:{ports[0]}/v1/realtime", f"http://127.0.0.1:{ports[1]}/mcp"
    path.write_text(FRONT.format(url=url, mcp=mcp))
    with ServiceProcess("--config", str(path), ready_timeout_s=30) as service:
        yield service


def of(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in frames if frame["type"] == kind]


def words(frames: list[Frame]) -> str:
    return " ".join(frame["transcript"] for frame in of(frames, "response.output_audio_transcript.done"))


def items(frames: list[Frame], kind: str) -> list[Frame]:
    return [frame["item"] for frame in of(frames, "conversation.item.done") if frame["item"]["type"] == kind]


async def ask(client: Any) -> None:
    text = {"type": "input_text", "text": "What does it cost?"}
    await client.connection.conversation.item.create(item={"type": "message", "role": "user", "content": [text]})
    await client.connection.response.create()


async def test_a_tool_of_the_second_instance_is_shown_and_its_answer_is_heard_once(
    stand_before: Any,
    front: ServiceProcess,
    back: ServiceProcess,
    ports: tuple[int, int],
    hold: Any,
    violations: Callable[..., list[str]],
) -> None:
    proxy = stand_before(back.url)

    async def conversation(client: Any) -> None:
        await ask(client)
        await client.wait(lambda frames: "costs" in words(frames) and len(of(frames, "response.done")) == 2)

    async with proxy.serving(port=ports[0]):
        frames = await hold(front, "its-own", conversation)
    assert violations(frames) == []
    (call,) = items(frames, "mcp_call")
    assert (call["name"], json.loads(call["arguments"]), call["output"]) == (
        "price", {"article": "plum"}, "A plum costs 4 euros"
    )  # fmt: skip
    assert words(frames) == "It costs A plum costs 4 euros."
    there = [event["type"] for event in map(json.loads, proxy.passages[0].to_client)]
    assert there.count("response.created") == 2, "the second instance went on by itself, and was not asked twice"


async def test_an_mcp_server_that_the_second_instance_asks_is_shown(
    stand_before: Any,
    front: ServiceProcess,
    back: ServiceProcess,
    ports: tuple[int, int],
    hold: Any,
    violations: Callable[..., list[str]],
) -> None:
    proxy = stand_before(back.url)

    async def conversation(client: Any) -> None:
        await _listed(proxy)
        await ask(client)
        await client.wait(lambda frames: "costs" in words(frames) and len(of(frames, "response.done")) == 2)

    async with mcp_server.serving(ports[1]), proxy.serving(port=ports[0]):
        frames = await hold(front, "never", conversation)
    assert violations(frames) == []
    (call,) = items(frames, "mcp_call")
    assert (call["server_label"], call["name"]) == ("shop", "price")
    assert call["output"] in words(frames)


@pytest.mark.parametrize("approve", [True, False])
async def test_the_client_is_asked_where_the_second_instance_wants_to_know(
    stand_before: Any,
    approve: bool,
    front: ServiceProcess,
    back: ServiceProcess,
    ports: tuple[int, int],
    hold: Any,
    violations: Callable[..., list[str]],
) -> None:
    proxy = stand_before(back.url)

    async def conversation(client: Any) -> None:
        await _listed(proxy)
        await ask(client)
        (request,) = await client.wait(lambda frames: items(frames, "mcp_approval_request"))
        await client.wait(lambda frames: of(frames, "response.done"))
        answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": approve}
        await client.connection.conversation.item.create(item=answer)
        await client.wait(lambda frames: len(of(frames, "response.done")) == 2)

    async with mcp_server.serving(ports[1]), proxy.serving(port=ports[0]):
        frames = await hold(front, "always", conversation)
    assert violations(frames) == []
    (call,) = items(frames, "mcp_call")
    assert ("output" in call) == approve
    assert ("40 euros" in words(frames)) == approve
    sent = [json.loads(message) for message in proxy.passages[0].to_upstream]
    answers = [event["item"] for event in sent if event.get("item", {}).get("type") == "mcp_approval_response"]
    assert [answer["approve"] for answer in answers] == [approve]


async def _listed(proxy: FaultyUpstream) -> None:
    def is_listed() -> bool:
        return any("mcp_list_tools.completed" in text for passage in proxy.passages for text in passage.to_client)

    async with asyncio.timeout(10):
        while not is_listed():  # noqa: ASYNC110 - the proxy only keeps what passed
            await asyncio.sleep(0.02)
