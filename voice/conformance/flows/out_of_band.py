"""Responses beside the conversation (contract 4.1, 4.9)."""

from functools import partial

from voice.conformance.client import Client
from voice.conformance.contract import ITEM, TEXT_PART, TEXT_RESPONSE
from voice.conformance.flow import flow as any_flow
from voice.conformance.flows.items import message
from voice.conformance.verdict import check, equal

_OUT_OF_BAND = (
    "response.created",
    "response.output_item.added",
    *TEXT_PART,
    "response.output_item.done",
    "response.done",
)

flow = partial(any_flow, family="out_of_band", sends=("response.create",), shows=_OUT_OF_BAND)


@flow("out of band", may=(*ITEM, "error"))
async def out_of_band(client: Client) -> None:
    """With `conversation: none` nothing enters the conversation, and the metadata tells whose answer it is."""
    await client.say_text("Good morning.")
    entered = len(client.of(*ITEM))
    response = await client.respond(
        conversation="none", output_modalities=["text"], metadata={"topic": "summary"}, instructions="Summarise."
    )
    created = client.last
    equal("response.conversation_id", response["conversation_id"], None, created)
    equal("response.metadata", response["metadata"], {"topic": "summary"}, created)
    done = await client.response_done(response["id"])
    equal("response.metadata", done["metadata"], {"topic": "summary"}, client.last)
    equal("conversation items", len(client.of(*ITEM)), entered, client.last)
    await client.send("conversation.item.retrieve", item_id=done["output"][-1]["id"])
    error = await client.expect("error", "conversation.item.retrieved")
    check(error["type"] == "error", "an item out of band can be retrieved", error)


@flow("own input", may=ITEM)
async def own_input(client: Client) -> None:
    """`input` is the whole context: items, references to items, or nothing at all."""
    kept = await client.say_text("My favourite colour is green.")
    for items in (
        [message("user", "Say hello.")],
        [{"type": "item_reference", "id": kept["id"]}, message("user", "Which colour?")],
        [],
    ):
        response = await client.respond(conversation="none", output_modalities=["text"], input=items)
        done = await client.response_done(response["id"])
        equal("response.status", done["status"], "completed", client.last)


@flow("own input in the conversation", sends=("response.create",), shows=TEXT_RESPONSE)
async def own_input_in_conversation(client: Client) -> None:
    """A response with its own `input` still answers into the conversation, unless it is out of band."""
    response = await client.respond(output_modalities=["text"], input=[message("user", "Say hello.")])
    check(response["conversation_id"], "response.conversation_id is missing", client.last)
    done = await client.response_done(response["id"])
    item_id = done["output"][-1]["id"]
    check(any(frame["item"]["id"] == item_id for frame in client.of("conversation.item.done")), "the item is missing")


@flow("at the same time", shows=(*_OUT_OF_BAND, *ITEM))
async def parallel(client: Client) -> None:
    """Out-of-band responses run beside the default one and beside each other, told apart by their ids."""
    await client.say_text("Say hello.")
    await client.send("response.create", response={"output_modalities": ["text"]})
    for number in range(2):
        metadata = {"number": str(number)}
        response = {"conversation": "none", "output_modalities": ["text"], "metadata": metadata}
        await client.send("response.create", response={**response, "input": [message("user", "Say hello.")]})
    done = [await client.response_done() for _ in range(3)]
    equal("responses", len({response["id"] for response in done}), 3, client.last)
    equal("statuses", {response["status"] for response in done}, {"completed"}, client.last)
    numbers = sorted((response["metadata"] or {}).get("number", "-") for response in done)
    equal("metadata", numbers, ["-", "0", "1"], client.last)


@flow(
    "cancel out of band",
    sends=("response.create", "response.cancel"),
    shows=("response.created", "response.done"),
    may=(*_OUT_OF_BAND, *ITEM, "error"),
)
async def cancel(client: Client) -> None:
    """`response.cancel` with an id ends that response."""
    response = await client.respond(
        conversation="none", output_modalities=["text"], input=[message("user", "Tell me a long story.")]
    )
    await client.expect("response.output_text.delta")
    await client.send("response.cancel", response_id=response["id"])
    done = await client.cancelled(response["id"])
    equal("response.status", done["status"], "cancelled", client.last)
