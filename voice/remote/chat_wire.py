"""Chat Completions, from a server's client: the body of a request, and the events in the chunks of its answer. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voice.engines.port import (
    EngineDone,
    ResponseEvent,
    ResponseRequest,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineProtocolError
from voice.remote.messages import chat_messages, chat_tool_choice, chat_tools, kept
from voice.remote.options import LanguageOptions

Json = dict[str, Any]

PATH = "/chat/completions"


def body(options: LanguageOptions, request: ResponseRequest, transcripts: Mapping[str, str]) -> Json:
    """Return what to POST. What differs from turn to turn stands behind what does not."""
    settings = request.settings
    items = kept(request.items, transcripts, options.history_chars)
    fields: Json = {
        "model": options.model,
        "messages": chat_messages(settings, items, transcripts, with_images=options.sees_images),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": options.temperature,
        "max_completion_tokens": settings.max_output_tokens or options.max_output_tokens,
        "reasoning_effort": options.reasoning_effort,
        "verbosity": options.verbosity,
    }
    if settings.tools:
        fields["tools"] = chat_tools(settings.tools, strict=options.strict_tools)
        fields["tool_choice"] = chat_tool_choice(settings.tool_choice)
        fields["parallel_tool_calls"] = settings.passed_on.get("parallel_tool_calls", options.parallel_tool_calls)
    return {name: value for name, value in fields.items() if value is not None} | options.extra


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class ChatReader:
    """Turns chunks into events. Calls may come interleaved; ours come one after the other, as the port has it."""

    _calls: dict[int, _Call] = field(default_factory=dict)
    _reason: str | None = None
    _is_refused: bool = False

    def feed(self, chunk: Json) -> list[ResponseEvent]:
        """Take a chunk. Raises: EngineProtocolError for what is none."""
        try:
            return self._feed(chunk)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise EngineProtocolError("The model's server sent a chunk that is none.") from error

    def finish(self) -> list[ResponseEvent]:
        """Return the calls and the end. Raises: EngineProtocolError where the stream ended before the answer did."""
        if self._reason is None:
            raise EngineProtocolError("The model's server ended its stream in the middle of the answer.")
        events: list[ResponseEvent] = []
        if self._reason != "length":  # a call that was cut is no call
            for index in sorted(self._calls):
                call = self._calls[index]
                arguments = call.arguments or "{}"
                events += [
                    ToolCallStarted(call.id, call.name),
                    ToolCallDelta(call.id, arguments),
                    ToolCallDone(call.id, call.name, arguments),
                ]
        ends = {"length": "max_output_tokens", "content_filter": "content_filter"}
        return [*events, EngineDone(ends.get(self._reason, "completed"))]  # type: ignore[arg-type]  # the two above

    def _feed(self, chunk: Json) -> list[ResponseEvent]:
        events: list[ResponseEvent] = []
        for choice in (chunk.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            for text in (delta.get("content"), delta.get("refusal")):
                if text:
                    events.append(TextDelta(str(text)))
            for call in delta.get("tool_calls") or []:
                self._grow(call)
            self._reason = choice.get("finish_reason") or self._reason
        if chunk.get("usage"):
            events.append(usage_of(chunk["usage"]))
        return events

    def _grow(self, delta: Json) -> None:
        index, function = int(delta.get("index") or 0), delta.get("function") or {}
        known = self._calls.get(index)
        if known is None:
            known = self._calls[index] = _Call(str(delta["id"]), str(function["name"]))
        known.arguments += function.get("arguments") or ""


def usage_of(usage: Json) -> TokenUsage:
    """Return the tokens that a server counted, under the names of either API."""
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    entire = int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0)
    audio = int(details.get("audio_tokens") or 0)
    return TokenUsage(
        input_text=entire - audio,
        input_audio=audio,
        cached_text=int(details.get("cached_tokens") or 0),
        output_text=int(usage.get("completion_tokens") or usage.get("output_tokens") or 0),
    )
