"""The grammar of a server's event stream (contract 4.2 to 4.11): what may follow what, and what must add up.

    response     created ─► (item)* ─► done                              exactly one done, nothing of it afterwards
    item         output_item.added ─► (part | arguments) ─► output_item.done
    part         content_part.added ─► delta* ─► text done, or audio and transcript done ─► content_part.done
    conversation conversation.item.added ─► conversation.item.done       once each, `previous_item_id` known
    turn         speech_started ─► speech_stopped ─► committed           one item id all the way
    idle         timeout_triggered ─► committed                          one item id, and nobody speaks

Takes the frames of one connection in order, as JSON objects; keeps what is wrong in `violations`. It needs no SDK:
the types of the fields are another check's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]

_DELTAS = {
    "response.output_text.delta": "text",
    "response.output_audio_transcript.delta": "transcript",
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
}
_WHOLES = {
    "response.output_text.done": "text",
    "response.output_audio_transcript.done": "transcript",
    "response.function_call_arguments.done": "arguments",
    "response.mcp_call_arguments.done": "arguments",
}
_ENDS = {
    "text": {"response.output_text.done"},
    "audio": {"response.output_audio.done", "response.output_audio_transcript.done"},
}
"""What must have come before a part of that type is done."""

_Place = tuple[str, int]
"""Item id and content index."""


@dataclass(slots=True)
class _Response:
    in_conversation: bool
    is_done: bool = False
    open_items: dict[str, int] = field(default_factory=dict)
    done_items: dict[int, str] = field(default_factory=dict)
    open_parts: dict[_Place, str] = field(default_factory=dict)
    """To the type of the part."""
    ended: set[tuple[_Place, str]] = field(default_factory=set)
    """The `….done` of parts that have come."""


class Grammar:
    """Checks one connection. `feed` each frame, then `finish`."""

    def __init__(self, *, joins: bool = False) -> None:
        """`joins`: the connection is to a conversation that has been going on; there are items before its first."""
        self.violations: list[str] = []
        self._joins = joins
        self._count = 0
        self._event_ids: set[str] = set()
        self._responses: dict[str, _Response] = {}
        self._texts: dict[tuple[str, str, str], str] = {}
        self._items: dict[str, bool] = {}
        """Item id → is done."""
        self._deleted: set[str] = set()
        self._calls: set[str] = set()
        """Items of MCP calls, which may wait for an approval that never comes."""
        self._speaking: str | None = None
        self._stopped: str | None = None
        self._checks: dict[str, Callable[[Frame], None]] = {
            "response.created": self._created,
            "response.done": self._done,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.content_part.added": self._part_added,
            "response.content_part.done": self._part_done,
            "conversation.item.added": self._entered,
            "conversation.item.done": self._concluded,
            "conversation.item.deleted": lambda frame: self._deleted.add(frame["item_id"]),
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.timeout_triggered": self._timed_out,
            "input_audio_buffer.committed": self._committed,
            "input_audio_buffer.cleared": lambda _: self._forget_speech(),
            "session.updated": self._updated,
        }

    @property
    def open_responses(self) -> list[str]:
        """Ids of responses that are not done."""
        return [id for id, response in self._responses.items() if not response.is_done]

    def feed(self, frame: Frame) -> None:
        """Check the next frame."""
        self._count += 1
        kind = frame["type"]
        if self._count == 1 and kind != "session.created":
            self._note(f"the first frame is {kind}")
        self._check_event_id(frame)
        if kind.startswith("response.") and kind != "response.created":
            self._check_place(frame)
        self._check_text(frame)
        check = self._checks.get(kind)
        if check is not None:
            check(frame)

    def finish(self) -> list[str]:
        """Return all violations, with what was left open at the end."""
        for id in self.open_responses:
            self._note(f"response {id} was never done")
        for id, is_done in self._items.items():
            if not is_done and id not in self._deleted | self._calls:
                self._note(f"item {id} was never done")
        return self.violations

    # --- Any event ------------------------------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.violations.append(f"#{self._count}: {what}")

    def _check_event_id(self, frame: Frame) -> None:
        event_id = frame.get("event_id")
        if event_id in self._event_ids:
            self._note(f"{frame['type']}: event_id {event_id} came before")
        if event_id is not None:
            self._event_ids.add(event_id)

    def _check_place(self, frame: Frame) -> None:
        """A response's events come between its created and its done. Three MCP events carry no response id."""
        id = frame.get("response_id") or frame.get("response", {}).get("id")
        if id is None:
            return
        response = self._responses.get(id)
        if response is None:
            self._note(f"{frame['type']}: {id} was never created")
        elif response.is_done:
            self._note(f"{frame['type']}: {id} is done already")
        elif frame.get("item_id") and frame["item_id"] not in response.open_items:
            self._note(f"{frame['type']}: item {frame['item_id']} is not open")
        elif "content_index" in frame and frame["type"] != "response.content_part.added":
            self._check_part(frame, response)

    def _check_part(self, frame: Frame, response: _Response) -> None:
        """What belongs to a part comes while it is open, and its end once."""
        kind, place = frame["type"], (frame["item_id"], frame["content_index"])
        if place not in response.open_parts:
            self._note(f"{kind}: part {frame['content_index']} is not open")
        elif (place, kind) in response.ended:
            self._note(f"{kind}: twice")
        elif kind.endswith(".done"):
            response.ended.add((place, kind))

    def _check_text(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind in _DELTAS:
            key = (frame["response_id"], frame["item_id"], _DELTAS[kind])
            self._texts[key] = self._texts.get(key, "") + frame["delta"]
        elif kind in _WHOLES:
            name = _WHOLES[kind]
            key = (frame["response_id"], frame["item_id"], name)
            joined = self._texts.pop(key, "")
            # Arguments may come whole, without deltas (contract 4.10).
            if joined != frame[name] and not (name == "arguments" and not joined):
                self._note(f"{kind}: differs from its deltas")

    # --- Responses ------------------------------------------------------------------------------------------------

    def _created(self, frame: Frame) -> None:
        response = frame["response"]
        in_conversation = response["conversation_id"] is not None
        if response["status"] != "in_progress" or response["output"] or response["usage"] is not None:
            self._note("response.created: not at its beginning")
        if in_conversation and any(self._responses[id].in_conversation for id in self.open_responses):
            self._note("response.created: another default response is open")
        if response["id"] in self._responses:
            self._note(f"response.created: {response['id']} twice")
        self._responses[response["id"]] = _Response(in_conversation)

    def _done(self, frame: Frame) -> None:
        response = self._responses.get(frame["response"]["id"])
        if response is None:
            return
        response.is_done = True
        if response.open_items or response.open_parts:
            self._note(f"response.done: still open: {sorted(response.open_items)} {sorted(response.open_parts)}")
        self._check_items(frame["response"], response)
        output = [item.get("id") for item in frame["response"]["output"]]
        if output != [response.done_items[index] for index in sorted(response.done_items)]:
            self._note("response.done: output differs from the items that were done")
        if frame["response"]["status"] == "in_progress":
            self._note("response.done: still in progress")
        self._check_usage(frame["response"].get("usage"))

    def _check_items(self, wire: Frame, response: _Response) -> None:
        """Items are in the conversation, or with an answer out of band nowhere (contract 4.9); complete if it is."""
        for item in wire["output"]:
            if (item.get("id") in self._items) != response.in_conversation:
                where = "did not enter the conversation" if response.in_conversation else "entered the conversation"
                self._note(f"response.done: item {item.get('id')} {where}")
            if wire["status"] == "completed" and item.get("status", "completed") != "completed":
                self._note(f"response.done: item {item.get('id')} is {item['status']}, the response completed")

    def _check_usage(self, usage: dict[str, Any] | None) -> None:
        if usage is None:
            return
        entered, left = usage["input_token_details"], usage["output_token_details"]
        cached = entered["cached_tokens_details"]
        sums = {
            "total": (usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"]),
            "input": (usage["input_tokens"], sum(entered[f"{kind}_tokens"] for kind in ("text", "audio", "image"))),
            "output": (usage["output_tokens"], left["text_tokens"] + left["audio_tokens"]),
            "cached": (entered["cached_tokens"], sum(cached.values())),
        }
        for name, (whole, parts) in sums.items():
            if whole != parts:
                self._note(f"response.done: usage: {name} is {whole}, its parts are {parts}")

    def _item_added(self, frame: Frame) -> None:
        response = self._responses.get(frame["response_id"])
        if response is not None:
            if frame["output_index"] != len(response.open_items) + len(response.done_items):
                self._note("response.output_item.added: output_index is not the next one")
            response.open_items[frame["item"]["id"]] = frame["output_index"]

    def _item_done(self, frame: Frame) -> None:
        response = self._responses.get(frame["response_id"])
        if response is not None:
            id = frame["item"]["id"]
            if response.open_items.pop(id, None) != frame["output_index"]:
                self._note(f"response.output_item.done: {id} was not open at {frame['output_index']}")
            response.done_items[frame["output_index"]] = id
            if any(item_id == id for item_id, _ in response.open_parts):
                self._note("response.output_item.done: a part of it is open")

    def _part_added(self, frame: Frame) -> None:
        response = self._responses.get(frame["response_id"])
        if response is not None:
            response.open_parts[frame["item_id"], frame["content_index"]] = frame["part"]["type"]

    def _part_done(self, frame: Frame) -> None:
        response = self._responses.get(frame["response_id"])
        if response is None:
            return
        place = (frame["item_id"], frame["content_index"])
        kind = response.open_parts.pop(place, None)
        for missing in sorted(_ENDS.get(kind or "", set()) - {name for at, name in response.ended if at == place}):
            self._note(f"response.content_part.done: {missing} had not come")

    # --- The conversation and its turns ------------------------------------------------------------------------------

    def _entered(self, frame: Frame) -> None:
        id, previous_id = frame["item"]["id"], frame["previous_item_id"]
        if id in self._items and id not in self._deleted:
            self._note(f"conversation.item.added: {id} twice")
        if previous_id is not None and previous_id not in self._items and not self._joins:
            self._note(f"conversation.item.added: previous_item_id {previous_id} is unknown")
        self._items[id] = False
        if frame["item"]["type"] == "mcp_call":
            self._calls.add(id)
        self._deleted.discard(id)

    def _concluded(self, frame: Frame) -> None:
        id = frame["item"]["id"]
        if id not in self._items:
            self._note(f"conversation.item.done: {id} was not added")
        elif self._items[id]:
            self._note(f"conversation.item.done: {id} twice")
        self._items[id] = True

    def _speech_started(self, frame: Frame) -> None:
        if self._speaking is not None:
            self._note("speech_started: speech had not stopped")
        self._speaking = frame["item_id"]

    def _speech_stopped(self, frame: Frame) -> None:
        if self._speaking != frame["item_id"]:
            self._note("speech_stopped: not the item that had started")
        self._speaking, self._stopped = None, frame["item_id"]

    def _timed_out(self, frame: Frame) -> None:
        if self._speaking is not None:
            self._note("timeout_triggered: someone speaks")
        if any(self._responses[id].in_conversation for id in self.open_responses):
            self._note("timeout_triggered: a response is open")
        if not 0 <= frame["audio_start_ms"] <= frame["audio_end_ms"]:
            self._note(f"timeout_triggered: from {frame['audio_start_ms']} to {frame['audio_end_ms']} ms")
        self._stopped = frame["item_id"]

    def _committed(self, frame: Frame) -> None:
        expected = self._stopped or self._speaking
        if expected is not None and frame["item_id"] != expected:
            self._note("committed: not the item of the speech")
        self._forget_speech()

    def _forget_speech(self) -> None:
        self._speaking = self._stopped = None

    def _updated(self, frame: Frame) -> None:
        if frame["session"]["audio"]["input"]["turn_detection"] is None:
            self._forget_speech()
