"""What a client does to the conversation: create, retrieve, delete (contract 3.9, 4.13)."""

import base64
from functools import partial
from typing import Any

from voice.conformance.client import Client
from voice.conformance.contract import ITEM, TEXT_RESPONSE
from voice.conformance.flow import flow as any_flow
from voice.conformance.verdict import NotServed, check, equal

flow = partial(any_flow, family="items", sends=("conversation.item.create",), shows=ITEM)

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def message(role: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a message as a client creates it."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


@flow("roles")
async def roles(client: Client) -> None:
    """A client may write for the user, the system and the assistant; the answer is the item as it stands."""
    for role, kind in (("system", "input_text"), ("user", "input_text"), ("assistant", "output_text")):
        added = await client.create_item(message(role, f"By the {role}."))
        item = added["item"]
        equal("item.role", item["role"], role, added)
        equal("item.status", item["status"], "completed", added)
        equal("item.content", item["content"], [{"type": kind, "text": f"By the {role}."}], added)


@flow("own ids and places")
async def places(client: Client) -> None:
    """The client's id is kept; an item goes to the end, to the root, or behind the one that is named."""
    first = await client.create_item(message("user", "one", id="kit_item_one"))
    equal("item.id", first["item"]["id"], "kit_item_one", first)
    equal("previous_item_id", first["previous_item_id"], None, first)
    third = await client.create_item(message("user", "three", id="kit_item_three"))
    equal("previous_item_id", third["previous_item_id"], "kit_item_one", third)
    second = await client.create_item(message("user", "two", id="kit_item_two"), previous_item_id="kit_item_one")
    equal("previous_item_id", second["previous_item_id"], "kit_item_one", second)
    zero = await client.create_item(message("user", "zero", id="kit_item_zero"), previous_item_id="root")
    # Captures of the real service show "root" as well (contract 4.13).
    check(zero["previous_item_id"] in (None, "root"), f"previous_item_id is {zero['previous_item_id']!r}", zero)


@flow(
    "retrieve a text",
    sends=("conversation.item.create", "conversation.item.retrieve"),
    shows=(*ITEM, "conversation.item.retrieved"),
)
async def retrieve(client: Client) -> None:
    """`conversation.item.retrieve` shows any item that was announced."""
    item = await client.say_text("Remember me.")
    await client.send("conversation.item.retrieve", item_id=item["id"])
    frame = await client.expect("conversation.item.retrieved")
    equal("item.id", frame["item"]["id"], item["id"], frame)
    equal("item.content", frame["item"]["content"], item["content"], frame)


@flow(
    "delete",
    sends=("conversation.item.create", "conversation.item.delete"),
    shows=(*ITEM, "conversation.item.deleted", "error"),
)
async def delete(client: Client) -> None:
    """A deleted item is gone: it cannot be retrieved, and its place closes."""
    await client.create_item(message("user", "one", id="kit_one"))
    await client.create_item(message("user", "two", id="kit_two"))
    await client.send("conversation.item.delete", item_id="kit_two")
    deleted = await client.expect("conversation.item.deleted")
    equal("item_id", deleted["item_id"], "kit_two", deleted)
    await client.send("conversation.item.retrieve", item_id="kit_two")
    error = await client.expect("error")
    equal("error.code", error["error"]["code"], "item_retrieve_invalid_item_id", error)
    added = await client.create_item(message("user", "three", id="kit_three"))
    equal("previous_item_id", added["previous_item_id"], "kit_one", added)


@flow("image", may=("error",))
async def image(client: Client) -> None:
    """An image is an item like any other, where the model sees (contract 4.13)."""
    content = [{"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": _PIXEL}]
    await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    frame = await client.expect("conversation.item.added", "error")
    if frame["type"] == "error":
        raise NotServed(f"images are refused: {frame['error']['message']}")
    equal("part types", [part["type"] for part in frame["item"]["content"]], ["input_text", "input_image"], frame)
    await client.expect("conversation.item.done")


@flow(
    "a conversation restored",
    sends=("conversation.item.create", "response.create"),
    shows=TEXT_RESPONSE,
)
async def restored(client: Client) -> None:
    """A new session is seeded with the items of an old one, tool calls among them (contract 2.5)."""
    await client.create_item(message("user", "What is the temperature in Oslo?"))
    call = {"type": "function_call", "call_id": "call_kit", "name": "get_weather", "arguments": '{"city":"Oslo"}'}
    added = await client.create_item(call)
    equal("item.arguments", added["item"]["arguments"], '{"city":"Oslo"}', added)
    output = {"type": "function_call_output", "call_id": "call_kit", "output": "18 degrees"}
    added = await client.create_item(output)
    equal("item.output", added["item"]["output"], "18 degrees", added)
    await client.create_item(message("assistant", "It is 18 degrees in Oslo."))
    await client.create_item(message("user", "Thank you. Say goodbye."))
    response = await client.respond(output_modalities=["text"])
    done = await client.response_done(response["id"])
    equal("response.status", done["status"], "completed", client.last)


@flow(
    "speech as an item",
    sends=("conversation.item.create", "conversation.item.retrieve"),
    shows=(*ITEM, "conversation.item.retrieved"),
)
async def speech(client: Client) -> None:
    """Speech may come as an item; frames show it without its sound, but for `retrieved` (contract 3.9)."""
    audio = base64.b64encode(bytes(9_600)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}
    added = await client.create_item(item)
    part = added["item"]["content"][0]
    equal("part.type", part["type"], "input_audio", added)
    check("audio" not in part, "the frame that adds an item holds its audio", added)
    await client.send("conversation.item.retrieve", item_id=added["item"]["id"])
    frame = await client.expect("conversation.item.retrieved")
    equal("part.audio", frame["item"]["content"][0].get("audio"), audio, frame)
