"""One answer of an upstream: its server events become the port's, whatever order they come in.

Pure. Words and sound are passed on as they come; a run of audio keeps its length (contract 4.5).
"""

import re
from typing import Any, Final

import pybase64

from voice.audio.frames import CORE_RATE_HZ, SAMPLE_BYTES, AudioFrame
from voice.engines.port import (
    AudioDelta,
    EngineDone,
    MessageStarted,
    ResponseEvent,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.errors import EngineError, EngineOverloaded, EngineProtocolError, EngineRefused, EngineUnavailable

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_FOR_GOOD: Final = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "account_deactivated", "invalid_api_key"),
        *("invalid_model", "model_not_found", "beta_api_shape_disabled"),
    }
)
_OVERLOADED: Final = frozenset({"rate_limit_exceeded", "inference_rate_limit_exceeded"})


def is_safe_name(name: Any) -> bool:
    """Tell whether an id of the upstream's may be used as our own."""
    return isinstance(name, str) and _NAME.match(name) is not None


def failure(code: str | None, message: str | None) -> EngineError:
    """Turn what an upstream complains of into an error of ours; whether to try again is in its type."""
    words = f"The upstream failed: {(message or code or 'it did not say why')[:200]}"
    if code in _FOR_GOOD:
        return EngineRefused(words)
    if code in _OVERLOADED:
        return EngineOverloaded(words)
    return EngineUnavailable(words)


class Answer:
    """Translates the events of one response. After `EngineDone`, or a raise, nothing more is expected."""

    def __init__(self) -> None:
        self._message_id: str | None = None
        self._begun: set[str] = set()
        self._calls: dict[str, tuple[str, str]] = {}
        """By item: call id and name."""
        self._early: dict[str, list[str]] = {}
        """Arguments that came before their call."""
        self.is_out_of_order = False
        """Something came before what it belongs to."""
        self._heard_id: str | None = None
        """The item of the last words or sound."""
        self._rest = b""
        self._samples = 0

    def receive(self, event: dict[str, Any]) -> list[ResponseEvent]:
        """Take the next event. Raises: EngineError as the upstream's failure, EngineProtocolError for what is none."""
        try:
            return self._receive(event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            kind = str(event.get("type"))[:64]
            raise EngineProtocolError(f"The upstream sent an event that cannot be read: {kind}") from error

    def _receive(self, event: dict[str, Any]) -> list[ResponseEvent]:
        match event["type"]:
            case "response.output_audio.delta":
                return self._in_message(event["item_id"], self._audio(event["delta"]))
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                return self._in_message(event["item_id"], TextDelta(event["delta"]))
            case "response.output_item.added":
                return self._begin(event["item"])
            case "response.content_part.added":
                self.is_out_of_order |= event["item_id"] == self._heard_id
            case "response.function_call_arguments.delta":
                return self._arguments(event["item_id"], event["delta"])
            case "response.function_call_arguments.done":
                return self._finish_call(event)
            case "response.done":
                return _end(event["response"])
        return []

    def _begin(self, item: dict[str, Any]) -> list[ResponseEvent]:
        if item["type"] == "message":
            return self._in_message(item["id"], None)
        if item["type"] != "function_call":
            return []  # a hosted tool: the upstream runs it
        return self._begin_call(item["id"], item["call_id"], item["name"])

    def _begin_call(self, item_id: str, call_id: str, name: str) -> list[ResponseEvent]:
        if item_id in self._calls:
            return []
        if not is_safe_name(call_id):
            raise ValueError("call_id")
        self._calls[item_id] = (call_id, name)
        early = self._early.pop(item_id, [])
        return [ToolCallStarted(call_id, name), *(ToolCallDelta(call_id, delta) for delta in early)]

    def _arguments(self, item_id: str, delta: str) -> list[ResponseEvent]:
        if item_id in self._calls:
            return [ToolCallDelta(self._calls[item_id][0], delta)]
        self.is_out_of_order = True
        self._early.setdefault(item_id, []).append(delta)
        return []

    def _finish_call(self, event: dict[str, Any]) -> list[ResponseEvent]:
        item_id = event["item_id"]
        begun = self._begin_call(item_id, event["call_id"], event["name"]) if item_id not in self._calls else []
        call_id, name = self._calls[item_id]
        return [*begun, ToolCallDone(call_id, name, event["arguments"])]

    def _in_message(self, item_id: str, event: ResponseEvent | None) -> list[ResponseEvent]:
        found = [] if event is None else [event]
        if event is not None:
            self._heard_id = item_id
        if item_id == self._message_id or item_id in self._begun:
            return found  # late words of an earlier message are said now rather than never
        self._message_id = item_id
        self._begun.add(item_id)
        return [MessageStarted(item_id if is_safe_name(item_id) else None), *found]

    def _audio(self, encoded: str) -> AudioDelta:
        pcm = self._rest + pybase64.b64decode(encoded, validate=True)
        self._rest = pcm[len(pcm) - len(pcm) % SAMPLE_BYTES :]
        frame = AudioFrame(pcm[: len(pcm) - len(self._rest)] if self._rest else pcm, CORE_RATE_HZ, self._samples)
        self._samples += frame.samples
        return AudioDelta(frame)


def _end(response: dict[str, Any]) -> list[ResponseEvent]:
    details = response.get("status_details") or {}
    usage = usage_of(response)
    counted: list[ResponseEvent] = [] if usage is None else [usage]
    match response.get("status"):
        case "completed":
            return [*counted, EngineDone()]
        case "incomplete":
            is_filtered = details.get("reason") == "content_filter"
            return [*counted, EngineDone("content_filter" if is_filtered else "max_output_tokens")]
        case "failed":
            error = details.get("error") or {}
            raise failure(error.get("code"), error.get("message"))
    raise EngineUnavailable("The upstream cancelled its answer.")


def usage_of(response: dict[str, Any]) -> TokenUsage | None:
    """Return what a response has cost; None when the upstream does not say."""
    usage = response.get("usage")
    if not usage:
        return None
    heard, said = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    cached = heard.get("cached_tokens_details") or {"text_tokens": heard.get("cached_tokens", 0)}
    return TokenUsage(
        input_text=heard.get("text_tokens") or 0,
        input_audio=heard.get("audio_tokens") or 0,
        input_image=heard.get("image_tokens") or 0,
        cached_text=cached.get("text_tokens") or 0,
        cached_audio=cached.get("audio_tokens") or 0,
        cached_image=cached.get("image_tokens") or 0,
        output_text=said.get("text_tokens") or 0,
        output_audio=said.get("audio_tokens") or 0,
    )
