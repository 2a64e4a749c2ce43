"""The MCP servers that a client names: their import, and the client's word on each call (contract 3.4, 4.11).

    import    begin ─► mcp_list_tools.in_progress, item added ─► item done, completed | failed
    approval  ask ─► mcp_approval_request ─► mcp_approval_response ─► the call runs, or ends without having run

Where the contract is silent: a tool that `require_approval` names nowhere wants an approval, and so does one that it
names under both words. An import that failed is tried again by the next `session.update` that names its server.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from voice.errors import ContractError
from voice.protocol import server_events as wire_events
from voice.protocol.session_fields import ApprovalFilter, FunctionTool, McpTool, Tool, ToolFilter
from voice.session.conversation import Conversation
from voice.session.effects import ConfigureEngine, ListMcpTools
from voice.session.items import AnyItem, ApprovalRequest, ApprovalResponse, ToolList
from voice.session.outbox import Outbox
from voice.session.output import CallOutput
from voice.session.wire import item_to_wire
from voice.tooling import RemoteListing, RemoteOrigin, RemoteServer, RemoteTool, ToolSpec

MAX_SERVERS = 16
"""MCP servers that a `tools` list may name."""

_ENGINE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_NOT_OF_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def check_servers(tools: Sequence[Tool], path: str, *, served: bool = True) -> None:
    """Refuse what cannot even be tried. Raises: ContractError, with `param` below `path`.

    A label that comes twice, or a server with more than one address, is not refused here: its import fails
    (contract 4.11).
    """
    count = 0
    for index, tool in enumerate(tools):
        if not isinstance(tool, McpTool):
            continue
        param = f"{path}[{index}]"
        count += 1
        if count > MAX_SERVERS:
            raise ContractError(f"At most {MAX_SERVERS} MCP servers may be named.", param=param)
        if not served:
            raise ContractError(
                "MCP servers are switched off in this service; only tools of type 'function' are served.",
                param=f"{param}.type",
            )
        if tool.server_url is None:
            _refuse_connector(tool, param)
        else:
            _check_url(tool.server_url, f"{param}.server_url")


def _refuse_connector(tool: McpTool, param: str) -> None:
    for name in ("connector_id", "tunnel_id"):
        if getattr(tool, name) is not None:
            message = f"'{name}' is not supported by this service: name the MCP server by its 'server_url'."
            raise ContractError(message, param=f"{param}.{name}")
    param = f"{param}.server_url"
    raise ContractError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def _check_url(url: str, param: str) -> None:
    try:
        parts = urlsplit(url)
        has_credentials = parts.username is not None or parts.password is not None
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole, has_credentials = False, False
    if not is_whole:
        raise ContractError(f"Invalid '{param}': expected an http or https URL.", param=param)
    if has_credentials:
        message = f"Invalid '{param}': put credentials into 'authorization' or 'headers', where they are kept secret."
        raise ContractError(message, param=param)


@dataclass(slots=True)
class _Import:
    tool: McpTool
    list_id: str
    tools: tuple[RemoteTool, ...] | None = None
    """None while they are being asked for."""


class McpImports:
    """What is known of the servers' tools. A failed import is forgotten, so that it may be tried again."""

    def __init__(self, out: Outbox, conversation: Conversation) -> None:
        self._out = out
        self._conversation = conversation
        self._imports: dict[str, _Import] = {}

    def begin(self, tools: Sequence[Tool], keep: Sequence[Tool] = ()) -> None:
        """Import what is not imported yet, and forget other servers, but those of `keep`."""
        servers = [tool for tool in tools if isinstance(tool, McpTool)]
        self._imports = {id: known for id, known in self._imports.items() if self._is_named(known, (*servers, *keep))}
        labels: set[str] = set()
        for server in servers:
            is_sound = server.server_label not in labels and _has_one_address(server)
            labels.add(server.server_label)
            if not is_sound or self._find(server) is None:
                self._begin(server, fails_at_once=not is_sound)

    def receive(self, list_id: str, listing: RemoteListing) -> None:
        """A server has answered, or could not."""
        known = self._imports.get(list_id)
        # The item shows what the client may use. Of a server that is named no more, nobody may use anything.
        usable = tuple(tool for tool in listing.tools if known is not None and _is_allowed(known.tool, tool))
        item = self._conversation.get(list_id)
        if isinstance(item, ToolList):
            _conclude(self._out, self._conversation, ToolList(list_id, item.server_label, usable))
        if listing.problem is not None:
            self._imports.pop(list_id, None)
            self._out.send(wire_events.McpListToolsFailed(event_id=self._out.event_id(), item_id=list_id))
            return
        self._out.send(wire_events.McpListToolsCompleted(event_id=self._out.event_id(), item_id=list_id))
        if known is not None:
            known.tools = listing.tools
            self._out.add(ConfigureEngine())

    def specs(self, tools: Sequence[Tool]) -> tuple[ToolSpec, ...]:
        """Return the loaded tools of these servers as an engine sees them, under names that nobody else has."""
        taken = {tool.name for tool in tools if isinstance(tool, FunctionTool)}
        specs: dict[str, ToolSpec] = {}
        for server, known in self._loaded(tools):
            for tool in known.tools or ():
                if _is_allowed(server, tool):
                    origin = RemoteOrigin(known.list_id, tool.name, _needs_approval(server, tool))
                    name = _engine_name(server.server_label, tool.name, taken)
                    taken.add(name)
                    specs[name] = ToolSpec(
                        name, tool.description, tool.input_schema, server.server_label, remote=origin
                    )
        return tuple(specs.values())

    def _loaded(self, tools: Sequence[Tool]) -> Iterator[tuple[McpTool, _Import]]:
        labels: set[str] = set()
        for tool in tools:
            if isinstance(tool, McpTool) and tool.server_label not in labels:
                labels.add(tool.server_label)
                known = self._find(tool)
                if known is not None and known.tools is not None:
                    yield tool, known

    def _begin(self, server: McpTool, *, fails_at_once: bool) -> None:
        out, item = self._out, ToolList(self._out.ids.mint("mcpl"), server.server_label)
        # In the conversation from here on: agents-js retrieves it as soon as it hears of it (contract 4.11).
        previous_id = self._conversation.add(item)
        out.send(wire_events.McpListToolsInProgress(event_id=out.event_id(), item_id=item.id))
        out.send(
            wire_events.ConversationItemAdded(
                event_id=out.event_id(), previous_item_id=previous_id, item=item_to_wire(item)
            )
        )
        if fails_at_once or server.server_url is None:
            self.receive(item.id, RemoteListing(problem="the label came before, or there is more than one address"))
            return
        self._imports[item.id] = _Import(server, item.id)
        remote = RemoteServer(server.server_label, server.server_url, server.authorization, server.headers or {})
        out.add(ListMcpTools(item.id, remote))

    def _find(self, server: McpTool) -> _Import | None:
        return next((known for known in self._imports.values() if _is_same(known.tool, server)), None)

    def _is_named(self, known: _Import, tools: Sequence[Tool]) -> bool:
        return any(isinstance(tool, McpTool) and _is_same(known.tool, tool) for tool in tools)


class Approvals:
    """The calls that wait for the client's word."""

    def __init__(self, out: Outbox, conversation: Conversation) -> None:
        self._out = out
        self._conversation = conversation
        self._waiting: dict[str, CallOutput] = {}
        self._answered: set[str] = set()

    @property
    def waiting(self) -> Iterable[CallOutput]:
        """The calls that the client has not answered for."""
        return self._waiting.values()

    def ask(self, call: CallOutput) -> None:
        """Ask the client whether this call may run; its response ends without waiting for the answer."""
        out = self._out
        request = ApprovalRequest(
            out.ids.mint("mcpr"),
            call.item.server_label or "",
            call.item.remote_name or call.item.name,
            call.item.arguments,
        )
        self._waiting[request.id] = call
        call.note_request(request.id)
        previous_id = self._conversation.add(request)
        out.send(
            wire_events.ConversationItemAdded(
                event_id=out.event_id(), previous_item_id=previous_id, item=item_to_wire(request)
            )
        )
        _conclude(out, self._conversation, request)
        call.close_output()

    def check(self, answer: ApprovalResponse) -> None:
        """Raises: ContractError when nobody asked, or the client has answered before."""
        if answer.approval_request_id in self._waiting:
            return
        known = answer.approval_request_id in self._answered
        why = "was answered before" if known else "not found in conversation"
        raise ContractError(
            f"Approval request ID '{answer.approval_request_id}' {why}.",
            code="invalid_approval_request_id",
            param="item.approval_request_id",
        )

    def take(self, answer: ApprovalResponse) -> CallOutput:
        """Return the call that the answer is about, which has passed `check`."""
        self._answered.add(answer.approval_request_id)
        return self._waiting.pop(answer.approval_request_id)


def _conclude(out: Outbox, conversation: Conversation, item: AnyItem) -> None:
    conversation.replace(item)
    out.send(
        wire_events.ConversationItemDone(
            event_id=out.event_id(), previous_item_id=conversation.previous_id(item.id), item=item_to_wire(item)
        )
    )


# --- What the fields of an MCP tool mean (contract 3.4) ----------------------------------------------------------


def _has_one_address(server: McpTool) -> bool:
    return [server.server_url, server.connector_id, server.tunnel_id].count(None) == 2


def _is_same(one: McpTool, other: McpTool) -> bool:
    """True when what one import gave serves the other: approvals are looked up anew for each response."""
    asked = {"require_approval": None, "allowed_callers": None, "server_description": None, "defer_loading": None}
    return one.model_copy(update=asked) == other.model_copy(update=asked)


def _is_allowed(server: McpTool, tool: RemoteTool) -> bool:
    if server.allowed_callers is not None and "direct" not in server.allowed_callers:
        return False  # for programs only, of which this service runs none
    allowed = server.allowed_tools
    if allowed is None:
        return True
    if isinstance(allowed, list):
        return tool.name in allowed
    return _matches(allowed, tool)


def _needs_approval(server: McpTool, tool: RemoteTool) -> bool:
    approval: Literal["always", "never"] | ApprovalFilter = server.require_approval or "always"
    if isinstance(approval, str):
        return approval == "always"
    return _names(approval.always, tool) or not _names(approval.never, tool)


def _names(chosen: ToolFilter | None, tool: RemoteTool) -> bool:
    """True when a filter says something, and what it says is true of the tool: an empty one waives no approval."""
    says_something = chosen is not None and (chosen.tool_names is not None or chosen.read_only is not None)
    return chosen is not None and says_something and _matches(chosen, tool)


def _matches(chosen: ToolFilter, tool: RemoteTool) -> bool:
    if chosen.tool_names is not None and tool.name not in chosen.tool_names:
        return False
    return chosen.read_only is None or chosen.read_only == tool.is_read_only


def _engine_name(label: str, name: str, taken: set[str]) -> str:
    """Return the tool's own name, or one with the label in it where that is taken or engines could not write it."""
    if name not in taken and _ENGINE_NAME.match(name):
        return name
    stem = _NOT_OF_A_NAME.sub("_", f"{label}_{name}")[:60]
    candidates = (stem, *(f"{stem}_{count}" for count in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)
