"""Tools that the client declares: the server asks, the client runs them (contract 4.10)."""

import json
from functools import partial
from typing import Any

from voice.conformance.client import Client, Frame
from voice.conformance.contract import AUDIO_PART, FUNCTION_CALL, RESPONSE, TEXT_PART
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import Skipped, check, equal

flow = partial(
    any_flow,
    family="tools",
    sends=("session.update", "conversation.item.create", "response.create"),
    shows=("session.updated", *FUNCTION_CALL, *RESPONSE, *TEXT_PART),
)

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather in a city now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Name of the city"}},
        "required": ["city"],
    },
}
QUESTION = "What is the weather in Oslo?"


async def _asked(client: Client, question: str = QUESTION, **response: Any) -> tuple[Frame, list[Frame]]:
    """Ask; return the response as it was done and its function calls."""
    await client.say_text(question)
    created = await client.respond(output_modalities=["text"], **response)
    done = await client.response_done(created["id"])
    return done, [item for item in done["output"] if item["type"] == "function_call"]


async def _answered(client: Client, calls: list[Frame]) -> Frame:
    """Give each call its output, then ask for the answer."""
    for call in calls:
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": '{"celsius": 18}'}
        await client.create_item(output)
    created = await client.respond(output_modalities=["text"], tool_choice="none")
    return await client.response_done(created["id"])


@flow("function call")
async def function_call(client: Client) -> None:
    """A call in the order of contract 4.10, its output, and the answer that the client asks for."""
    await client.update(tools=[WEATHER], tool_choice={"type": "function", "name": "get_weather"})
    await client.say_text(QUESTION)
    response = await client.respond(output_modalities=["text"])
    added = await client.expect(
        "response.output_item.added", where=lambda frame: frame["item"]["type"] == "function_call"
    )
    equal("item.status", added["item"]["status"], "in_progress", added)
    equal("item.arguments", added["item"]["arguments"], "", added)
    whole = await client.expect("response.function_call_arguments.done")
    equal("name", whole["name"], "get_weather", whole)
    equal("call_id", whole["call_id"], added["item"]["call_id"], whole)
    check("city" in json.loads(whole["arguments"]), "the arguments lack what the schema requires", whole)
    item = await client.expect("response.output_item.done")
    equal("item.status", item["item"]["status"], "completed", item)
    equal("item.arguments", item["item"]["arguments"], whole["arguments"], item)
    done = await client.response_done(response["id"])
    equal("response.status", done["status"], "completed", client.last)
    await client.quiet("response.created", for_s=0.4)
    answer = await _answered(client, [whole])
    equal("response.status", answer["status"], "completed", client.last)


@flow(
    "tools of one response",
    sends=("conversation.item.create", "response.create"),
    shows=(*FUNCTION_CALL, *RESPONSE),
    may=TEXT_PART,
)
async def tools_of_a_response(client: Client) -> None:
    """`response.create` brings tools of its own; the session's stay as they are."""
    forced = {"type": "function", "name": "get_weather"}
    _, calls = await _asked(client, tools=[WEATHER], tool_choice=forced)
    equal("calls", [call["name"] for call in calls], ["get_weather"], client.last)
    await _answered(client, calls)


@flow("several calls in one response")
async def parallel(client: Client) -> None:
    """Calls of one response have their own places and ids; one answer is asked for after all outputs."""
    await client.update(tools=[WEATHER], tool_choice="required")
    done, calls = await _asked(client, "What is the weather in Oslo and in Paris? Call the tool for both at once.")
    if len(calls) < 2:
        raise Skipped("the model made one call only")
    frame = client.last
    equal("different call ids", len({call["call_id"] for call in calls}), len(calls), frame)
    places = [frame["output_index"] for frame in client.of("response.output_item.done", response_id=done["id"])]
    equal("output indexes", places, list(range(len(places))), frame)
    answer = await _answered(client, calls)
    equal("response.status", answer["status"], "completed", client.last)


@flow("no tool wanted", shows=("session.updated", *RESPONSE, *TEXT_PART))
async def no_tool(client: Client) -> None:
    """With `tool_choice: none` no tool is called, whatever is asked."""
    await client.update(tools=[WEATHER], tool_choice="none")
    _, calls = await _asked(client, "Say hello.")
    equal("calls", calls, [], client.last)


@flow("words before a call", shows=("session.updated", *FUNCTION_CALL, *RESPONSE), may=(*AUDIO_PART, *TEXT_PART))
async def words_first(client: Client) -> None:
    """A message may come before the call in the same response: it is complete before the call begins."""
    await client.update(tools=[WEATHER], instructions="Say one sentence before you call a tool.")
    await client.say_text("Let me know, with a word before it, what the weather in Oslo is.")
    created = await client.respond()
    done = await client.response_done(created["id"])
    kinds = [item["type"] for item in done["output"]]
    if kinds != ["message", "function_call"]:
        raise Skipped(f"the model answered with {', '.join(kinds) or 'nothing'}")
    events = [frame["type"] for frame in client.of("response.output_item.added", "response.output_item.done")]
    added, ended = "response.output_item.added", "response.output_item.done"
    equal("order of the items", events, [added, ended, added, ended], client.last)


@flow("a tool that must be called", may=TEXT_PART)
async def required(client: Client) -> None:
    """With `tool_choice: required` some tool is called."""
    await client.update(tools=[WEATHER], tool_choice="required")
    _, calls = await _asked(client)
    check(calls, "no tool was called", client.last)
    await _answered(client, calls)
