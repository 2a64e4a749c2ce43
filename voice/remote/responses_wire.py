"""Responses, from a server's client: the body of a request, and our events in the typed events of its answer. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice.engines.port import (
    EngineDone,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineError, EngineProtocolError
from voice.remote.chat_wire import usage_of
from voice.remote.messages import (
    fingerprint,
    instructions_of,
    kept,
    response_items,
    response_tool_choice,
    response_tools,
    said_message,
)
from voice.remote.options import LanguageOptions

Json = dict[str, Any]

PATH = "/responses"


def body(options: LanguageOptions, request: ResponseRequest, transcripts: Mapping[str, str]) -> Json:
    """Return what to POST, the whole conversation in it."""
    settings = request.settings
    items = kept(request.items, transcripts, options.history_chars)
    fields: Json = {
        "model": options.model,
        "instructions": instructions_of(settings) or None,
        "input": response_items(items, transcripts, with_images=options.sees_images),
        "stream": True,
        "store": options.refers_to_previous,
        "temperature": options.temperature,
        "max_output_tokens": settings.max_output_tokens or options.max_output_tokens,
        "reasoning": {"effort": options.reasoning_effort} if options.reasoning_effort else None,
        "text": {"verbosity": options.verbosity} if options.verbosity else None,
    }
    if settings.tools:
        fields["tools"] = response_tools(settings.tools, strict=options.strict_tools)
        fields["tool_choice"] = response_tool_choice(settings.tool_choice)
        fields["parallel_tool_calls"] = settings.passed_on.get("parallel_tool_calls", options.parallel_tool_calls)
    return {name: value for name, value in fields.items() if value is not None} | options.extra


@dataclass(slots=True)
class PreviousResponse:
    """Knows what the server has stored, so that only what is new is sent.

    It holds as long as the conversation only grew: a truncated, deleted or edited item changes what was sent, and then
    everything is sent again. What the agent said is in the server's own record, if that is all that was added.
    """

    _id: str | None = None
    _sent: tuple[str, ...] = ()

    def shorten(self, whole: Json) -> Json:
        """Return the body with what is new only, or the whole of it."""
        keys = tuple(fingerprint(item) for item in whole["input"])
        if self._id is None or keys[: len(self._sent)] != self._sent or len(keys) == len(self._sent):
            return whole
        return {**whole, "previous_response_id": self._id, "input": whole["input"][len(self._sent) :]}

    def note(self, response_id: str, whole: Json, answered: Sequence[Json]) -> None:
        """Remember what the server knows now: what was sent, and its own answer as we will tell it next time."""
        self._id = response_id
        self._sent = tuple(fingerprint(item) for item in (*whole["input"], *answered))

    def forget(self) -> None:
        """The server knows nothing of it any more."""
        self._id, self._sent = None, ()


@dataclass(slots=True)
class ResponsesReader:
    """Turns a stream's events into ours."""

    id: str | None = None
    """The server's, once it has said it."""
    text: str = ""
    calls: list[Json] = field(default_factory=list)
    """The finished ones, as items."""
    _items: dict[str, Json] = field(default_factory=dict)
    _is_over: bool = False

    def feed(self, event: Json) -> list[ResponseEvent]:
        """Take an event; those that say nothing new give nothing. Raises: EngineError, EngineProtocolError."""
        try:
            return self._feed(event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EngineProtocolError("The model's server sent an event that is none.") from error

    def finish(self) -> list[ResponseEvent]:
        """Raise EngineProtocolError where the stream ended before the answer did."""
        if not self._is_over:
            raise EngineProtocolError("The model's server ended its stream in the middle of the answer.")
        return []

    def answer_items(self) -> list[Json]:
        """Return the answer as the next request would tell of it."""
        words = " ".join(self.text.split())
        return [*([said_message("assistant", words)] if words else []), *self.calls]

    def _feed(self, event: Json) -> list[ResponseEvent]:
        match event.get("type"):
            case "response.created":
                self.id = event["response"]["id"]
            case "response.output_text.delta" | "response.refusal.delta":
                self.text += event["delta"]
                return [TextDelta(event["delta"])]
            case "response.output_item.added" if event["item"]["type"] == "function_call":
                self._items[event["item"]["id"]] = event["item"]
                return [ToolCallStarted(event["item"]["call_id"], event["item"]["name"])]
            case "response.function_call_arguments.delta":
                return [ToolCallDelta(self._items[event["item_id"]]["call_id"], event["delta"])]
            case "response.function_call_arguments.done":
                item = self._items[event["item_id"]]
                named = {"call_id": item["call_id"], "name": item["name"], "arguments": event["arguments"]}
                self.calls.append({"type": "function_call", **named})
                return [ToolCallDone(item["call_id"], item["name"], event["arguments"])]
            case "response.completed" | "response.incomplete":
                return self._end(event["response"])
            case "response.failed" | "error":
                raise EngineError("The model's server failed in the middle of its answer.")
        return []

    def _end(self, response: Json) -> list[ResponseEvent]:
        self._is_over = True
        usage: list[ResponseEvent] = [usage_of(response["usage"])] if response.get("usage") else []
        reason = (response.get("incomplete_details") or {}).get("reason")
        if reason in ("max_output_tokens", "content_filter"):
            return [*usage, EngineDone(reason)]
        return [*usage, EngineDone()]
