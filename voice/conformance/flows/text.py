"""Answers in text: the frame that every response has (contract 4.3, 4.4)."""

from functools import partial

from voice.conformance.client import Client
from voice.conformance.contract import ITEM, TEXT_RESPONSE
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import NotServed, check, equal

flow = partial(any_flow, family="text", sends=("conversation.item.create", "response.create"), shows=TEXT_RESPONSE)


@flow("text turn")
async def text_turn(client: Client) -> None:
    """A written question gets a written answer, in the order of contract 4.4."""
    await client.say_text("Say hello in one short sentence.")
    response = await client.respond(output_modalities=["text"])
    added = await client.expect("response.output_item.added")
    equal("item.status", added["item"]["status"], "in_progress", added)
    equal("item.content", added["item"]["content"], [], added)
    part = await client.expect("response.content_part.added")
    equal("part", part["part"], {"type": "text", "text": ""}, part)
    whole = await client.expect("response.output_text.done")
    ended = await client.expect("response.content_part.done")
    equal("part.text", ended["part"].get("text"), whole["text"], ended)
    item = await client.expect("response.output_item.done")
    content = [{"type": "output_text", "text": whole["text"]}]
    equal("item.content", item["item"]["content"], content, item)
    equal("item.status", item["item"]["status"], "completed", item)
    done = await client.response_done(response["id"])
    frame = client.last
    equal("response.status", done["status"], "completed", frame)
    equal("response.output_modalities", done["output_modalities"], ["text"], frame)
    check(done["usage"] is not None and done["usage"]["output_tokens"] > 0, "usage counts no output", frame)
    await _limits(client)


async def _limits(client: Client) -> None:
    """`rate_limits.updated` comes once, anywhere from the response's beginning on (contract 4.4)."""
    if not client.of("rate_limits.updated"):
        await client.expect("rate_limits.updated")
    for frame in client.of("rate_limits.updated"):
        names = [entry["name"] for entry in frame["rate_limits"]]
        check(set(names) <= {"requests", "tokens"}, f"rate limits are named {names}", frame)


@flow("several turns")
async def several_turns(client: Client) -> None:
    """Items follow each other: `previous_item_id` names the one before (contract 4.13)."""
    last: str | None = None
    for text in ("My name is Ada.", "What is my name?"):
        await client.say_text(text)
        item = client.last
        equal("previous_item_id", item["previous_item_id"], last, item)
        response = await client.respond(output_modalities=["text"])
        entered = await client.expect("conversation.item.added")
        equal("previous_item_id", entered["previous_item_id"], item["item"]["id"], entered)
        done = await client.response_done(response["id"])
        last = done["output"][-1]["id"]


@flow("session in text", sends=("session.update", "response.create"), may=("session.updated",))
async def session_in_text(client: Client) -> None:
    """With `output_modalities: ["text"]` in the session, no answer holds audio."""
    await client.update(output_modalities=["text"])
    await client.say_text("Say hello.")
    response = await client.respond()
    equal("response.output_modalities", response["output_modalities"], ["text"], client.last)
    done = await client.response_done(response["id"])
    kinds = {part["type"] for item in done["output"] for part in item.get("content") or []}
    equal("content types", kinds, {"output_text"}, client.last)


@flow("overrides and metadata")
async def overrides(client: Client) -> None:
    """What `response.create` sets is echoed, and the session stays as it was (contract 4.1)."""
    await client.say_text("Say hello.")
    metadata = {"topic": "greeting", "client_event_id": "abc"}
    response = await client.respond(
        output_modalities=["text"], instructions="Be brief.", max_output_tokens=300, metadata=metadata
    )
    created = client.last
    equal("response.metadata", response["metadata"], metadata, created)
    equal("response.max_output_tokens", response["max_output_tokens"], 300, created)
    done = await client.response_done(response["id"])
    equal("response.metadata", done["metadata"], metadata, client.last)
    await client.say_text("Say it again.")
    second = await client.respond(output_modalities=["text"])
    equal("response.max_output_tokens", second["max_output_tokens"], "inf", client.last)
    equal("response.metadata", second["metadata"], None, client.last)
    await client.response_done(second["id"])


@flow("max_output_tokens")
async def max_output_tokens(client: Client) -> None:
    """A response that hits its limit ends `incomplete`, and so does its item (contract 4.3)."""
    await client.say_text("Recite a long poem.")
    response = await client.respond(output_modalities=["text"], max_output_tokens=3)
    done = await client.response_done(response["id"])
    frame = client.last
    if done["status"] == "completed" and done["usage"]["output_tokens"] <= 3:
        raise NotServed("the answer was shorter than the limit")
    equal("response.status", done["status"], "incomplete", frame)
    equal(
        "response.status_details", done["status_details"], {"type": "incomplete", "reason": "max_output_tokens"}, frame
    )
    equal("item.status", done["output"][-1]["status"], "incomplete", frame)


@flow(
    "cancel",
    sends=("response.create", "response.cancel"),
    shows=("response.created", "response.done"),
    may=(*ITEM, *TEXT_RESPONSE, "error"),
)
async def cancel(client: Client) -> None:
    """`response.cancel` ends the running response: `cancelled`, `client_cancelled` (contract 4.8)."""
    await client.say_text("Tell me a long story.")
    response = await client.respond(output_modalities=["text"])
    await client.expect("response.output_text.delta")
    await client.send("response.cancel", response_id=response["id"])
    done = await client.cancelled(response["id"])
    frame = client.last
    equal("response.status", done["status"], "cancelled", frame)
    details = {"type": "cancelled", "reason": "client_cancelled"}
    equal("response.status_details", done["status_details"], details, frame)
    equal("item.status", done["output"][-1]["status"], "incomplete", frame)
    await client.say_text("Say hello.")
    second = await client.respond(output_modalities=["text"])
    await client.response_done(second["id"])


@flow(
    "cancel at once",
    sends=("response.create", "response.cancel"),
    shows=("response.created", "response.done"),
    may=(*ITEM, *TEXT_RESPONSE),
)
async def cancel_at_once(client: Client) -> None:
    """A cancel right behind `response.create` is for that response, though nobody has seen it yet (contract 8)."""
    await client.say_text("Tell me a long story.")
    await client.send("response.create", response={"output_modalities": ["text"]})
    await client.send("response.cancel")
    done = await client.response_done()
    equal("response.status", done["status"], "cancelled", client.last)
    equal("reason", done["status_details"]["reason"], "client_cancelled", client.last)


@flow("the next one at once", sends=("response.create",))
async def next_at_once(client: Client) -> None:
    """Whoever asks for a response as soon as one is done is never told that one is running (contract 8)."""
    for _ in range(5):
        await client.send("response.create", response={"output_modalities": ["text"], "input": []})
        done = await client.response_done()
        equal("response.status", done["status"], "completed", client.last)
