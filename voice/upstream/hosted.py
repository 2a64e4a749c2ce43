"""Calls of hosted tools, which the upstream runs itself (contract 4.11): shown as they go on, whoever still waits.

    item added ─► arguments ─┬─► running ─► over
                             └─► asks ─► approval ─► running ─► over

What goes on while the answer is read is part of it; what goes on after it is told by notices.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog

from voice.engines.port import (
    EngineNotice,
    HostedCall,
    ToolCallDelta,
    ToolCallDone,
    ToolCallStarted,
)
from voice.tooling import ToolResult
from voice.upstream.answer import is_safe_name
from voice.upstream.answering import Answering
from voice.upstream.words import Event

_log = structlog.get_logger(__name__)

_ITEM_EVENTS: Final = frozenset(
    {
        *("response.output_item.added", "response.output_item.done"),
        *("conversation.item.added", "conversation.item.done"),
    }
)
_LOST: Final = ToolResult("the connection was lost before the tool had ended; whether it has run is not known", True)
FORGOTTEN: Final = ToolResult("the connection that asked for the approval is gone, so the call was not made", True)


@dataclass(slots=True)
class _Call:
    answering: Answering
    label: str
    name: str
    arguments: str | None = None
    """None until they are complete."""
    request_id: str | None = None
    """Of the approval that the upstream has asked for."""
    is_running: bool = False
    is_over: bool = False


class HostedCalls:
    """Of one line."""

    def __init__(self, tell: Callable[[EngineNotice], None]) -> None:
        """`tell` is given what nobody's answer has room for."""
        self._tell = tell
        self._calls: dict[str, _Call] = {}

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def __bool__(self) -> bool:
        """Tell whether there were any: then the upstream may go on by itself."""
        return bool(self._calls)

    @property
    def is_waiting(self) -> bool:
        """True while one of them is not over."""
        return not all(call.is_over for call in self._calls.values())

    def receive(self, kind: str, event: Event, answering: Answering | None) -> bool:
        """Take an event; False when it is about no hosted tool. `answering` is the answer that it names."""
        if kind in _ITEM_EVENTS:
            item = event.get("item")
            return isinstance(item, dict) and self._receive_item(kind, item, answering)
        if kind.startswith("response.mcp_call"):
            self._receive_progress(kind, event)
            return True
        if kind == "mcp_list_tools.failed":
            _log.warning("the upstream cannot list the tools of an MCP server", item_id=event.get("item_id"))
        return kind.startswith("mcp_list_tools.")

    def approve(self, call_id: str, *, approve: bool, reason: str | None) -> Event | None:
        """Return the item that answers for the client; None when nobody asked on this line."""
        call = self._calls.get(call_id)
        if call is None or call.request_id is None or call.is_over:
            return None
        call.is_over = not approve
        answer: Event = {"type": "mcp_approval_response", "id": f"{call.request_id[:60]}_ok"}
        answer |= {"approval_request_id": call.request_id, "approve": approve}
        return answer | ({"reason": reason} if reason else {})

    def finish(self, answering: Answering) -> None:
        """That answer is over: of its calls, those that were cut short are never run."""
        for call in self._calls.values():
            call.is_over |= call.answering is answering and call.arguments is None

    def lose(self) -> None:
        """The line is lost: what has not ended never will."""
        for call_id, call in self._calls.items():
            if not call.is_over:
                call.is_over = True
                self._tell(HostedCall(call_id, "over", _LOST))

    def _receive_item(self, kind: str, item: dict[str, Any], answering: Answering | None) -> bool:
        match item.get("type"):
            case "mcp_call":
                call_id = item.get("id")
                if not isinstance(call_id, str) or not is_safe_name(call_id):
                    return True
                if answering is not None:
                    self._begin(call_id, item, answering)
                if kind.endswith(".done"):
                    self._end(call_id, item)
            case "mcp_approval_request":
                self._ask(item)
            case "mcp_list_tools":
                return True
            case _:
                return False
        return True

    def _begin(self, call_id: str, item: dict[str, Any], answering: Answering) -> None:
        if call_id not in self._calls:
            call = self._calls[call_id] = _Call(answering, str(item.get("server_label")), str(item.get("name")))
            answering.put(ToolCallStarted(call_id, call.name, call.label))

    def _receive_progress(self, kind: str, event: Event) -> None:
        call_id = str(event.get("item_id"))
        call = self._calls.get(call_id)
        if call is None:
            return
        if kind.endswith("arguments.delta") and isinstance(event.get("delta"), str):
            call.answering.put(ToolCallDelta(call_id, event["delta"]))
        elif kind.endswith("arguments.done"):
            self._complete(call_id, call, event.get("arguments"))
        elif kind.endswith((".in_progress", ".completed", ".failed")):
            self._run(call_id, call)  # what came of it stands in the item

    def _complete(self, call_id: str, call: _Call, arguments: Any) -> None:
        if call.arguments is None:
            call.arguments = arguments if isinstance(arguments, str) else "{}"
            call.answering.put(ToolCallDone(call_id, call.name, call.arguments))

    def _run(self, call_id: str, call: _Call) -> None:
        if not call.is_running:
            self._complete(call_id, call, None)
            call.is_running = True
            self._show(call, HostedCall(call_id, "running"))

    def _ask(self, item: dict[str, Any]) -> None:
        asked = (item.get("server_label"), item.get("name"), item.get("arguments"))
        for call_id, call in self._calls.items():
            is_it = (call.label, call.name, call.arguments) == asked
            if is_it and call.request_id is None and not call.is_running and isinstance(item.get("id"), str):
                call.request_id = item["id"]
                self._show(call, HostedCall(call_id, "asks"))
                return

    def _end(self, call_id: str, item: dict[str, Any]) -> None:
        call, result = self._calls.get(call_id), _result(item)
        if call is None or call.is_over or result is None:
            return
        self._complete(call_id, call, item.get("arguments"))
        self._run(call_id, call)
        call.is_over = True
        self._show(call, HostedCall(call_id, "over", result))

    def _show(self, call: _Call, event: HostedCall) -> None:
        if not call.answering.put_late(event):
            self._tell(event)


def _result(item: dict[str, Any]) -> ToolResult | None:
    """Return what came of a call; None while it is under way."""
    error = item.get("error")
    if isinstance(error, dict):
        kind, code = error.get("type"), error.get("code")
        words = str(error.get("message"))
        if kind == "protocol_error" and isinstance(code, int):
            return ToolResult(words, True, "protocol_error", code)
        if kind == "http_error" and isinstance(code, int):
            return ToolResult(words, True, "http_error", code)
        return ToolResult(words, True)
    return ToolResult(item["output"]) if isinstance(item.get("output"), str) else None
